"""Polygons come back from the real readers with an IoU of 0.99 or more, holes included."""

from __future__ import annotations

import tempfile
from pathlib import Path
from urllib.parse import unquote

import cv2
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scenes import Found, hard_scene, iou, large_parts, masks, random_scene, site_packages

from lfss.annotations import FORMATS
from lfss.annotations.plan import plan_export
from lfss.drafts import Draft
from lfss.objects import CRUMB

# format, options of write, reader, arguments of the reader, whether it tells names without extension
POLYGONS = [
    ("coco", {}, "pycocotools_instances", {}, False),
    ("coco", {}, "datumaro", {"layout": "coco"}, True),
    ("labelstudio", {"shapes": "polygon", "prefix": ""}, "label_studio", {}, False),
    ("labelstudio", {"shapes": "polygon", "prefix": ""}, "label_studio_coco", {}, False),
    ("labelme", {"shapes": "polygon"}, "labelme", {}, False),
    ("yolo", {}, "supervision_yolo", {}, False),
    ("yolo", {}, "ultralytics_yolo", {"site": site_packages(), "started": "/"}, False),
]


def together(found: list[Found]) -> dict[tuple[str, str], np.ndarray]:
    """All parts of a label in a picture as one mask: some formats hold one part per object."""
    masks: dict[tuple[str, str], np.ndarray] = {}
    for facts, mask in found:
        if mask is not None:
            key = unquote(facts["picture"]), facts["label"]
            masks[key] = masks.get(key, False) | (mask > 0)
    return masks


def lowest_part_iou(mask: np.ndarray, drawn: np.ndarray) -> float:
    """The worst IoU among the parts of more than 100 pixels; strays count for parts that they touch."""
    _, numbers = cv2.connectedComponents(large_parts(mask).astype(np.uint8), connectivity=8)
    worst = 1.0
    for number in range(1, numbers.max() + 1):
        part = numbers == number
        near = cv2.dilate(part.astype(np.uint8), np.ones((5, 5), np.uint8)) > 0
        strays = np.count_nonzero(drawn & ~mask & near)
        worst = min(worst, np.count_nonzero(drawn & part) / (np.count_nonzero(part) + strays))
    return worst


def assert_parts_come_back(drafts: list[Draft], found: list[Found], *, stems: bool) -> None:
    pictures = plan_export(drafts).pictures
    names = {place: p.stem if stems else p.name for p in pictures for place in p.drafts}
    got = together(found)
    assert got.keys() == {(name, drafts[place].label) for place, name in names.items()}
    for place, name in names.items():
        draft = drafts[place]
        assert lowest_part_iou(draft.mask, got[name, draft.label]) >= 0.99, (name, draft.label)


@pytest.mark.parametrize(("name", "options", "check", "arguments", "stems"), POLYGONS)
def test_holes_and_parts_of_the_hard_scene_come_back(
    readers, tmp_path: Path, name: str, options: dict, check: str, arguments: dict, stems: bool
) -> None:
    drafts = hard_scene(tmp_path / "photos")
    FORMATS[name].write(drafts, tmp_path / "out", images=True, **options)
    found = readers.open(check, tmp_path / "out", **arguments)
    assert_parts_come_back(drafts, found, stems=stems)
    ring = next(mask for (picture, label), mask in together(found).items() if picture.startswith("turned"))
    assert iou(ring, drafts[3].mask) >= 0.99, "hole, rectangle and single pixel in one"
    assert not ring[48, 44], "the hole is a hole"


@pytest.mark.parametrize(("name", "options", "check", "arguments", "stems"), POLYGONS)
def test_random_parts_above_100_pixels_come_back_at_half_a_pixel(
    readers, name: str, options: dict, check: str, arguments: dict, stems: bool
) -> None:
    @settings(max_examples=10, deadline=None, suppress_health_check=list(HealthCheck))
    @given(st.lists(masks(), min_size=3, max_size=5))
    def holds(drawn: list[np.ndarray]) -> None:
        with tempfile.TemporaryDirectory() as work:
            drafts = random_scene(Path(work), drawn)
            FORMATS[name].write(drafts, Path(work, "out"), images=True, detail=0.5, **options)
            assert_parts_come_back(drafts, readers.open(check, Path(work, "out"), **arguments), stems=stems)

    holds()


def without_crumbs(draft: Draft) -> np.ndarray:
    """What a format with one polygon for each object keeps: parts of at least 1 % of the largest."""
    _, numbers, stats, _ = cv2.connectedComponentsWithStats(draft.mask.astype(np.uint8), connectivity=8)
    sizes = stats[:, cv2.CC_STAT_AREA]
    large = sizes >= CRUMB * sizes[1:].max()
    large[0] = False
    return large[numbers]


def test_full_detail_is_exact_in_every_reader_of_polygons(readers, tmp_path: Path) -> None:
    drafts = hard_scene(tmp_path / "photos")
    for name, options, check, arguments, stems in POLYGONS:
        out = tmp_path / f"{name}-{check}"
        FORMATS[name].write(drafts, out, images=True, detail=0, **options)
        got = together(readers.open(check, out, **arguments))
        pictures = plan_export(drafts).pictures
        for picture in pictures:
            for draft in (drafts[p] for p in picture.drafts):
                key = (picture.stem if stems else picture.name, draft.label)
                wanted = without_crumbs(draft) if name == "yolo" else draft.mask
                np.testing.assert_array_equal(got[key], wanted, err_msg=f"{check} {key}")


def test_yolo_has_a_line_for_each_object(readers, tmp_path: Path) -> None:
    drafts = hard_scene(tmp_path / "photos")
    FORMATS["yolo"].write(drafts, tmp_path / "out", images=True)
    found = [f for f in readers.open("supervision_yolo", tmp_path / "out") if f.mask is not None]
    turned = [f for f in found if f.facts["picture"] == "turned.jpg"]
    assert len(turned) == 2, "ring and rectangle; the single pixel belongs to the nearest"
