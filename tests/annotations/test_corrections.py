"""What a person changed in another tool comes back as changed by a person, and nothing of it is lost."""

from __future__ import annotations

import base64
import json
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
from drawn import MACHINE, blob, png_bytes

from lfss.__main__ import main
from lfss.annotations import FORMATS
from lfss.drafts import Draft
from lfss.images import read_image
from lfss.workspace import Workspace

SIZE = (40, 60)
SQUARE = np.zeros(SIZE, bool)
SQUARE[10:20, 10:20] = True
# format, options of write: every format that can be read and says who made a mask
LOOPS = [
    ("labelme", ()),
    ("labelme", ("--shapes", "polygon")),
    ("coco", ()),
    ("coco", ("--rle",)),
    ("png", ()),
    ("png", ("--separate",)),
    ("coco-panoptic", ()),
    ("cvat", ()),
    ("labelstudio", ()),
    ("labelstudio", ("--shapes", "polygon")),
    ("voc", ()),
    ("yolo", ()),
]
# CVAT keeps nothing of a picture but its shapes: what was deleted there cannot be told.
DELETABLE = [loop for loop in LOOPS if loop[0] != "cvat"]


@pytest.fixture
def place(tmp_path: Path, monkeypatch) -> Path:
    """A workspace with a proposal on each of three photos, of two labels on the first."""
    monkeypatch.chdir(tmp_path)
    Path("photos").mkdir()
    with Workspace.open("ws") as workspace:
        for seed, name in enumerate("abc"):
            path = Path("photos", f"{name}.png")
            pixels = np.random.default_rng(seed).integers(0, 255, (*SIZE, 3), np.uint8)
            PIL.Image.fromarray(pixels).save(path)
            image = read_image(path)
            for label in ("dog", "cat") if name == "a" else ("dog",):
                draft = Draft(
                    path.name, image.digest, label, blob(SIZE, seed + 7 * (label == "cat"), 0.2), score=0.7,
                    presence=0.8, image_path=path.absolute(), origin=MACHINE,
                )  # fmt: skip
                workspace.put_draft(draft)
    return tmp_path


def lfss(*line: str) -> int:
    return main(list(line))


def export(form: str, options: tuple[str, ...] = (), out: str = "out") -> Path:
    status = ("--status", "proposed", "accepted", "edited", "absent")
    line = ("export", "--workspace", "ws", "--format", form, "--out", out, *status, *options)
    assert lfss(*line) == 0
    return Path(out)


def take_in(form: str, *options: str, path: str = "out", to: str = "ws") -> int:
    line = ("import", "--workspace", to, "--format", form, path, "--images", "photos", *options)
    return lfss(*line)


def draft(name: str, label: str = "dog", folder: str = "ws") -> Draft | None:
    with Workspace.open(folder) as workspace:
        return workspace.draft(read_image(f"photos/{name}.png").digest, label)


def states(folder: str = "ws") -> dict[tuple[str, str], tuple[str, str]]:
    with Workspace.open(folder) as workspace:
        return {(Path(d.image_name).stem, d.label): (d.status, d.origin.model) for d in workspace.drafts()}


def labelme_file(name: str) -> tuple[Path, dict]:
    file = Path("out", f"{name}.json")
    return file, json.loads(file.read_text())


def changed_json(file: str, change: Callable[[dict], None]) -> None:
    data = json.loads(Path(file).read_text())
    change(data)
    Path(file).write_text(json.dumps(data))


def replace_mask(form: str) -> None:
    """What the person does in the other tool: the dog of b becomes a square."""
    corners = [[10, 10], [20, 10], [20, 20], [10, 20]]
    if form == "labelme":
        file, data = labelme_file("b")
        shape = data["shapes"][0] | {"shape_type": "mask", "points": [[10, 10], [19, 19]]}
        shape["mask"] = base64.b64encode(png_bytes(np.full((10, 10), 255, np.uint8))).decode()
        file.write_text(json.dumps(data | {"shapes": [shape]}))
    elif form == "coco":
        square = [value for corner in corners for value in corner]
        change_coco(lambda annotation: [annotation | {"segmentation": [square]}])
    elif form == "coco-panoptic":
        change_map(
            "out/annotations/panoptic_default/b.png", lambda m: np.where(SQUARE[..., None], m.max((0, 1)), 0)
        )
    elif form == "voc":
        change_map("out/SegmentationClass/b.png", lambda m: np.where(SQUARE, m.max(), 0))
    elif form == "yolo":
        inside = np.array([[10, 10], [19, 10], [19, 19], [10, 19]]) + 0.5
        shares = (inside / (SIZE[1], SIZE[0])).reshape(-1)
        number = Path("out/labels/train/b.txt").read_text().split()[0]
        Path("out/labels/train/b.txt").write_text(f"{number} {' '.join(map(str, shares))}\n")
    elif form == "cvat":
        change_cvat(
            lambda mask: mask.attrib.update(rle="0,100", left="10", top="10", width="10", height="10")
        )
    elif form == "labelstudio":
        points = (np.array(corners) * (100 / SIZE[1], 100 / SIZE[0])).tolist()
        value = {"points": points, "closed": True, "polygonlabels": ["dog"]}
        change_task(lambda regions: [regions[0] | {"type": "polygonlabels", "value": value}])
    else:
        legend = json.loads(Path("out/legend.json").read_text())
        value = next(e["value"] for e in legend["labels"] if e["name"] == "dog")
        folder = Path("out/masks/dog" if legend["separate"] else "out/masks")
        levels = SQUARE.astype(np.uint8) * (255 if legend["separate"] else value)
        PIL.Image.fromarray(levels).save(folder / "b.png")


