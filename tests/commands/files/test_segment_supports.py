"""Supports and their marks on the command line of ``lfss segment``."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import PIL.Image
import pytest
from fake_model import save_photo, segment

from lfss.__main__ import main


def test_marks_become_supports(place, model):
    mask = np.zeros((24, 32), np.uint8)
    mask[3:9, 4:10] = 255
    PIL.Image.fromarray(mask).save("m=1.png")
    assert segment("--mask", "s1.png=m=1.png", "--box", "s2.png=0,0,5,5", "--box", "s2.png=20,10,30,20") == 0
    first, second = (s.known for s in model.supports)
    assert first is not None
    assert second is not None
    np.testing.assert_array_equal(first == 1, mask > 0)
    assert (second == -1).sum() == 25 + 100
    assert second[0, 0] == second[19, 29] == -1
    assert second[7, 12] == 0


def test_a_box_around_the_whole_picture_says_nothing(place, model):
    assert segment("--box", "s1.png=0,0,32,24") == 0
    assert model.supports[0].known is None


def test_scribbles_become_supports_and_others_stay_unknown(place, model):
    strokes = np.zeros((24, 32, 3), np.uint8)
    strokes[3, 4:10] = 0, 255, 0
    strokes[20, 4:10] = 255, 0, 0
    PIL.Image.fromarray(strokes).save("strokes.png")
    assert segment("--scribble", "./s2.png=strokes.png") == 0
    first, second = (s.known for s in model.supports)
    assert first is None
    assert second is not None
    assert [(second == value).sum() for value in (1, 0)] == [6, 6]


def bad_marks() -> dict[str, tuple[list[str], str]]:
    return {
        "no such support": (["--box", "s9.png=1,2,3,4"], "names no support"),
        "no equals sign": (["--box", "1,2,3,4"], "names no support"),
        "three numbers": (["--box", "s1.png=1,2,3"], "not four numbers"),
        "not finite": (["--box", "s1.png=1,2,3,inf"], "not four numbers"),
        "outside": (["--box", "s1.png=1,2,3,400"], "does not lie in"),
        "two kinds": (["--box", "s1.png=1,2,3,4", "--mask", "s1.png=s2.png"], "more than one mark"),
        "two masks": (["--mask", "s1.png=s2.png", "--mask", "s1.png=s2.png"], "more than one mark"),
        "mask of another size": (["--mask", "s1.png=wide.png"], "its picture is 24 x 32"),
        "mask without object": (["--mask", "s1.png=black.png"], "marks no pixel"),
        "mask missing": (["--mask", "s1.png=none.png"], "no file 'none.png'"),
        "no strokes": (["--scribble", "s1.png=black.png"], "no stroke"),
    }


@pytest.mark.parametrize("case", bad_marks())
def test_bad_marks_are_refused_before_anything_is_done(case, place, model, capsys):
    save_photo(place / "wide.png", size=(24, 40))
    save_photo(place / "black.png", bright=0)
    more, words = bad_marks()[case]
    assert segment(*more) == 2
    assert words in (told := capsys.readouterr().err)
    assert len(told.strip().splitlines()) == 1
    assert not Path("out").exists()


def test_supports_of_one_name_are_told_apart_by_path(place, model, capsys):
    save_photo(place / "more" / "s1.png")
    line = "segment --label dog --support {} --query photos --out out --overwrite"
    base = line.format("s1.png more/s1.png more").split()
    assert main([*base, "--box", "more/s1.png=1,1,9,9"]) == 0
    assert [s.known is not None for s in model.supports] == [False, True]
    assert main([*base, "--box", "s1.png=1,1,9,9"]) == 0
    assert [s.known is not None for s in model.supports] == [True, False]
    both = line.format("./more/s1.png photos/../s1.png").split()
    assert main([*both, "--box", "s1.png=1,1,9,9"]) == 2
    assert "Several supports" in capsys.readouterr().err
