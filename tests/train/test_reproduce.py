"""A miniature of every table of the paper: generated pictures, random networks, from data to the table."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tiny_sets import block, write_coco_pairs, write_voc

from train import reproduce
from train.measure import scoring
from train.paper import published
from train.paper import run as job_runner
from train.paper.jobs import Job, jobs_of
from train.paper.tables import make_table
from train.reproduce import main

ONE, OTHER = "tiny_networks:one", "tiny_networks:other"


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One class of each fold in both sets, four pictures in each list."""
    root = tmp_path_factory.mktemp("data")
    entries = [{c: block(10 + 3 * i, 12 + 4 * i)} for c in (1, 8, 12, 17) for i in range(4)]
    write_voc(root / "voc", {"trainaug": entries, "val": entries})
    write_coco_pairs(root / "coco", {1: "person", 2: "bicycle", 3: "car", 4: "motorcycle"}, each=4)
    return root


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Tables share their jobs."""
    return tmp_path_factory.mktemp("out")


def arguments(data: Path, out: Path, *more: str) -> list[str]:
    return [
        "lfss", "--data", str(data), "--out", str(out), "--cache", str(out / "cache"), "--backbones", ONE,
        "--device", "cpu", "--epochs", "1", "--checks", "1", "--epoch-episodes", "4", "--batch", "2",
        "--validate", "2", "--patience", "0", "--episodes", "2", "--no-estimate", *more,
    ]  # fmt: skip


def table_of(out: Path, name: str) -> dict:
    return json.loads((out / f"{name}.json").read_text())


def test_tables_1_and_2_compare_backbones_with_the_paper_and_what_bounds_them(
    data: Path, out: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = arguments(data, out, "--table", "1", "--folds", "1")
    given[given.index(ONE) : given.index(ONE) + 1] = [OTHER, ONE]
    assert main(given) == 0
    printed = capsys.readouterr()
    assert "Table 1: PASCAL-5i. mIoU in percent" in printed.out
    assert "Not the official data, so these are no results on it: a subset of PASCAL-5i fold 1" in printed.out
    assert "encoder outputs of 32 pictures: float16" in printed.err
    table = table_of(out, "table1")
    assert list(table["parts"]) == [OTHER, ONE]
    rows = table["parts"][ONE]["rows"]
    decoder = rows["LFSS, this project: trained decoder"]["values"]
    assert decoder[0] is None
    assert decoder[1] == decoder[4] is not None
    everything = rows["every pixel is object"]["values"][1]
    assert everything == pytest.approx(100 * 56 * 56 / (96 * 96 - 60 * 60 + 56 * 56), abs=8)
    assert main(arguments(data, out, "--table", "2", "--folds", "0")) == 0
    assert table_of(out, "table2")["parts"][ONE]["rows"]["initial mask of the query"]["values"][0] is not None


def test_table_3_is_about_the_pseudo_masks_of_both_sets_and_trains_nothing(data: Path, out: Path) -> None:
    assert main(arguments(data, out, "--table", "3", "--folds", "0", "1")) == 0
    table = table_of(out, "table3")
    for name, paper in (("pascal", [26.94, 32.52]), ("coco", [26.99, 33.84])):
        rows = table["parts"][name]["rows"]
        assert rows[published.OURS]["values"] == paper
        assert all(0 <= v <= 100 for v in rows["this project"]["values"])
    assert not list(out.rglob("untrained/*/training"))


def test_table_4_adds_the_parts_one_by_one(data: Path, out: Path) -> None:
    assert main(arguments(data, out, "--table", "4", "--folds", "1", "--sets", "pascal")) == 0
    row = table_of(out, "table4")["parts"]["pascal"]["rows"]["LFSS, this project: trained decoder"]
    assert all(v is not None for v in row["values"])
    configs = {
        p.parts[-4]: json.loads(p.read_text())
        for p in out.rglob("pascal/*one/*/fold1/training/decoder/config.json")
    }
    methods = {
        Path(p).parts[-5]: json.loads(p.read_text())["method"]
        for p in out.rglob("training/decoder/config.json")
    }
    assert configs
    assert methods["baseline"] == {"dps": False, "refine": False, "ccm": False}
    assert methods["dps"] == {"refine": False, "ccm": False}
    assert methods["dps-refine"] == {"ccm": False}
    assert methods["full"] == {}


def test_table_5_varies_window_and_alpha_on_fold_1(data: Path, out: Path) -> None:
    assert main(arguments(data, out, "--table", "5")) == 0
    part = table_of(out, "table5")["parts"]["pascal"]
    assert part["columns"] == ["n = 1", "n = 3", "n = 5", "alpha = 0.1", "alpha = 0.3", "alpha = 0.5"]
    values = part["rows"]["LFSS, this project: trained decoder"]["values"]
    assert values[1] == values[5]  # the same job
    assert all(v is not None for v in values)


def test_figure_5_needs_no_job_that_table_4_has_not(
    data: Path, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(job_runner, "train", lambda *_: pytest.fail("trained again"))
    assert main(arguments(data, out, "--figure", "5", "--folds", "1", "--sets", "pascal")) == 0
    assert table_of(out, "figure5")["parts"]["pascal"]["columns"] == ["with RCM", "with CCM"]


def test_a_stopped_job_goes_on_in_its_training_and_in_its_test(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = arguments(data, tmp_path, "--table", "1", "--folds", "0")
    monkeypatch.setattr(job_runner, "finish", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    assert main(given) == 130
    (training,) = tmp_path.rglob("training")
    assert (training / "last.ckpt").exists()
    monkeypatch.undo()
    scored: list[int] = []
    real = scoring.score_episode

    def stopping(*args, index: int, **kwargs):
        if index == 1 and 1 not in scored:
            scored.append(1)
            raise KeyboardInterrupt
        scored.append(index)
        return real(*args, index=index, **kwargs)

    monkeypatch.setattr(scoring, "score_episode", stopping)
    assert main(given) == 130
    assert (training / "decoder" / "config.json").exists()
    stamp = (training / "decoder" / "config.json").stat().st_mtime_ns
    assert main(given) == 0
    assert scored == [0, 1, 1]
    assert (training / "decoder" / "config.json").stat().st_mtime_ns == stamp
    assert main([*given, "--table-only"]) == 0


def test_what_it_takes_is_told_before_it_starts(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = [a for a in arguments(data, tmp_path, "--table", "1", "--folds", "1") if a != "--no-estimate"]
    assert main([*given, "--estimate-only", "--cache-gib", "0"]) == 0
    said = capsys.readouterr().err
    assert "none fits, so nothing is kept" in said
    assert "steps at" in said
    assert "1 folds to do" in said
    assert not list(tmp_path.rglob("training"))


def test_folds_without_pictures_are_left_out_and_the_rest_goes_on(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_voc(
        tmp_path / "few" / "voc",
        {"train": [{8: block()}] * 4 + [{12: block()}] * 4, "val": [{8: block()}] * 2},
    )
    given = arguments(tmp_path / "few", tmp_path / "out", "--table", "1")
    assert main([*given, "--estimate-only"]) == 0
    said = capsys.readouterr().err
    assert "fold0 is left out. Of PASCAL-5i fold 0 nothing is left to test" in said
    assert main([*given, "--folds", "0"]) == 2
    assert "None of these folds can be made" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["--table", "1", "--part", "4/3"], "is no part; write 1/3"),
        (["--table", "1", "--sets", "coco"], "Table 1 is about pascal"),
        (["--table", "1", "--only", "x"], "--only names no job"),
        (["--table", "1", "--method", "depth=3"], "no choice 'depth'"),
        (["--table", "1", "--backbones", "none"], "There is no preset 'none'"),
    ],
)
def test_bad_requests_are_told(
    data: Path, tmp_path: Path, more: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments(data, tmp_path, *more)) == 2
    assert said in capsys.readouterr().err


def test_machines_share_the_jobs_without_overlap() -> None:
    jobs = list(jobs_of(1, folds=(0, 1, 2, 3), backbones=("vgg16", "resnet50"), sets=("pascal", "coco")))
    parts = [reproduce._part(jobs, f"{i}/3") for i in (1, 2, 3)]
    assert sorted(j for part in parts for j in part) == sorted(jobs)
    assert len(jobs) == 8
    assert jobs[0].preset == "paper-vgg16"


def test_jobs_of_every_table() -> None:
    everything = {"folds": (0, 1, 2, 3), "backbones": ("vgg16", "resnet50"), "sets": ("pascal", "coco")}
    counts = {n: len(list(jobs_of(n, **everything))) for n in range(6)}  # type: ignore[arg-type]
    assert counts == {0: 16, 1: 8, 2: 8, 3: 8, 4: 32, 5: 5}
    assert all(j.backbone == "resnet50" for n in (3, 4, 5) for j in jobs_of(n, **everything))  # type: ignore[arg-type]


def test_the_papers_means_are_those_of_its_folds() -> None:
    for number in (1, 2):
        for rows in published.TABLES[number].rows.values():
            for method, _, values in rows:
                *folds, mean = values
                if None not in folds:
                    assert sum(folds) / 4 == pytest.approx(mean, abs=0.11), method  # type: ignore[arg-type]


def test_a_mean_is_of_the_folds_that_are_there() -> None:
    def result(miou: float) -> dict:
        return {
            "mean": {"decoder": {"miou": miou}}, "title": "t", "official": True, "episodes": 1, "seed": 0,
            "seconds": {"training": 1800.0, "test": 1800.0},
        }  # fmt: skip

    results = {Job("pascal", "resnet50", "full", f): result(v) for f, v in ((0, 0.5), (2, 0.7))}
    table = make_table(1, results, backbones=["resnet50"], sets=["pascal"], command="c")
    values = table["parts"]["resnet50"]["rows"]["LFSS, this project: trained decoder"]["values"]
    assert values == pytest.approx([50, None, 70, None, 60], nan_ok=True)
    assert table["official"]
    assert table["hours"] == 2