def change_coco(change: Callable[[dict], list[dict]]) -> None:
    """Each annotation of b becomes those that the function gives."""

    def edit(data: dict) -> None:
        b = next(i["id"] for i in data["images"] if i["file_name"] == "b.png")
        of_b = [a for a in data["annotations"] if a["image_id"] == b]
        rest = [a for a in data["annotations"] if a["image_id"] != b]
        data["categories"].append({"id": 99, "name": "wolf"})
        data["annotations"] = rest + [new for a in of_b for new in change(a)]

    changed_json("out/annotations/instances_default.json", edit)


def change_map(
    file: str,
    change: Callable[[np.ndarray], np.ndarray],
    *,
    colours: Mapping[int, tuple[int, int, int]] | None = None,
) -> None:
    with PIL.Image.open(file) as picture:
        palette, pixels = picture.getpalette(), np.array(picture)
    after = PIL.Image.fromarray(change(pixels).astype(np.uint8))
    if palette:
        for number, colour in (colours or {}).items():
            palette[3 * number : 3 * number + 3] = colour
        after.putpalette(palette)
    after.save(file)


def change_cvat(change: Callable[[ElementTree.Element], object], *, keep: bool = True) -> None:
    tree = ElementTree.parse("out/annotations.xml")
    image = next(i for i in tree.getroot().findall("image") if i.get("name") == "b.png")
    for place, mask in enumerate(image.findall("mask")):
        if keep and place == 0:
            change(mask)
        else:
            image.remove(mask)
    tree.write("out/annotations.xml")


def change_task(change: Callable[[list], list]) -> None:
    """What Label Studio exports once a person has submitted the task of b."""
    data = json.loads(Path("out/tasks.json").read_text())
    task = next(t for t in data if t["data"]["name"] == "b.png")
    result = change(task["predictions"][0]["result"])
    task["annotations"] = [{"id": 5, "completed_by": 1, "was_cancelled": False, "result": result}]
    Path("out/tasks.json").write_text(json.dumps(data))


def delete_mask(form: str) -> None:
    """The dog of b is deleted."""
    if form == "labelme":
        file, data = labelme_file("b")
        file.write_text(json.dumps(data | {"shapes": []}))
    elif form == "coco":
        change_coco(lambda annotation: [])
    elif form == "coco-panoptic":
        change_map("out/annotations/panoptic_default/b.png", np.zeros_like)
    elif form == "voc":
        change_map("out/SegmentationClass/b.png", np.zeros_like)
    elif form == "yolo":
        Path("out/labels/train/b.txt").write_text("")
    elif form == "labelstudio":
        change_task(lambda regions: [])
    else:
        legend = json.loads(Path("out/legend.json").read_text())
        folder = Path("out/masks/dog" if legend["separate"] else "out/masks")
        PIL.Image.fromarray(np.zeros(SIZE, np.uint8)).save(folder / "b.png")


@pytest.mark.parametrize(("form", "options"), LOOPS)
def test_what_was_not_changed_comes_back_as_it_was(form, options, place, capsys) -> None:
    with Workspace.open("ws") as workspace:
        before = [(d.status, d.origin, d.mask.tobytes()) for d in workspace.drafts()]
    export(form, options)
    assert take_in(form, "--overwrite") == 0
    assert "4 drafts came back unchanged" in capsys.readouterr().out
    with Workspace.open("ws") as workspace:
        assert [(d.status, d.origin, d.mask.tobytes()) for d in workspace.drafts()] == before


