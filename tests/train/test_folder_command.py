"""The command that measures the folder pass: how folders are drawn and counted, its file, its refusals."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from lfss.errors import InputError
from lfss.images import Image
from tests.train.tiny_sets import write_animals
from train.data.datasets import open_data
from train.data.encode import AnnotatedPicture
from train.folder import main, read_choices, summarise
from train.measure.folders import Score, _score, draw_folder


@pytest.fixture
def animals(tmp_path: Path):
    root = write_animals(tmp_path / "voc", each=6)
    return open_data(root, "voc", split="val", cache=tmp_path / "cache")


def test_a_folder_is_scored_over_all_its_pictures_and_usable_drafts_are_counted():
    def picture(*rows: str) -> AnnotatedPicture:
        mask = drawn(*rows)
        return AnnotatedPicture(Image(np.zeros((*mask.shape, 3), np.uint8), "a.png"), mask, mask & False)

    def drawn(*rows: str) -> np.ndarray:
        return np.array([[c == "#" for c in row] for row in rows])

    pictures = {"a": picture("##..", "##.."), "b": picture("#...", "...."), "none": picture("....", "....")}
    masks = {"a": drawn("##..", "##.."), "b": drawn("##..", "##.."), "none": drawn("....", "....")}
    assert _score(pictures, masks, helped=True) == Score(5 / 8, 2 / 3, 1 / 2, True)


def test_a_folder_has_its_share_of_pictures_without_the_object_and_smaller_shares_are_part_of_it(animals):
    folder = draw_folder(animals, "cat", photos=4, most=0.75, seed=0)
    for share, lacking in ((0.0, 0), (0.25, 1), (0.75, 3)):
        ids = folder.mixed(share)
        assert len(set(ids)) == 4
        assert folder.support not in ids
        shown = [folder.class_id in animals.sample(i).areas for i in ids]
        assert shown == [True] * (4 - lacking) + [False] * lacking
    assert set(folder.mixed(0.25)[:3]) < set(folder.mixed(0.0))
    assert folder == draw_folder(animals, "cat", photos=4, most=0.75, seed=0)
    assert folder != draw_folder(animals, "cat", photos=4, most=0.75, seed=1)


def test_more_supports_are_beside_the_folder_and_change_nothing_of_it(animals):
    folder = draw_folder(animals, "cat", photos=3, most=0.5, seed=0)
    wider = draw_folder(animals, "cat", photos=3, most=0.5, seed=0, supports=3)
    assert (wider.support, wider.shown, wider.others) == (folder.support, folder.shown, folder.others)
    assert len({wider.support, *wider.more}) == 3
    assert not {*wider.more} & {*wider.shown}
    with pytest.raises(InputError, match="needs 7"):
        draw_folder(animals, "cat", photos=4, most=0.0, seed=0, supports=3)


def test_a_folder_that_cannot_be_filled_is_refused(animals):
    with pytest.raises(InputError, match="Ask for fewer --photos"):
        draw_folder(animals, "cat", photos=40, most=0.0, seed=0)


def test_means_are_over_classes_and_spreads_over_seeds():
    runs = [
        {"0": {"a": {"cat": Score(x, 1.0, None, True), "cow": Score(0.5, 0.0, 0.5, False)}}}
        for x in (0.7, 0.9)
    ]
    row = summarise(runs)["0"]["a"]
    assert row["miou"] == pytest.approx(0.65)
    assert row["miou_std"] == pytest.approx(np.std([0.6, 0.7], ddof=1))
    assert (row["usable"], row["shown"], row["helped"]) == (0.5, 0.5, 0.5)
    assert row["iou"]["cat"] == pytest.approx(0.8)


def test_choices_are_read_by_name_and_others_refused():
    assert read_choices(["share=0.3", "pictures=12"]).pictures == 12
    for wrong in ("shares=1", "share=much", "share"):
        with pytest.raises(InputError, match="is no choice of the pass"):
            read_choices([wrong])


def test_it_writes_every_share_and_never_over_a_result(tmp_path, monkeypatch, capsys):
    root, out = write_animals(tmp_path / "voc", each=6), tmp_path / "result.json"
    typed = [
        *("--data", str(root), "--split", "val", "--classes", "cat,cow", "--photos", "4", "--seed", "0", "1"),
        *("--foreign", "0", "40", "--preset", "tests.fakes:preset", "--device", "cpu"),
        *("--annotation", "mask", "--checked", "2", "--supports", "2"),
        *("--cache", str(tmp_path / "cache"), "--out", str(out)),
    ]
    assert main(typed) == 0
    result = json.loads(out.read_text())
    assert set(result["mean"]) == {"0", "40"}
    rows = result["mean"]["0"]
    assert 0.5 < rows["label only"]["miou"] <= 1
    assert rows["label only"]["helped"] == 0
    assert set(rows) == {"label only", "2 supports", "folder pass", "label only, rest", "some checked, rest"}
    assert rows["folder pass"]["miou"] >= rows["label only"]["miou"] - 0.05
    assert "train.folder" in result["command"]
    assert main(typed) == 2
    assert "is there already" in capsys.readouterr().err
    # A wrong class is told before the right ones before it have cost their time.
    monkeypatch.delattr("train.folder.predict_folder")
    typed[typed.index("cat,cow")], typed[-1] = "cat,unicorn", str(tmp_path / "other.json")
    assert main(typed) == 2
    assert "There is no class 'unicorn'" in capsys.readouterr().err
