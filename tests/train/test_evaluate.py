"""The command: right figures, resumed exactly, bad requests told before work starts."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from tiny_sets import CAT, block, write_animals, write_voc

from lfss.errors import InputError
from lfss.methods import METHODS
from tests.methods.panet_like import PanetLike
from tests.train.tiny_sets import red_and_blue
from train import evaluate as command
from train.data import splits
from train.data.datasets import open_data
from train.data.episodes import sample_episodes, save_episodes
from train.data.splits import Official, coco_fold, pascal_fold
from train.evaluate import main, title
from train.measure import scoring
from train.measure.masks import MASKS, SHIPPED
from train.measure.metrics import Scores
from train.measure.report import summarise, text_table
from train.measure.scoring import Record, presence_at


@pytest.fixture(scope="module")
def colours(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four red and four blue rectangles, in the layout ``folder``."""
    return red_and_blue(tmp_path_factory.mktemp("colours"), 8)


def arguments(colours: Path, tmp_path: Path, *more: str) -> list[str]:
    return [
        "--data", str(colours), "--layout", "folder", "--classes", "red,blue", "--episodes", "6",
        "--preset", "tests.fakes:preset", "--device", "cpu", "--cache", str(tmp_path / "cache"),
        "--out", str(tmp_path / "out" / "result.json"), *more,
    ]  # fmt: skip


def result_of(tmp_path: Path) -> dict:
    return json.loads((tmp_path / "out" / "result.json").read_text())


@pytest.mark.parametrize("protocol", ["native", "hsnet", "panet"])
def test_every_readout_is_scored_drawn_and_stored(
    colours: Path, tmp_path: Path, protocol: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments(colours, tmp_path, "--protocol", protocol, "--presence")) == 0
    result = result_of(tmp_path)
    assert list(result["mean"]) == [*MASKS, SHIPPED]
    assert result["mean"]["final"]["miou"] > 0.9
    assert result["mean"]["all foreground"]["miou"] == pytest.approx(120 * 140 / (240 * 320), abs=0.01)
    assert sum(result["mean"]["final"]["episodes"].values()) == 6
    assert result["presence_auc"] == 1
    assert result["presence"][0] == {"limit": 0.5, "kept": 1, "emptied": 1}
    assert result["command"].startswith("python -m train.evaluate --data")
    said = capsys.readouterr().out
    assert "final, edges" in said
    assert "empties 100.0% of those without it" in said
    assert "pictures x 0.0 MiB" in said
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["result.json", "result.png"]


def test_a_stopped_run_goes_on_and_ends_with_the_same_figures(
    colours: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    assert main(arguments(colours, whole)) == 0
    scored: list[int] = []
    real = scoring.score_episode

    def stopping(*args, index: int, **kwargs):
        if index == 4 and 4 not in scored:
            scored.append(4)
            raise KeyboardInterrupt
        scored.append(index)
        return real(*args, index=index, **kwargs)

    monkeypatch.setattr(scoring, "score_episode", stopping)
    assert main(arguments(colours, parts)) == 130
    assert "goes on from here" in capsys.readouterr().err
    partial = parts / "out" / "result.json.partial"
    partial.write_text(partial.read_text() + '{"seed": 0, "ind')  # killed while writing
    assert main(arguments(colours, parts)) == 0
    assert scored == [0, 1, 2, 3, 4, 4, 5]
    assert result_of(parts)["mean"] == result_of(whole)["mean"]
    assert not partial.exists()


def test_a_finished_result_is_shown_and_not_made_again(
    colours: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments(colours, tmp_path)) == 0
    table = capsys.readouterr().out.splitlines()[-2]
    monkeypatch.setattr(command, "evaluate", lambda *_, **__: pytest.fail("made again"))
    assert main(arguments(colours, tmp_path)) == 0
    assert table in capsys.readouterr().out
    assert main(arguments(colours, tmp_path, "--kind", "mask")) == 2
    assert "holds a result of other settings" in capsys.readouterr().err


def test_a_partial_result_of_other_settings_is_refused(
    colours: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "result.json.partial").write_text('{"preset": "other"}\n')
    assert main(arguments(colours, tmp_path)) == 2
    assert "begun with other settings" in capsys.readouterr().err


def test_several_seeds_give_a_mean_and_a_spread(colours: Path, tmp_path: Path) -> None:
    assert main(arguments(colours, tmp_path, "--seed", "0", "1", "--kind", "box")) == 0
    result = result_of(tmp_path)
    runs = [run["final"]["miou"] for run in result["runs"]]
    assert result["seeds"] == [0, 1]
    assert result["mean"]["final"]["miou"] == pytest.approx(np.mean(runs))
    assert result["mean"]["final"]["miou_std"] == pytest.approx(np.std(runs, ddof=1))
    assert len(list((tmp_path / "cache" / "episodes").iterdir())) == 2


def test_a_stored_list_is_used_as_it_is(colours: Path, tmp_path: Path) -> None:
    data = open_data(colours, "folder", cache=tmp_path / "cache")
    save_episodes(sample_episodes(data, ["red"], shots=2, count=3, seed=9), tmp_path / "list.jsonl")
    assert main(arguments(colours, tmp_path, "--list", str(tmp_path / "list.jsonl"))) == 0
    result = result_of(tmp_path)
    assert (result["seeds"], result["shots"], result["episodes"]) == ([9], 2, [3])
    assert list(result["mean"]["final"]["iou"]) == ["red"]


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["--classes", "red,green"], "There is no class 'green'. Known: red, blue"),
        (["--shots", "4"], "4-shot episodes need 5 pictures a class"),
        (["--preset", "nonsense"], "There is no preset 'nonsense'"),
        (["--split", "test"], "There is no split 'test'"),
        (["--layout", "yolo"], "There is no layout 'yolo'"),
        (["--list", "gone.jsonl"], "There is no episode list 'gone.jsonl'"),
    ],
)
def test_bad_requests_are_told_before_any_work(
    colours: Path, tmp_path: Path, more: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments(colours, tmp_path, *more)) == 2
    assert said in capsys.readouterr().err
    assert not (tmp_path / "out" / "result.json").exists()


