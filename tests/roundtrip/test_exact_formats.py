"""Run lengths, brush strokes and PNG masks come back from the real readers pixel for pixel."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image as PilImage
from scenes import MACHINE, ODD, Found, hard_scene, masks, random_scene, site_packages
from test_polygon_formats import POLYGONS

from lfss.annotations import FORMATS, coco
from lfss.annotations.palette import colours
from lfss.annotations.pieces import pieces
from lfss.annotations.plan import plan_export
from lfss.drafts import Draft

ONE = {"objects": "together"}  # so that each mask can be compared with what comes back
# format, options of write, reader, arguments of the reader, whether it tells names without extension
EXACT = [
    ("coco", {"rle": True} | ONE, "pycocotools_instances", {}, False),
    ("coco", {"rle": True} | ONE, "datumaro", {"layout": "coco"}, True),
    ("coco", {"rle": True} | ONE, "supervision_coco", {"images": "images/default"}, False),
    ("cvat", ONE, "datumaro", {"layout": "cvat"}, True),
    ("labelstudio", {"shapes": "brush", "prefix": ""} | ONE, "label_studio", {}, False),
    ("labelme", {"shapes": "mask"} | ONE, "labelme", {}, False),
]
FLAT = [
    ("coco-panoptic", "datumaro", {"layout": "coco_panoptic"}),
    ("voc", "datumaro", {"layout": "voc_segmentation"}),
]
quick = settings(max_examples=10, deadline=None, suppress_health_check=list(HealthCheck))


def names_of(drafts: list[Draft], *, stems: bool) -> dict[int, str]:
    """The name in the export, for each place in the list of drafts whose mask is written."""
    pictures = plan_export(drafts).pictures
    return {place: p.stem if stems else p.name for p in pictures for place in p.drafts}


def unquoted(found: Iterable[Found]) -> list[Found]:
    from urllib.parse import unquote

    quoted = [f for f in found if f.mask is not None]
    return [Found(f.facts | {"picture": unquote(f.facts["picture"])}, f.mask) for f in quoted]


def assert_each_comes_back(drafts: list[Draft], found: list[Found], *, stems: bool) -> None:
    names = names_of(drafts, stems=stems)
    wanted = {(name, drafts[place].label): drafts[place].mask for place, name in names.items()}
    got = {(f.facts["picture"], f.facts["label"]): f.mask for f in unquoted(found)}
    assert got.keys() == wanted.keys()
    for key, mask in wanted.items():
        np.testing.assert_array_equal(got[key] > 0, mask, err_msg=str(key))


@pytest.mark.parametrize(("name", "options", "check", "arguments", "stems"), EXACT)
def test_every_mask_of_the_hard_scene_comes_back_pixel_for_pixel(
    readers, tmp_path: Path, name: str, options: dict, check: str, arguments: dict, stems: bool
) -> None:
    drafts = hard_scene(tmp_path / "photos")
    FORMATS[name].write(drafts, tmp_path / "out", images=True, **options)
    arguments = {k: str(tmp_path / "out" / v) if k == "images" else v for k, v in arguments.items()}
    found = readers.open(check, tmp_path / "out", **arguments)
    assert_each_comes_back(drafts, found, stems=stems)
    listed = [f.facts["listed"] for f in found if "listed" in f.facts]
    assert len(listed) == 5, "absent and rejected pictures are listed too"


@pytest.mark.parametrize(("name", "check", "arguments"), FLAT)
def test_flat_formats_show_the_later_label_on_top(
    readers, tmp_path: Path, name: str, check: str, arguments: dict
) -> None:
    drafts = hard_scene(tmp_path / "photos")
    FORMATS[name].write(drafts, tmp_path / "out", images=True)
    found = readers.open(check, tmp_path / "out", **arguments)
    names = names_of(drafts, stems=True)
    got = {(f.facts["picture"], f.facts["label"]): f.mask for f in unquoted(found)}
    kitchen = names[0]
    np.testing.assert_array_equal(got.pop((kitchen, "cat")) > 0, drafts[0].mask & ~drafts[1].mask)
    np.testing.assert_array_equal(got.pop((kitchen, ODD)) > 0, drafts[1].mask)
    for place in (2, 3):
        np.testing.assert_array_equal(got.pop((names[place], "cat")) > 0, drafts[place].mask)
    assert not got
    assert len([f for f in found if "listed" in f.facts]) == 5


@pytest.mark.parametrize(("name", "options", "check", "arguments", "stems"), EXACT)
def test_random_masks_come_back_pixel_for_pixel(
    readers, name: str, options: dict, check: str, arguments: dict, stems: bool
) -> None:
    @quick
    @given(st.lists(masks(), min_size=3, max_size=5))
    def holds(drawn: list[np.ndarray]) -> None:
        with tempfile.TemporaryDirectory() as work:
            out = Path(work, "out")
            drafts = random_scene(Path(work), drawn)
            FORMATS[name].write(drafts, out, images=True, **options)
            where = {k: str(out / v) if k == "images" else v for k, v in arguments.items()}
            assert_each_comes_back(drafts, readers.open(check, out, **where), stems=stems)

    holds()


@pytest.mark.parametrize(("name", "check", "arguments"), FLAT)
def test_random_masks_come_back_from_flat_formats(readers, name: str, check: str, arguments: dict) -> None:
    @quick
    @given(st.lists(masks(), min_size=3, max_size=5))
    def holds(drawn: list[np.ndarray]) -> None:
        with tempfile.TemporaryDirectory() as work:
            drafts = random_scene(Path(work), drawn)
            FORMATS[name].write(drafts, Path(work, "out"), images=True)
            found = readers.open(check, Path(work, "out"), **arguments)
            assert_each_comes_back(drafts, found, stems=True)

    holds()


@pytest.mark.parametrize("how", ["parts", "each"])
def test_every_reader_counts_the_same_objects(readers, tmp_path: Path, how: str) -> None:
    drafts = hard_scene(tmp_path / "photos")
    wanted = sum(len(list(pieces(draft, how))) for draft in drafts if not draft.empty)
    counts = {}
    for name, options, check, arguments, _ in EXACT + POLYGONS:
        if check == "label_studio_coco":  # a converter, not a reader
            continue
        out = tmp_path / f"{name}-{check}-{len(counts)}"
        FORMATS[name].write(drafts, out, images=True, **options | {"objects": how})
        where = {k: str(out / v) if k == "images" else v for k, v in arguments.items()}
        found = [f for f in readers.open(check, out, **where) if f.mask is not None]
        groups = [f.facts.get("group") for f in found]
        counts[name, check, str(options)] = groups.count(None) + len(
            {(f.facts["picture"], f.facts["group"]) for f in found if f.facts.get("group") is not None}
        )
    assert set(counts.values()) == {wanted}, counts


def test_results_are_taken_for_perfect_by_the_official_measure(readers, tmp_path: Path) -> None:
    drafts = hard_scene(tmp_path / "photos")
    coco.write(drafts, tmp_path / "truth", rle=True, **ONE)
    FORMATS["coco-results"].write(drafts, tmp_path / "out", **ONE)
    found = readers.open("pycocotools_results", tmp_path / "out", truth=str(tmp_path / "truth"))
    assert found[0].facts["average_precision"] == pytest.approx(1.0)
    assert_each_comes_back(drafts, found[1:], stems=False)


@quick
@given(st.lists(masks(), min_size=3, max_size=5))
def test_random_masks_come_back_from_png_by_pillow(drawn: list[np.ndarray]) -> None:
    with tempfile.TemporaryDirectory() as work:
        drafts = random_scene(Path(work), drawn)
        FORMATS["png"].write(drafts, Path(work, "flat"))
        FORMATS["png"].write(drafts, Path(work, "each"), separate=True)
        FORMATS["voc"].write(drafts, Path(work, "voc"))
        for draft in drafts:
            name = f"{Path(draft.image_name).stem}.png"
            with PilImage.open(Path(work, "flat", "masks", name)) as flat:
                np.testing.assert_array_equal(np.array(flat) == 1, draft.mask)
                assert flat.convert("RGB").getpixel((0, 0)) == colours()[int(draft.mask[0, 0])]
            with PilImage.open(Path(work, "each", "masks", "thing", name)) as alone:
                np.testing.assert_array_equal(np.array(alone) == 255, draft.mask)
            with PilImage.open(Path(work, "voc", "SegmentationObject", name)) as objects:
                np.testing.assert_array_equal(np.array(objects) == 1, draft.mask)


def test_readers_see_score_state_and_origin_where_the_format_holds_them(readers, tmp_path: Path) -> None:
    drafts = hard_scene(tmp_path / "photos")
    for name, reader, arguments in (
        ("coco", "datumaro", {"layout": "coco"}),
        ("cvat", "datumaro", {"layout": "cvat"}),
        ("coco-panoptic", "datumaro", {"layout": "coco_panoptic"}),
        ("labelme", "labelme", {}),
    ):
        FORMATS[name].write(drafts, tmp_path / name, images=True)
        found = readers.open(reader, tmp_path / name, **arguments)
        said = [f.facts["said"] for f in found if "said" in f.facts]
        machine = [s for s in said if s["model"] == MACHINE.model]
        assert {s["status"] for s in said} == {"proposed", "edited", "accepted"}, name
        assert {float(s["score"]) for s in machine if "score" in s} == {0.75}, name
        assert all(float(s["threshold"]) == 0.4 for s in machine), name


def test_label_studio_takes_proposals_as_predictions_and_the_rest_as_annotations(
    readers, tmp_path: Path
) -> None:
    drafts = hard_scene(tmp_path / "photos")
    FORMATS["labelstudio"].write(drafts, tmp_path / "out", prefix="", **ONE)
    found = [f.facts for f in readers.open("label_studio", tmp_path / "out")]
    assert all(f["errors"] == [] for f in found if "errors" in f)
    kinds = [f["kind"] for f in found if "kind" in f]
    assert sorted(kinds) == ["annotations", "annotations", "annotations", "predictions"]
    prediction = next(f for f in found if f.get("kind") == "predictions")
    assert (prediction["model"], prediction["score"]) == ("mini 0.1.0", 0.75)
    assert [f["data"]["absent"] for f in found if "absent" in f.get("data", {})] == ["cat"]


def test_turned_photos_have_the_size_that_readers_see(readers, tmp_path: Path) -> None:
    drafts = hard_scene(tmp_path / "photos")
    FORMATS["labelme"].write(drafts, tmp_path / "out", images=True)
    sizes = {
        f.facts["listed"]: f.facts["size"]
        for f in readers.open("labelme", tmp_path / "out")
        if "size" in f.facts
    }
    assert sizes["turned.jpg"] == [96, 128]


def test_torchvision_loads_coco_with_its_pictures(readers, tmp_path: Path) -> None:
    drafts = hard_scene(tmp_path / "photos")
    FORMATS["coco"].write(drafts, tmp_path / "out", images=True, rle=True, **ONE)
    found = readers.open("torchvision_coco", tmp_path / "out", site=site_packages())
    assert_each_comes_back(drafts, found, stems=False)
    assert all(f.facts["size"] == [96, 128] for f in found if "listed" in f.facts)


def test_torchvision_loads_voc_with_its_pictures(readers, tmp_path: Path) -> None:
    drafts = hard_scene(tmp_path / "photos")
    root = tmp_path / "root" / "VOCdevkit" / "VOC2012"
    drafts = [d for d in drafts if d.image_name != "refused.png"]
    for draft in drafts:
        if draft.image_name == "bare.png":  # torchvision knows VOC's pictures as .jpg alone
            drafts.remove(draft)
    FORMATS["voc"].write(drafts, root, images=True)
    (root / "ImageSets" / "Segmentation" / "default.txt").rename(root / "ImageSets/Segmentation/train.txt")
    found = readers.open("torchvision_voc", tmp_path / "root", site=site_packages())
    classes = {Path(f.facts["listed"]).stem: f.mask for f in found}
    names = names_of(drafts, stems=True)
    assert all(f.facts["size"] == [96, 128] and f.facts["mode"] == "P" for f in found)
    np.testing.assert_array_equal(classes[names[0]] == 1, drafts[0].mask & ~drafts[1].mask)
    np.testing.assert_array_equal(classes[names[0]] == 2, drafts[1].mask)
    np.testing.assert_array_equal(classes[names[3]] == 1, drafts[3].mask)
