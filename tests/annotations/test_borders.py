"""A correction that only moves the border between two touching objects is a correction."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
from drawn import MACHINE
from hypothesis import given, settings
from hypothesis import strategies as st

from lfss.__main__ import main
from lfss.annotations import FORMATS
from lfss.annotations.provenance import fingerprint
from lfss.annotations.raster import draw, draw_near
from lfss.drafts import Draft
from lfss.images import Image, read_image
from lfss.objects import count, numbered
from lfss.workspace import Workspace

SIZE = (40, 60)
SEAL = re.compile(r"\w+ [0-9a-f]{16} [0-9a-f]{16} 2:[0-9a-f]{16} dog")
LOOPS: list[tuple[str, dict[str, object]]] = [
    ("coco", {}), ("coco", {"rle": True}), ("coco-panoptic", {"objects": "parts"}), ("cvat", {}),
    ("labelme", {}), ("labelme", {"shapes": "polygon"}),
    ("voc", {"objects": "parts"}), ("labelstudio", {}), ("labelstudio", {"shapes": "polygon"}), ("yolo", {}),
]  # fmt: skip


@pytest.fixture
def photo(tmp_path: Path, monkeypatch) -> Image:
    monkeypatch.chdir(tmp_path)
    Path("photos").mkdir()
    pixels = np.random.default_rng(0).integers(0, 255, (*SIZE, 3), np.uint8)
    PIL.Image.fromarray(pixels).save("photos/a.png")
    return read_image("photos/a.png")


def two(photo: Image, border: int) -> Draft:
    """A mask of 20 x 40 pixels whose objects touch at a column; one has a part of its own besides."""
    objects = np.zeros(SIZE, np.uint16)
    objects[10:30, 10:border], objects[10:30, border:50], objects[35:38, 30:40] = 1, 2, 1
    path = Path("photos/a.png").absolute()
    return Draft(
        "a.png", photo.digest, "dog", objects > 0, score=0.7, image_path=path, origin=MACHINE, objects=objects
    )


def exported(form: str, options: dict[str, object], draft: Draft, out: str) -> tuple[list[Path], str]:
    """The files that are text, and what they say was exported."""
    files = [f for f in FORMATS[form].write([draft], Path(out), **options) if f.suffix != ".png"]
    said = {found for file in files for found in SEAL.findall(file.read_text())}
    assert len(said) == 1
    return files, said.pop()


def edited_elsewhere(form: str, options: dict[str, object], photo: Image) -> None:
    """The workspace's draft, exported to ``out``, with the border moved there by four pixels."""
    _, was = exported(form, options, two(photo, 24), "first")
    files, now = exported(form, options, two(photo, 28), "out")
    assert was != now
    for file in files:
        file.write_text(file.read_text().replace(now, was))


def take_in(form: str, *options: str, path: str = "out") -> int:
    return main(["import", "--workspace", "ws", "--format", form, path, "--images", "photos", *options])


def stored(photo: Image) -> Draft:
    with Workspace.open("ws") as workspace:
        draft = workspace.draft(photo.digest, "dog")
    assert draft is not None
    return draft


@pytest.mark.parametrize(("form", "options"), LOOPS)
def test_a_moved_border_comes_back_as_edited(photo, form, options):
    with Workspace.open("ws") as workspace:
        workspace.put_draft(two(photo, 24))
    edited_elsewhere(form, options, photo)
    assert take_in(form) == 0
    draft = stored(photo)
    assert draft.status == "edited"
    assert draft.objects is not None
    assert draft.objects[20, 25] == draft.objects[20, 12] != draft.objects[20, 30]
    assert draft.objects[36, 35] == draft.objects[20, 12]


@pytest.mark.parametrize(("form", "options"), LOOPS)
def test_what_was_not_touched_comes_back_unchanged(photo, form, options, capsys):
    with Workspace.open("ws") as workspace:
        workspace.put_draft(two(photo, 24))
    exported(form, options, two(photo, 24), "out")
    assert take_in(form) == 0
    assert "1 draft came back unchanged" in capsys.readouterr().out
    assert stored(photo).status == "proposed"


