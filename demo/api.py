"""The endpoints for programs: prepare a class, segment a picture, export many. Each call stands alone.

Pictures and files come and go through file components, so a path from outside is never opened. With
``--mcp`` the same three are tools for AI assistants, which read their docstrings.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import gradio as gr

from lfss.annotations import FORMATS
from lfss.errors import InputError
from lfss.figures import save_png_atomic
from lfss.images import read_image
from lfss.stages import Prediction

from .export_tab import STATES
from .export_tab import export as write_bundle
from .handlers import MODEL, guarded
from .run import run
from .saved_class import save_class
from .service import Service
from .session import Settings
from .sessions import Sessions

PUBLIC = {**MODEL, "api_visibility": "public"}


def build_api(service: Service, sessions: Sessions) -> None:
    """Add the endpoints to the page; nothing of them is seen there."""

    @guarded
    def prepare_class(label: str, not_words: str, supports: list[str] | None) -> str:
        """Make a class file for the other endpoints from a label and one to five photos that show it.

        Args:
            label: what to find, such as "dog"; synonyms after commas. One label for each class.
            not_words: what is easily mistaken for it, separated by commas; may be empty.
            supports: the photos; no masks are needed where the model knows the label.

        Returns:
            A file, in safetensors, to send with each picture.
        """
        session = sessions.temporary()
        session.label, session.not_words = label or "", not_words or ""
        _strict(session.add_supports(supports or []))
        return str(save_class(service, session))

    @guarded
    def segment(
        image: str | None, class_file: str | None, threshold: float, assume_present: bool
    ) -> tuple[str, dict[str, Any]]:
        """Find the object of a class in one picture.

        Args:
            image: the picture: JPEG, PNG, WebP, TIFF, BMP, GIF or HEIC.
            class_file: from prepare_class.
            threshold: score from which a pixel belongs to the mask, from 0 to 1; 0.5 is usual.
            assume_present: the picture is known to show the object; the check whether it does is skipped.

        Returns:
            The mask as PNG, 255 on the object and 0 elsewhere, at the picture's full size.
            Facts: label, presence (how sure the model is that it is there), area (a share), preset, seconds.
        """
        session = sessions.temporary()
        settings = _settings(threshold, assume_present)
        if not image:
            raise InputError("Send a picture to segment.")
        query = read_image(image)
        prediction = None
        prepared = service.load_class(_class(class_file))
        for step in service.segment(prepared, query, settings):
            prediction = step if isinstance(step, Prediction) else None
        assert prediction is not None
        path = session.folder / "mask.png"
        save_png_atomic(path, prediction.mask)
        facts = {
            "label": prediction.label.text,
            "presence": round(prediction.presence, 4),
            "area": float(prediction.mask.mean()),
            "preset": prediction.preset,
            "seconds": round(prediction.seconds, 4),
        }
        return str(path), facts

    @guarded
    def export(
        images: list[str] | None, class_file: str | None, form: str, threshold: float, assume_present: bool
    ) -> str:
        """Segment many pictures and write the masks in the format of an annotation tool.

        Args:
            images: the pictures, or zips of them.
            class_file: from prepare_class.
            form: coco, coco-panoptic, cvat, voc, labelstudio, labelme, yolo or png.
            threshold: score from which a pixel belongs to the mask, from 0 to 1; 0.5 is usual.
            assume_present: every picture is known to show the object.

        Returns:
            One zip with the annotations.
        """
        session = sessions.temporary()
        session.class_file = _class(class_file)
        if form not in FORMATS:
            raise InputError(f"There is no format '{form}'. Known: {', '.join(FORMATS)}.")
        _strict(session.add_queries(images or []))
        for _ in run(service, session, _settings(threshold, assume_present)):
            pass
        _strict([reason for _, reason in session.failures])
        names = [category.name for category in session.workspace.labels()]
        return str(write_bundle(session, names, list(STATES), [form], images=False))

    with gr.Row(visible=False):
        label, not_words = gr.Textbox(label="Label"), gr.Textbox(label="Words that are something else")
        supports = gr.File(label="Supports: photos that show it", file_count="multiple")
        saved = gr.File(label="Class")
        image = gr.File(label="Picture")
        images = gr.File(label="Pictures, or a zip of them", file_count="multiple")
        class_file = gr.File(label="Class, from /prepare_class")
        threshold = gr.Number(0.5, label="Threshold, from 0 to 1")
        present = gr.Checkbox(label="Every picture shows it")
        form = gr.Textbox("coco", label=f"Format: {', '.join(FORMATS)}")
        mask, facts = gr.File(label="Mask (PNG, 0 and 255)"), gr.JSON(label="Facts")
        bundle = gr.File(label="Bundle (zip)")
        start = gr.Button()
    start.click(prepare_class, [label, not_words, supports], saved, api_name="prepare_class", **PUBLIC)
    start.click(segment, [image, class_file, threshold, present], [mask, facts], api_name="segment", **PUBLIC)
    start.click(export, [images, class_file, form, threshold, present], bundle, api_name="export", **PUBLIC)


def _class(file: str | None) -> Path:
    if not file:
        raise InputError("Send a class file; /prepare_class makes one.")
    return Path(file)


def _settings(threshold: float, assume_present: bool) -> Settings:
    if not isinstance(threshold, int | float) or not 0 < threshold < 1:
        raise InputError(f"The threshold lies between 0 and 1; {threshold!r} came.")
    return Settings(float(threshold), bool(assume_present))


def _strict(refused: Sequence[str]) -> None:
    """A program wants all or nothing, told by the first reason."""
    if refused:
        raise InputError(refused[0])
