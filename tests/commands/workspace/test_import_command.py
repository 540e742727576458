"""``lfss import``."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
from red_scenes import BOTH, decide, lfss, rows, segment, two_scenes
from samples import a_draft, digest_of, write_photo

from lfss.__main__ import main
from lfss.commands import report
from lfss.errors import WorkspaceError
from lfss.images import read_image
from lfss.workspace import Workspace


def test_an_export_comes_back_into_another_workspace(place, capsys):
    assert segment() == 0
    decide(a="accepted", b="absent")
    line = "export --workspace ws --format coco --rle --images --out out --status accepted absent proposed"
    assert lfss(line) == 0
    assert lfss("import --workspace other --format coco out --images out/images/default") == 0
    assert "3 drafts imported" in capsys.readouterr().out
    assert rows("other") == rows()
    with Workspace.open("ws") as one, Workspace.open("other") as two:
        for draft in one.drafts("red"):
            again = two.draft(draft.image_digest, "red")
            assert again is not None
            np.testing.assert_array_equal(again.mask, draft.mask)


@pytest.mark.parametrize("what", ["--label red --support s.png", BOTH])
def test_a_folder_of_results_comes_into_a_workspace_as_if_made_there(place, what, capsys):
    two_scenes(place)
    line = ("--query", "both", "photos/a.png", "--threshold", "0.4")
    assert segment(*line, what=what) == 0
    assert segment(*line, what=what, to="--out out") == 0
    file = Path("out/lfss-run.json")
    record = json.loads(file.read_text())
    record["results"].append({**record["results"][0], "image": "of an earlier version.png", "file": ""})
    file.write_text(json.dumps(record))
    capsys.readouterr()
    assert lfss("import --workspace other --format png out --images . --json") == 0
    assert json.loads(capsys.readouterr().out)["joined"] == 0
    with Workspace.open("ws", create=False) as one, Workspace.open("other") as two:
        assert len(one.drafts()) == len(two.drafts()) > 2
        for draft in one.drafts():
            again = two.draft(draft.image_digest, draft.label)
            np.testing.assert_array_equal(again.mask, draft.mask)
            for name in ("status", "score", "presence", "doubt", "lost", "origin", "image_path"):
                assert getattr(again, name) == getattr(draft, name), name
    capsys.readouterr()
    assert lfss("import --workspace other --format png out --images .") == 0
    assert "0 drafts imported" in capsys.readouterr().out


def test_a_picture_that_is_not_found_is_told_with_what_to_do(place, capsys):
    square = {"label": "dog", "points": [[1, 1], [9, 1], [9, 9]], "shape_type": "polygon"}
    lost = {"imagePath": "lost.png", "imageHeight": 20, "imageWidth": 20, "shapes": [square]}
    Path("lost.json").write_text(json.dumps(lost))
    for more, advice in (("", "Name the folder of the pictures"), (" --images photos", "Rename it there")):
        assert lfss(f"import --workspace other --format labelme lost.json --json{more}") == 1
        (problem,) = json.loads(capsys.readouterr().out)["problems"]
        assert "lost.png" in problem
        assert advice in problem


def test_a_record_that_names_a_file_elsewhere_is_not_followed(place, capsys):
    assert segment("--query", "photos/a.png", to="--out out") == 0
    file = Path("out/lfss-run.json")
    document = json.loads(file.read_text())
    document["results"][0]["file"] = "../photos/b.png"
    file.write_text(json.dumps(document))
    assert lfss("import --workspace other --format png out --images photos") == 1
    assert "does not lie in the folder of the run" in capsys.readouterr().out


def coco_file(*shapes: tuple[str, str], path: str = "found.json") -> str:
    """A COCO file of another program: a square for each (picture, label), each further to the right."""
    pictures, labels = (list(dict.fromkeys(column)) for column in zip(*shapes))
    annotations = []
    for place, (picture, label) in enumerate(shapes):
        left = 10 + 30 * place
        corners = [left, 10, left + 20, 10, left + 20, 30, left, 30]
        annotations.append(
            {
                "image_id": pictures.index(picture),
                "category_id": labels.index(label),
                "segmentation": [corners],
            }
        )
    document = {
        "images": [
            {"id": i, "file_name": name, "height": 144, "width": 160} for i, name in enumerate(pictures)
        ],
        "categories": [{"id": i, "name": name} for i, name in enumerate(labels)],
        "annotations": annotations,
    }
    Path(path).write_text(json.dumps(document))
    return path


@pytest.mark.parametrize("more", [(), ("--as-supports",)])
def test_two_spellings_of_a_label_are_imported_as_one(place, more, capsys):
    assert segment() == 0
    with Workspace.open("ws") as workspace:
        workspace.add_label("Dog")
    file = coco_file(("a.png", "dog"), ("a.png", "DOG"))
    assert main(["import", "--workspace", "ws", "--format", "coco", file, *more]) == 0
    with Workspace.open("ws") as workspace:
        assert [category.name for category in workspace.labels()] == ["red", "Dog"]
        if more:
            (known,) = [support.known == 1 for support in workspace.supports("dog")]
        else:
            known = workspace.drafts("dog")[0].mask
        assert known[20, 20]
        assert known[20, 50]


def test_objects_of_one_label_become_one_mask_and_pictures_are_found_by_name(place, capsys):
    assert segment() == 0
    file = coco_file(("a.png", "dog"), ("a.png", "dog"), ("a.png", "cat"), ("x.png", "dog"))
    assert main(["import", "--workspace", "ws", "--format", "coco", file, "--json"]) == 1
    document = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert (document["stored"], document["kept"], document["joined"]) == (2, 0, 1)
    assert "'x.png' is not among the 4 pictures in the workspace" in document["problems"][0]
    with Workspace.open("ws") as workspace:
        (dog,) = workspace.drafts("dog")
        assert (dog.mask.sum(), dog.status, dog.image_name) == (800, "accepted", "a.png")


def test_masks_on_copies_of_one_picture_are_not_lost_in_silence(place, capsys):
    (place / "photos/a2.png").write_bytes((place / "photos/a.png").read_bytes())
    (place / "masks").mkdir()
    for name, columns in (("a", 40), ("a2", 40), ("b", 30)):
        mask = np.zeros((144, 160), np.uint8)
        mask[20:60, :columns] = 255
        PIL.Image.fromarray(mask).save(place / "masks" / f"{name}.png")
    line = "import --workspace ws --format png masks --label dog --images photos"
    assert lfss(line) == 0
    assert "has the same pixels as" in capsys.readouterr().out
    PIL.Image.fromarray(np.eye(144, 160, dtype=np.uint8) * 255).save(place / "masks/a2.png")
    assert lfss(line + " --overwrite") == 1
    assert "Left out: 'photos/a2.png' has the same pixels as 'photos/a.png'" in capsys.readouterr().out


def test_drafts_that_are_there_stay_unless_they_may_be_replaced(place, capsys):
    assert segment() == 0
    line = ["import", "--workspace", "ws", "--format", "coco", coco_file(("a.png", "red"))]
    assert main(line) == 0
    assert "0 drafts imported, 1 already there" in capsys.readouterr().out
    assert main([*line, "--overwrite", "--status", "edited"]) == 0
    digest = read_image("photos/a.png").digest
    with Workspace.open("ws") as workspace:
        assert workspace.draft(digest, "red").mask.sum() == 400
        assert workspace.undo(digest, "red").status == "proposed"


def test_masks_become_supports(place, capsys):
    file = coco_file(("a.png", "red"))
    line = f"import --workspace ws --format coco {file} --images photos --as-supports"
    assert lfss(line) == 0
    assert "1 support imported" in capsys.readouterr().out
    with Workspace.open("ws") as workspace:
        (support,) = workspace.supports("red")
        assert ((support.known == 1).sum(), (support.known == 0).sum()) == (400, 144 * 160 - 400)
    assert segment(what="--label red") == 0
    assert len(rows()) == 3


def test_black_and_white_masks_need_their_label(place, capsys):
    write_photo(place / "masks" / "a.png", size=(144, 160))
    line = "import --workspace ws --format png masks --images photos"
    assert lfss(line) == 2
    assert main([*line.split(), "--label", "dog"]) == 0
    assert rows() == {"a.png": "accepted"}


def test_a_mask_of_another_size_costs_only_itself(place, capsys):
    with Workspace.open("ws") as workspace:
        workspace.put_draft(a_draft(0, "cow", image_name="a.png", image_digest=digest_of(0)))
        workspace.put_draft(a_draft(1, "cow", image_name="b.png", size=(144, 160)))
    file = coco_file(("a.png", "dog"), ("b.png", "dog"))
    assert main(["import", "--workspace", "ws", "--format", "coco", file]) == 1
    text = capsys.readouterr().out
    assert "1 draft imported" in text
    assert "'found.json', 'a.png': The picture 'a.png' is 60 x 80" in text


def test_an_import_that_cannot_be_stored_stops_at_once(place, monkeypatch, capsys):
    file = coco_file(("a.png", "dog"), ("b.png", "dog"))

    def locked(*_args, **_options):
        raise WorkspaceError("Another program is writing to the workspace.")

    monkeypatch.setattr(Workspace, "put_draft", locked)
    assert main(["import", "--workspace", "ws", "--format", "coco", file, "--images", "photos"]) == 1
    text = capsys.readouterr().out
    assert text.count("Another program is writing") == 1
    assert "0 drafts imported" in text


def test_a_support_without_its_picture_costs_only_itself(place, capsys):
    with Workspace.open("ws") as workspace:
        workspace.put_draft(a_draft(0, "red", status="accepted"))
        workspace.add_image("photos/a.png")
    assert lfss("export --workspace ws --format coco --out out") == 0
    line = "import --workspace other --format coco out --as-supports"
    assert lfss(line) == 1
    assert "not in the workspace" in capsys.readouterr().out


def test_failures_beyond_a_hundred_are_counted(place, monkeypatch, capsys):
    monkeypatch.setattr(report, "MOST_TOLD", 2)
    for number in range(5):
        (place / "photos" / f"text{number}.jpg").write_text("no picture")
    assert segment() == 1
    text = capsys.readouterr().out
    assert "and 3 more pictures" in text
    assert sum("text" in line for line in text.splitlines()) == 2