@pytest.mark.parametrize(("form", "options"), LOOPS)
@pytest.mark.parametrize("overwrite", [(), ("--overwrite",)])
def test_a_changed_mask_is_edited_by_a_person(form, options, overwrite, place) -> None:
    export(form, options)
    replace_mask(form)
    assert take_in(form, *overwrite) == 0
    found = draft("b")
    np.testing.assert_array_equal(found.mask, SQUARE)
    assert (found.status, found.score, found.origin.model) == ("edited", None, "person")
    assert found.origin.settings == {"corrected": "mini 0.1.0"}
    assert [s for s, _ in states().values()].count("proposed") == 3


@pytest.mark.parametrize(("form", "options"), LOOPS)
def test_an_explicit_status_wins(form, options, place) -> None:
    export(form, options)
    replace_mask(form)
    assert take_in(form, "--status", "accepted", "--overwrite") == 0
    assert set(states().values()) == {("accepted", "mini 0.1.0"), ("accepted", "person")}
    np.testing.assert_array_equal(draft("b").mask, SQUARE)


@pytest.mark.parametrize(("form", "options"), DELETABLE)
def test_a_deleted_mask_makes_its_draft_absent(form, options, place) -> None:
    export(form, options)
    delete_mask(form)
    assert take_in(form) == 0
    assert states()["b", "dog"][0] == "absent"
    with Workspace.open("ws") as workspace:
        assert workspace.undo(draft("b").image_digest, "dog").mask.any(), "the old mask is one undo away"


@pytest.mark.parametrize("change", [replace_mask, delete_mask])
def test_a_draft_that_was_accepted_meanwhile_is_asked_about(change: Callable, place, capsys) -> None:
    export("labelme")
    change("labelme")
    with Workspace.open("ws") as workspace:
        workspace.set_status(draft("b").image_digest, "dog", "accepted")
    assert take_in("labelme") == 1
    text = capsys.readouterr().out
    assert "'b.png', dog" in text
    assert "--overwrite" in text
    assert states()["b", "dog"] == ("accepted", "mini 0.1.0")
    assert take_in("labelme", "--overwrite") == 0
    assert states()["b", "dog"][0] == ("edited" if change is replace_mask else "absent")


def test_a_correction_is_recognised_in_another_workspace(place) -> None:
    export("labelme")
    replace_mask("labelme")
    assert take_in("labelme", to="other") == 0
    assert states("other")["b", "dog"] == ("edited", "person")
    assert states("other")["c", "dog"] == ("proposed", "mini 0.1.0")


def test_a_shape_that_was_added_makes_the_draft_an_edited_one(place) -> None:
    export("labelme")
    before = draft("b").mask
    file, data = labelme_file("b")
    data["shapes"].append({"label": "dog", "points": [[50, 2], [57, 9]], "shape_type": "rectangle"})
    file.write_text(json.dumps(data))
    assert take_in("labelme") == 0
    before[2:10, 50:58] = True
    np.testing.assert_array_equal(draft("b").mask, before)
    assert states()["b", "dog"][0] == "edited"


def test_files_without_fingerprints_are_compared_with_the_workspace(place, capsys) -> None:
    """Exports of earlier versions do not say what was written."""
    export("labelme")
    replace_mask("labelme")
    for name in "abc":
        file, data = labelme_file(name)
        del data["lfss"]["exported"]
        for shape in data["shapes"]:
            del shape["lfss"]["exported"]
        file.write_text(json.dumps(data | ({"shapes": []} if name == "c" else {})))
    assert take_in("labelme", "--overwrite") == 0
    text = capsys.readouterr().out
    assert states()["b", "dog"] == ("edited", "person")
    assert states()["a", "dog"] == ("proposed", "mini 0.1.0")
    assert "'c.png': its draft 'dog' stayed (proposed)" in text


def test_a_run_of_the_model_never_replaces_a_correction(place) -> None:
    export("labelme")
    machine = draft("b")
    replace_mask("labelme")
    assert take_in("labelme") == 0
    with Workspace.open("ws") as workspace:
        assert not workspace.put_draft(machine)


@pytest.mark.parametrize(("form", "options"), LOOPS)
def test_segment_export_correct_import_export_loses_nothing(form, options, place) -> None:
    export(form, options)
    replace_mask(form)
    assert take_in(form) == 0
    again = export(form, options, out="again")
    found = {(d.image_name, d.label): d for d in FORMATS[form].read(again, images=Path("photos"))}
    assert len(found) == 4
    np.testing.assert_array_equal(found["b.png", "dog"].mask, SQUARE)
    assert found["b.png", "dog"].status == "edited"