def test_folds_need_a_layout_that_has_them(
    colours: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    without = [a for a in arguments(colours, tmp_path) if a not in ("--classes", "red,blue")]
    assert main([*without, "--fold", "1"]) == 2
    assert "layout folder has no folds" in capsys.readouterr().err
    assert main(without) == 2
    assert "Say what to segment" in capsys.readouterr().err


def test_a_subset_is_not_called_by_the_published_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = write_voc(tmp_path / "voc", {"val": [{CAT: block()}, {CAT: block()}]})
    data = open_data(root, "voc", split="val", cache=tmp_path / "cache")
    fold = pascal_fold(1)
    assert title(data, fold.novel, fold) == "5 classes of 2 pictures in 'voc', split val"
    monkeypatch.setitem(splits.OFFICIAL, ("voc", "val"), Official(2, {"area": (0, 2, 0, 0)}))
    assert title(data, fold.novel, fold) == "PASCAL-5i fold 1"
    assert title(data, ["cat"]) == "1 classes of 2 pictures in 'voc', split val"


def test_a_data_set_without_official_counts_never_has_a_published_name(tmp_path: Path) -> None:
    data = open_data(write_animals(tmp_path / "voc"), "voc", cache=tmp_path / "cache")
    assert "PASCAL" not in title(data, ["cat"], pascal_fold(1))
    assert coco_fold(0, "contiguous").title != coco_fold(0, "interleaved").title


def test_absent_figures_are_dashes_and_not_numbers() -> None:
    nothing = Scores({"cat": float("nan")}, {"cat": float("nan")}, {"cat": 0}, float("nan"), 0.5, 0.25)
    table = text_table(summarise([{"final": nothing}]))
    assert table.splitlines()[1].split() == ["final", "-", "-", "0.0", "25.0", "50.0"]


def test_presence_needs_pictures_without_the_class(tmp_path: Path) -> None:
    root = write_voc(tmp_path / "voc", {"val": [{CAT: block()}, {CAT: block()}]})
    data = open_data(root, "voc", split="val", cache=tmp_path / "cache")
    (spec,) = sample_episodes(data, ["cat"], shots=1, count=1, seed=0).episodes
    with pytest.raises(InputError, match="Every picture of 'voc' shows cat"):
        scoring._picture_without(data, spec, scoring.Draws("x"))


def test_another_method_is_measured_by_its_name(
    colours: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(METHODS, "panet", PanetLike)
    assert main(arguments(colours, tmp_path, "--method", "panet", "--kind", "mask", "--presence")) == 0
    result = result_of(tmp_path)
    assert result["settings"]["method"] == "panet"
    assert "refined" not in result["mean"]  # it does not refine
    assert result["mean"]["initial"]["miou"] > 0.9
    assert result["mean"]["final"]["miou"] > 0.9
    assert "panet on tests.fakes:preset" in capsys.readouterr().out
    again = [*arguments(colours, tmp_path, "--kind", "mask", "--presence")]
    assert main(again) == 2  # another method does not go on with these results
    assert "other settings" in capsys.readouterr().err
    assert main(arguments(colours, tmp_path / "x", "--method", "panet", "--decoder", "a=b")) == 2
    assert "leave it out with --method" in capsys.readouterr().err


def test_a_limit_of_presence_keeps_and_empties() -> None:
    records = [Record(0, i, {}, (0.1 * i, 0.05 * i), 0.0) for i in range(10)]
    assert presence_at(records, (0.3, 0.41)) == [
        {"limit": 0.3, "kept": 0.7, "emptied": 0.6},
        {"limit": 0.41, "kept": 0.5, "emptied": 0.9},
    ]
    assert presence_at([Record(0, 0, {}, (0.5, None), 0.0)], (0.3,)) is None
