"""Label Studio read: its JSON of tasks, with brush strokes, polygons, rectangles and ellipses."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import numpy as np

from ..drafts import Draft, Status
from ..errors import InputError
from ..images import SUFFIXES
from . import reading
from .intake import Intake
from .pictures import Pictures
from .raster import draw, ellipse, rotated
from .report import Report
from .rle import Mask, from_brush
from .sheets import Sheet

_KINDS = ("brushlabels", "polygonlabels", "rectanglelabels", "ellipselabels")


def read(
    path: Path,
    *,
    images: Path | Pictures | None = None,
    status: Status | None = None,
    report: Report | None = None,
) -> list[Draft]:
    """Read tasks of Label Studio, as it exports them (JSON) or as this program writes them.

    What a person has submitted counts; predictions count where nobody has. Of several annotations of a
    task the one that was changed last is taken.

    Args:
        path: the JSON file, or the folder with it.
        images: the folder of the pictures; by default ``images`` in the folder.
        status: of all drafts; by default ``accepted`` for annotations and ``proposed`` for predictions.
        report: takes what is left out; without it the first such thing is an error.

    Returns:
        A draft for each picture and label.

    Raises:
        InputError: not such a file, damaged, or too large.
    """
    file = reading.only_file(path, "tasks.json", "*.json")
    intake = Intake(Pictures.of(images, file.parent / "images"), status=status, report=report)
    with reading.about_file(file):
        tasks = json.loads(reading.read_text(file))
        tasks = [tasks] if isinstance(tasks, dict) else tasks
        if not isinstance(tasks, list) or not all(isinstance(t, dict) for t in tasks):
            raise reading.OtherFile("It is not a list of tasks. Export the project as JSON.")
        if tasks and not any("data" in task for task in tasks):
            raise reading.OtherFile("Its tasks have no 'data'. Export the project as JSON, not as JSON-MIN.")
        for place, task in enumerate(tasks, start=1):
            with intake.entry(f"'{file.name}', task {task.get('id', place)}"):
                _read_task(task, intake, f"'{file.name}', task {task.get('id', place)}")
    return intake.drafts()


def _read_task(task: Mapping[str, Any], intake: Intake, where: str) -> None:
    data = reading.mapping(task["data"])
    own = reading.mapping(data.get("lfss"))
    name = _picture_name(data)
    also = [n for n in (own.get("original"), data.get("name"), task.get("file_upload")) if isinstance(n, str)]
    regions = list(_regions(task, intake, where))
    sheet: Sheet | None = None
    for place, (region, attributes) in enumerate(regions, start=1):
        kind = str(region.get("type"))
        labels = region.get("value", {}).get(kind) or _labels_of(region, regions)
        with intake.entry(f"{where}, region {place} ({', '.join(map(str, labels or ['no label']))})"):
            if kind == "choices" or kind in ("labels", "textarea"):
                continue
            if kind not in _KINDS:
                raise InputError(f"A region of the kind '{kind}' covers no area.")
            if region.get("image_rotation"):
                raise InputError(
                    "It was drawn on a picture that was turned in Label Studio. Turn it back there."
                )
            size = reading.size_if_given(region.get("original_height"), region.get("original_width"))
            sheet = _sheet(intake, name, size, own, also)
            mask = _mask(kind, region["value"], sheet.size)
            for label in labels or [None]:
                intake.add(sheet, label, mask, attributes)
            if kind == "rectanglelabels":
                intake.filled_boxes += 1
    if sheet is None and own.get("exported"):  # all regions were deleted
        with intake.entry(where):
            size = reading.size_if_given(*own["size"]) if isinstance(own.get("size"), list) else None
            sheet = _sheet(intake, name, size, own, also)
    if sheet is not None:
        intake.absent(sheet, own.get("absent"))


def _sheet(
    intake: Intake, name: str, size: tuple[int, int] | None, own: Mapping[str, Any], also: list[str]
) -> Sheet:
    return intake.picture(
        name, size, digest=own.get("digest"), also=also, exported=own.get("exported"), own="digest" in own
    )


def _picture_name(data: Mapping[str, Any]) -> str:
    """The picture of a task: the value under ``image``, or the first that ends like a picture."""
    texts = [v for k, v in data.items() if isinstance(v, str) and k != "name"]
    given = data.get("image")
    found = given if isinstance(given, str) else next((t for t in texts if _is_picture(t)), None)
    if not found:
        raise InputError("It names no picture.")
    name = unquote(found)
    if "?d=" in name:
        return name.split("?d=", 1)[1]
    return name.split("?", 1)[0] if "://" in name else name


def _is_picture(text: str) -> bool:
    return Path(text.split("?")[0]).suffix.lower() in SUFFIXES


def _regions(
    task: Mapping[str, Any], intake: Intake, where: str
) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    """Regions that count, each with what is known of its origin."""
    done = [a for a in task.get("annotations") or [] if isinstance(a, dict) and not a.get("was_cancelled")]
    submitted = [a for a in done if "id" in a or "completed_by" in a]  # by a person in Label Studio
    if len(submitted) > 1:
        submitted.sort(key=lambda a: str(a.get("updated_at") or a.get("created_at") or ""))
        intake.report.notes.append(f"{where}: of its {len(submitted)} annotations the last was taken.")
    for annotation in submitted[-1:] or done:
        for region in annotation.get("result") or []:
            attributes = _own_attributes(region)
            if submitted and attributes.get("status") == "proposed":
                attributes["status"] = "accepted"
            yield region, attributes
    if submitted:
        return
    for prediction in task.get("predictions") or []:
        for region in reading.mapping(prediction).get("result") or []:
            made_by = {"status": "proposed", "model": str(prediction.get("model_version") or "Label Studio")}
            score = region.get("score", prediction.get("score"))
            yield region, made_by | {"score": score} | _own_attributes(region)


def _own_attributes(region: Mapping[str, Any]) -> dict[str, Any]:
    return dict(reading.mapping(reading.mapping(region.get("meta")).get("lfss")))


def _labels_of(region: Mapping[str, Any], regions: list[tuple[dict[str, Any], dict[str, Any]]]) -> list[Any]:
    """Labels that were given by a control of their own: a result of the same id and the type ``labels``."""
    same = (r for r, _ in regions if r.get("type") == "labels" and r.get("id") == region.get("id"))
    return next((r["value"]["labels"] for r in same), [])


def _mask(kind: str, value: Mapping[str, Any], size: tuple[int, int]) -> Mask:
    if kind == "brushlabels":
        return from_brush(value["rle"], size)
    scale = np.array((size[1] / 100, size[0] / 100))
    if kind == "polygonlabels":
        points = np.array(value["points"], np.float64).reshape(-1, 2) / np.array(
            (100 / size[1], 100 / size[0])
        )
    elif kind == "rectanglelabels":
        left, top, width, height = (float(value[k]) for k in ("x", "y", "width", "height"))
        corners = np.array([(0, 0), (width, 0), (width, height), (0, height)]) + (left, top)
        points = rotated(corners * scale, float(value.get("rotation") or 0), about=0)
    else:
        x, y, across, down = (float(value[k]) for k in ("x", "y", "radiusX", "radiusY"))
        points = rotated(ellipse(x, y, across, down) * scale, float(value.get("rotation") or 0))
    return draw(reading.polygons([points]), size, "coco") > 0
