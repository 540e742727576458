"""What a person changed in another tool comes back as changed by a person, and nothing of it is lost."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
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
]


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


def replace_mask(form: str) -> None:
    """What the person does in the other tool: the dog of b becomes a square."""
    if form == "labelme":
        file, data = labelme_file("b")
        shape = data["shapes"][0] | {"shape_type": "mask", "points": [[10, 10], [19, 19]]}
        shape["mask"] = base64.b64encode(png_bytes(np.full((10, 10), 255, np.uint8))).decode()
        file.write_text(json.dumps(data | {"shapes": [shape]}))
    elif form == "coco":
        file = Path("out/annotations/instances_default.json")
        data = json.loads(file.read_text())
        b = next(i["id"] for i in data["images"] if i["file_name"] == "b.png")
        for annotation in data["annotations"]:
            if annotation["image_id"] == b:
                annotation["segmentation"] = [[10, 10, 20, 10, 20, 20, 10, 20]]
        file.write_text(json.dumps(data))
    else:
        legend = json.loads(Path("out/legend.json").read_text())
        value = next(e["value"] for e in legend["labels"] if e["name"] == "dog")
        folder = Path("out/masks/dog" if legend["separate"] else "out/masks")
        levels = SQUARE.astype(np.uint8) * (255 if legend["separate"] else value)
        PIL.Image.fromarray(levels).save(folder / "b.png")


def delete_mask(form: str) -> None:
    """The dog of b is deleted."""
    if form == "labelme":
        file, data = labelme_file("b")
        file.write_text(json.dumps(data | {"shapes": []}))
    elif form == "coco":
        file = Path("out/annotations/instances_default.json")
        data = json.loads(file.read_text())
        b = next(i["id"] for i in data["images"] if i["file_name"] == "b.png")
        data["annotations"] = [a for a in data["annotations"] if a["image_id"] != b]
        file.write_text(json.dumps(data))
    else:
        legend = json.loads(Path("out/legend.json").read_text())
        folder = Path("out/masks/dog" if legend["separate"] else "out/masks")
        PIL.Image.fromarray(np.zeros(SIZE, np.uint8)).save(folder / "b.png")


def rename_label(form: str) -> None:
    """The dog of b is a wolf."""
    if form == "labelme":
        file, data = labelme_file("b")
        for shape in data["shapes"]:
            shape["label"] = "wolf"
        file.write_text(json.dumps(data))
    else:
        file = Path("out/annotations/instances_default.json")
        data = json.loads(file.read_text())
        b = next(i["id"] for i in data["images"] if i["file_name"] == "b.png")
        data["categories"].append({"id": 99, "name": "wolf"})
        for annotation in data["annotations"]:
            if annotation["image_id"] == b:
                annotation["category_id"] = 99
        file.write_text(json.dumps(data))


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


@pytest.mark.parametrize(("form", "options"), LOOPS)
def test_a_deleted_mask_makes_its_draft_absent(form, options, place) -> None:
    export(form, options)
    delete_mask(form)
    assert take_in(form) == 0
    assert states()["b", "dog"][0] == "absent"
    with Workspace.open("ws") as workspace:
        assert workspace.undo(draft("b").image_digest, "dog").mask.any(), "the old mask is one undo away"


@pytest.mark.parametrize(("form", "options"), [loop for loop in LOOPS if loop[0] != "png"])
def test_a_renamed_label_leaves_no_draft_of_the_old_one(form, options, place) -> None:
    export(form, options)
    old = draft("b").mask
    rename_label(form)
    assert take_in(form) == 0
    assert states()["b", "dog"][0] == "absent"
    assert states()["b", "wolf"] == ("edited", "person")
    wolf = draft("b", "wolf").mask
    assert (wolf & old).sum() > 0.95 * (wolf | old).sum()


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
    found = {(d.image_name, d.label): d for d in FORMATS[form].read(again)}
    assert len(found) == 4
    np.testing.assert_array_equal(found["b.png", "dog"].mask, SQUARE)
    assert found["b.png", "dog"].status == "edited"
