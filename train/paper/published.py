"""The paper's tables, to stand beside what is measured: mIoU in percent, one support."""

from __future__ import annotations

from dataclasses import dataclass

Row = tuple[str, str, tuple[float | None, ...]]
"""Method, annotation (P pixels, B box, I image label), folds 0 to 3 and their mean."""

OURS = "LFSS, the paper"


@dataclass(frozen=True)
class Published:
    """One table of the paper.

    Attributes:
        title: what it compares.
        columns: heads of the numbers.
        rows: for each backbone (or data set), its rows.
    """

    title: str
    columns: tuple[str, ...]
    rows: dict[str, tuple[Row, ...]]


_FOLDS = ("fold 0", "fold 1", "fold 2", "fold 3", "mean")
_NONE = (None, None, None, None)

TABLES: dict[int, Published] = {
    1: Published("PASCAL-5i", _FOLDS, {
        "vgg16": (
            ("PFENet", "P", (56.9, 68.2, 54.4, 52.4, 58.0)),
            ("HSNet", "P", (59.6, 65.7, 59.6, 54.0, 59.7)),
            ("PANet", "B", (*_NONE, 45.1)),
            ("CAM-WFSS", "I", (36.5, 51.7, 45.9, 35.6, 42.4)),
            ("IMR-HSNet", "I", (58.2, 63.9, 52.9, 51.2, 56.5)),
            (OURS, "I", (56.3, 65.2, 53.6, 55.7, 57.7)),
        ),
        "resnet50": (
            ("PFENet", "P", (61.7, 69.5, 55.4, 56.3, 60.8)),
            ("HSNet", "P", (64.3, 70.7, 60.3, 60.5, 64.0)),
            ("ASGNet", "P", (58.8, 67.9, 56.8, 53.7, 59.3)),
            ("CANet", "B", (*_NONE, 52.0)),
            ("VS-WFSS", "I", (42.5, 64.8, 48.1, 46.5, 50.5)),
            ("IMR-HSNet", "I", (62.6, 69.1, 56.1, 56.7, 61.1)),
            (OURS, "I", (59.9, 69.1, 56.7, 58.9, 61.2)),
        ),
    }),
    2: Published("COCO-20i", _FOLDS, {
        "vgg16": (
            ("PFENet", "P", (35.4, 38.1, 36.8, 34.7, 36.3)),
            ("BAM-base", "P", (39.0, 47.0, 46.4, 41.6, 43.5)),
            ("PANet", "B", (12.7, 8.7, 5.9, 4.8, 8.0)),
            ("CAM-WFSS", "I", (24.2, 12.9, 17.0, 14.0, 17.0)),
            ("IMR-HSNet", "I", (34.9, 38.8, 37.0, 40.1, 37.7)),
            (OURS, "I", (37.6, 49.6, 42.5, 43.4, 43.3)),
        ),
        "resnet50": (
            ("PFENet", "P", (36.5, 38.6, 34.5, 33.8, 35.8)),
            ("HSNet", "P", (36.3, 43.1, 38.7, 38.7, 39.2)),
            ("BAM-base", "P", (41.9, 45.4, 43.9, 41.2, 43.1)),
            ("ASGNet", "P", (*_NONE, 34.6)),
            ("VS-WFSS", "I", (*_NONE, 15.0)),
            ("IMR-HSNet", "I", (39.5, 43.8, 42.4, 44.1, 42.4)),
            (OURS, "I", (42.9, 51.8, 44.4, 46.8, 46.4)),
        ),
    }),
    3: Published("pseudo masks of the query", ("initial", "refined"), {
        "pascal": ((OURS, "I", (26.94, 32.52)),),
        "coco": ((OURS, "I", (26.99, 33.84)),),
    }),
    4: Published("parts of the method, ResNet-50", ("baseline", "+ DPS", "+ refinement", "+ CCM"), {
        "pascal": ((OURS, "I", (53.9, 53.6, 58.6, 61.2)),),
        "coco": ((OURS, "I", (36.1, 37.4, 39.7, 46.4)),),
    }),
    5: Published(
        "window n and alpha, PASCAL-5i fold 1",
        ("n = 1", "n = 3", "n = 5", "alpha = 0.1", "alpha = 0.3", "alpha = 0.5"),
        {"pascal": ((OURS, "I", (68.0, 69.1, 68.7, 68.2, 68.6, 69.1)),)},
    ),
}  # fmt: skip
