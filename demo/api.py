"""The endpoints for programs: prepare a class, segment a picture, export many. See ``calls``.

Pictures and files come and go through file components, so a path from outside is never opened.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gradio as gr

from lfss.errors import InputError

from . import calls
from .calls import check_count
from .handlers import MODEL, guarded_plainly
from .service import Service
from .sessions import Sessions

SUPPORTS, PICTURES = "Supports: photos that show it", "Pictures, or a zip of them"
# Counted before the server looks at any of them, which takes milliseconds each.
_MOST = {SUPPORTS: (calls.MAX_SUPPORTS, "supports"), PICTURES: (calls.MAX_PICTURES, "pictures")}

PUBLIC = {**MODEL, "api_visibility": "public"}


def build_api(service: Service, sessions: Sessions) -> None:
    """Add the endpoints to the page; nothing of them is seen there."""

    @guarded_plainly
    def prepare_class(label: str, not_words: str, supports: list[str] | None) -> str:
        """Make a class file for the other endpoints from a label and one to five photos that show it.

        Args:
            label: what to find, such as "dog"; synonyms after commas. One label for each class.
            not_words: what is easily mistaken for it, separated by commas; may be left out.
            supports: the photos; no masks are needed where the model knows the label.

        Returns:
            A file, in safetensors, to send with each picture.
        """
        with sessions.call() as session:
            return kept(calls.prepare_class(service, session, label, not_words, supports or []))

    @guarded_plainly
    def segment(
        image: str | None, class_file: str | None, threshold: float, assume_present: bool
    ) -> tuple[str, dict[str, Any]]:
        """Find the object of a class in one picture.

        Args:
            image: the picture: JPEG, PNG, WebP, TIFF, BMP, GIF, AVIF, JPEG 2000, PPM or HEIC.
            class_file: from prepare_class.
            threshold: score from which a pixel belongs to the mask, from 0 to 1; 0.5 is usual.
            assume_present: the picture is known to show the object; the check whether it does is skipped.

        Returns:
            The mask as PNG, 255 on the object and 0 elsewhere, at the picture's full size.
            Facts: label, presence (how sure the model is that it is there), area (a share), warning
            (empty unless the mask covers nearly everything), preset, seconds.
        """
        settings = calls.settings_of(threshold, assume_present)
        with sessions.call() as session:
            path, facts = calls.segment(service, session, image, _class(class_file), settings)
            return kept(path), facts

    @guarded_plainly
    def export(
        images: list[str] | None, class_file: str | None, form: str, threshold: float, assume_present: bool
    ) -> Iterator[Any]:
        """Segment many pictures and write the masks in the format of an annotation tool.

        A picture that cannot be read is listed under "failed" in the manifest of the zip; the others go on.

        Args:
            images: the pictures, or zips of them.
            class_file: from prepare_class.
            form: coco, coco-panoptic, cvat, voc, labelstudio, labelme, yolo or png.
            threshold: score from which a pixel belongs to the mask, from 0 to 1; 0.5 is usual.
            assume_present: every picture is known to show the object.

        Returns:
            One zip with the annotations.
        """
        settings = calls.settings_of(threshold, assume_present)
        with sessions.call() as session:
            for path in calls.export(service, session, images or [], _class(class_file), form, settings):
                # Something after each picture: the server ends the call there where its client has left.
                yield gr.skip() if path is None else kept(path)

    with gr.Row(visible=False):
        label, not_words = gr.Textbox(label="Label"), gr.Textbox("", label="Words that are something else")
        supports = gr.File(label=SUPPORTS, file_count="multiple")
        saved = gr.File(label="Class")
        image = gr.File(label="Picture")
        images = gr.File(label=PICTURES, file_count="multiple")
        class_file = gr.File(label="Class, from /prepare_class")
        threshold = gr.Number(0.5, label="Threshold, from 0 to 1")
        present = gr.Checkbox(False, label="Every picture shows it")
        form = gr.Textbox("coco", label=f"Format: {', '.join(calls.WRITABLE)}")
        mask, facts = gr.File(label="Mask (PNG, 0 and 255)"), gr.JSON(label="Facts")
        bundle = gr.File(label="Bundle (zip)")
        start = gr.Button()

    def kept(path: Path) -> str:
        return str(calls.handed_over(path, Path(bundle.GRADIO_CACHE)))

    start.click(prepare_class, [label, not_words, supports], saved, api_name="prepare_class", **PUBLIC)
    start.click(segment, [image, class_file, threshold, present], [mask, facts], api_name="segment", **PUBLIC)
    start.click(export, [images, class_file, form, threshold, present], bundle, api_name="export", **PUBLIC)


def tidied(inputs: list[Any], components: list[Any]) -> list[Any]:
    """What a program sent to an endpoint, as the components take it: what was left out has its default.

    Raises:
        InputError: an input is not of its component's kind.
    """
    given = [*inputs, *(component.value for component in components[len(inputs) :])]
    return [_tidy(value, component) for value, component in zip(given, components)]


def _tidy(value: Any, component: Any) -> Any:
    if isinstance(component, gr.File) and value is not None:
        several = component.file_count == "multiple"
        files = value if isinstance(value, list) else [value]
        if component.label in _MOST:
            check_count(len(files), *_MOST[component.label])
        if not all(isinstance(file, dict) and isinstance(file.get("path"), str) for file in files):
            raise InputError(
                f"'{component.label}' takes {'a list of files' if several else 'a file'}. With gradio_client "
                "use handle_file(...); else send it to /gradio_api/upload and give the path in the answer as "
                '{"path": ..., "meta": {"_type": "gradio.FileData"}}.'
            )
        if not several and len(files) != 1:
            raise InputError(f"'{component.label}' takes one file; {len(files)} were sent.")
        files = [file | {"meta": {"_type": "gradio.FileData"}} for file in files]
        return files if several else files[0]
    if isinstance(component, gr.Textbox) and not isinstance(value, str | None):
        raise InputError(f"'{component.label}' takes text; {type(value).__name__} was sent.")
    return value


def _class(file: str | None) -> Path:
    if not file:
        raise InputError("Send a class file; /prepare_class makes one.")
    return Path(file)