def test_shapes_in_another_order_are_no_change(photo, capsys):
    with Workspace.open("ws") as workspace:
        workspace.put_draft(two(photo, 24))
    (file, *_), _ = exported("coco", {}, two(photo, 24), "out")
    data = json.loads(file.read_text())
    data["annotations"].reverse()
    file.write_text(json.dumps(data))
    assert take_in("coco") == 0
    assert "1 draft came back unchanged" in capsys.readouterr().out


def test_objects_that_were_changed_here_meanwhile_are_not_replaced_unasked(photo, capsys):
    with Workspace.open("ws") as workspace:
        workspace.put_draft(two(photo, 24))
        workspace.set_status(photo.digest, "dog", "accepted")
    _, was = exported("coco", {}, stored(photo), "first")
    (file, *_), now = exported("coco", {}, two(photo, 28), "out")
    file.write_text(file.read_text().replace(now, was))
    with Workspace.open("ws") as workspace:
        workspace.set_objects(photo.digest, "dog", two(photo, 20).objects)
    assert take_in("coco") == 1
    assert "differs from what was exported" in capsys.readouterr().out
    assert stored(photo).objects[20, 25] == stored(photo).objects[20, 45]
    assert take_in("coco", "--overwrite") == 0
    assert stored(photo).objects[20, 25] == stored(photo).objects[20, 12]


def test_files_written_before_borders_were_noted_are_read(photo, capsys):
    with Workspace.open("ws") as workspace:
        workspace.put_draft(two(photo, 24))
    (file, *_), said = exported("coco", {}, two(photo, 24), "out")
    old = re.sub(" 2:[0-9a-f]{16} ", " 2 ", said)
    mask = fingerprint(two(photo, 24).mask)
    file.write_text(file.read_text().replace(said, re.sub("(?<= )[0-9a-f]{16}", mask, old, count=1)))
    assert take_in("coco") == 0
    assert "1 draft came back unchanged" in capsys.readouterr().out


def corners() -> st.SearchStrategy[np.ndarray]:
    point = st.tuples(st.floats(0, 60, width=32), st.floats(0, 40, width=32))
    return st.lists(point, min_size=3, max_size=7).map(lambda points: np.array(points, np.float32))


@settings(deadline=None)
@given(
    polygons=st.lists(corners(), min_size=1, max_size=3), target=st.sampled_from(["coco", "opencv", "pillow"])
)
def test_a_window_shows_what_the_whole_picture_does(polygons, target: str):
    whole = draw(polygons, SIZE, target) > 0
    near, (top, left) = draw_near(polygons, SIZE, target)
    again = np.zeros(SIZE, bool)
    again[top : top + near.shape[0], left : left + near.shape[1]] = near[: SIZE[0] - top, : SIZE[1] - left]
    assert np.array_equal(again, whole)
    assert fingerprint(near, (top, left)) == fingerprint(whole) or not whole.any()


@pytest.mark.parametrize("whole", [True, False])
def test_a_voc_folder_of_another_program_tells_objects_apart(photo, whole):
    """Where its map of objects leaves pixels of a label out, connected parts are the objects instead."""
    objects = two(photo, 24).objects
    shown = objects if whole else np.where(objects == 2, 0, objects)
    for folder, numbers in (("SegmentationClass", objects > 0), ("SegmentationObject", shown)):
        Path("voc", folder).mkdir(parents=True)
        picture = PIL.Image.fromarray(numbers.astype(np.uint8))
        picture.putpalette([0, 0, 0, 128, 0, 0, 0, 128, 0])
        picture.save(Path("voc", folder, "a.png"))
    Path("voc/labelmap.txt").write_text("background:0,0,0::\ndog:128,0,0::\n")
    assert take_in("voc", path="voc") == 0
    assert count(stored(photo)) == 2
    numbers = numbered(stored(photo).mask, stored(photo).objects)
    assert (numbers[20, 12] == numbers[20, 40]) == (not whole)
    assert (numbers[36, 35] == numbers[20, 12]) == whole
