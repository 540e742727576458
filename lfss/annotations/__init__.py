"""Drafts as files that annotation tools and training programs read, and back.

Every format is a module with ``write(drafts, out, ...)`` and some with ``read(path, ...)``. ``write``
checks everything first, never overwrites, and gives the folder its name only when it is complete.
What each format holds and loses, and how to import it, is told once, in ``FORMATS``; docs/formats.md
says more.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from ..drafts import Draft
from ..errors import UnknownName
from . import coco, coco_panoptic, coco_results, cvat, labelme, labelstudio, png, voc, yolo
from .raster import Target

Holds = Literal["exact masks", "holes", "parts", "overlaps", "score", "status", "absent"]


@dataclass(frozen=True)
class Format:
    """A way to write drafts.

    Attributes:
        name: as typed on the command line.
        title: as shown to people.
        write: ``write(drafts, out, **options)`` returns the files written.
        read: ``read(path, **options)`` returns drafts; None where a format can only be written.
        holds: what survives: every pixel, holes, several parts of one object as one, masks that
            overlap, the score, who made and who checked a mask, which labels are not in a picture.
        hint: how to import it.
        polygons: the rule by which its readers fill polygons, for ``outlines.trace``; None where it
            never writes any.
    """

    name: str
    title: str
    write: Callable[..., list[Path]]
    read: Callable[..., list[Draft]] | None
    holds: frozenset[Holds]
    hint: str
    polygons: Target | None = None

    @property
    def options(self) -> dict[str, inspect.Parameter]:
        """Options of ``write`` by name, with their defaults and annotations."""
        parameters = inspect.signature(self.write).parameters
        return {n: p for n, p in parameters.items() if p.kind is inspect.Parameter.KEYWORD_ONLY}

    def accepted(self, options: dict[str, Any]) -> dict[str, Any]:
        """Those of the options that ``write`` knows."""
        return {name: value for name, value in options.items() if name in self.options}


def format_of(name: str) -> Format:
    """The format of this name.

    Raises:
        UnknownName: there is none; the message lists the known ones.
    """
    if name not in FORMATS:
        raise UnknownName("format", name, FORMATS)
    return FORMATS[name]


def _format(
    name: str, title: str, module: Any, holds: str, hint: str, *, polygons: Target | None = None
) -> Format:
    kept: Any = frozenset(holds.split(", "))
    return Format(name, title, module.write, getattr(module, "read", None), kept, hint, polygons)


FORMATS: dict[str, Format] = {
    f.name: f
    for f in (
        _format(
            "coco",
            "COCO instances",
            coco,
            "holes, parts, overlaps, score, status, absent",
            "Training programs and most tools take annotations/instances_default.json together with the "
            "folder of the pictures. FiftyOne, Roboflow and CVAT ('COCO 1.0') import it as it is.",
            polygons="coco",
        ),
        _format(
            "coco-panoptic",
            "COCO panoptic",
            coco_panoptic,
            "exact masks, holes, parts, score, status, absent",
            "Give the training program annotations/panoptic_default.json and the folder of PNG files "
            "beside it.",
        ),
        _format(
            "coco-results",
            "COCO results",
            coco_results,
            "exact masks, holes, parts, overlaps, score, status",
            "Load results.json with COCO.loadRes() of the ground truth that was given as 'match', and "
            "run COCOeval with iouType 'segm'.",
        ),
        _format(
            "cvat",
            "CVAT for images 1.1",
            cvat,
            "exact masks, holes, parts, overlaps, score, status",
            "Make a task with the same pictures and labels (annotations.xml lists them), then Menu > Upload "
            "annotations > 'CVAT 1.1' and choose annotations.xml. To keep status and score, give the labels "
            "text attributes of these names.",
        ),
        _format(
            "voc",
            "Segmentation mask 1.1 / Pascal VOC",
            voc,
            "exact masks, holes, parts",
            "CVAT: zip the content of the folder, then Menu > Upload annotations > 'Segmentation mask 1.1'. "
            "Training programs read ImageSets/Segmentation/default.txt, SegmentationClass and JPEGImages.",
        ),
        _format(
            "labelstudio",
            "Label Studio",
            labelstudio,
            "exact masks, holes, parts, overlaps, score, status, absent",
            "Make a project, paste labeling_config.xml into Settings > Labeling Interface > Code, connect "
            "the folder of the pictures as local storage (without syncing it), then Import tasks.json alone.",
            polygons="coco",
        ),
        _format(
            "labelme",
            "labelme",
            labelme,
            "exact masks, holes, parts, overlaps, score, status, absent",
            "Put the JSON files beside the pictures and open that folder in labelme 5.3 or newer.",
            polygons="pillow",
        ),
        _format(
            "yolo",
            "YOLO segmentation",
            yolo,
            "holes, overlaps",
            "Put the pictures into images/train, move some with their labels to val, and train with "
            "data=data.yaml.",
            polygons="opencv",
        ),
        _format(
            "png",
            "PNG masks and a legend",
            png,
            "exact masks, holes, parts, score, status, absent",
            "Any program that reads pictures reads the masks; legend.json says which number is which label.",
        ),
    )
}
