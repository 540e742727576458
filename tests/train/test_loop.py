"""The whole loop in small, from the command line: maps, fit, resume, evaluate; both decoders."""

from __future__ import annotations

import contextlib
import importlib
import io
import json
from pathlib import Path

import pytest
from tiny_sets import CAT, COW, DOG, SHEEP, block, write_voc

PRESET = "tests.fakes:preset"
CONFIG = {
    "recipe": {"decoder": "portable", "steps": 4, "batch": 4, "width": 8, "kept_apart": 2, "checks": 1},
    "seed": 0,
    "episodes": 12,
    "shots": [1],
    "kinds": ["label", "mask"],
    "unknown_words": 0.5,
    "without": [],
    "sources": [{"root": "voc", "layout": "voc", "split": "train", "share": 1.0, "per_class": 8}],
}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Coloured blocks as cat, cow, dog and sheep, seven pictures each, in the layout of VOC."""
    root = tmp_path_factory.mktemp("data")
    entries = [{c: block(4 + 3 * i, 8 + 2 * i)} for c in (CAT, COW, DOG, SHEEP) for i in range(7)]
    write_voc(root / "voc", {"train": entries, "val": entries[:21]})
    return root


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the encoders made of the pictures, kept from one command to the next."""
    return tmp_path_factory.mktemp("cache")


def run(command: str, *arguments: object) -> str:
    """A command that must succeed, by its module; what it printed."""
    said, errors = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(errors):
        code = importlib.import_module(command).main([str(a) for a in arguments])
    assert code == 0, errors.getvalue()[-2000:]
    return said.getvalue()


def test_a_portable_decoder_is_trained_resumed_and_measured(data: Path, cache: Path, tmp_path: Path) -> None:
    config = tmp_path / "config.json"
    config.write_text(json.dumps(CONFIG))
    common = ("--data", data, "--preset", PRESET, "--cache", cache)
    run("train.maps", "--config", config, "--out", tmp_path / "maps", *common)
    fit = ("train.fit", "--config", config, "--maps", tmp_path / "maps", "--out", tmp_path / "run")
    run(*fit, "--accelerator", "cpu")
    run(*fit, "--accelerator", "cpu", "--steps", "8", "--resume")
    printed = run(
        "train.evaluate", "--data", data / "voc", "--split", "val", "--classes", "cat,cow", "--episodes", "4",
        "--kind", "mask", "--preset", PRESET, "--cache", cache,
        "--decoder", f"portable={tmp_path / 'run' / 'decoder'}", "--out", tmp_path / "result.json",
    )  # fmt: skip
    assert "portable, edges" in printed
    result = json.loads((tmp_path / "result.json").read_text())
    assert result["mean"]["portable"]["episodes"] == {"cat": 2.0, "cow": 2.0}


def test_the_papers_decoder_is_trained_and_measured(data: Path, cache: Path, tmp_path: Path) -> None:
    config = tmp_path / "config.json"
    recipe = {"decoder": "paper", "steps": 1, "batch": 2, "kept_apart": 2, "checks": 1, "overlap": 0.0}
    config.write_text(json.dumps({**CONFIG, "recipe": recipe, "kinds": ["box"]}))
    printed = run(
        "train.fit", "--config", config, "--data", data, "--preset", PRESET, "--cache", cache,
        "--out", tmp_path / "run", "--accelerator", "cpu",
    )  # fmt: skip
    decoder = Path(printed.strip().splitlines()[-1])
    run(
        "train.evaluate", "--data", data / "voc", "--split", "val", "--classes", "cat", "--episodes", "1",
        "--kind", "mask", "--preset", PRESET, "--cache", cache,
        "--decoder", f"paper={decoder}", "--out", tmp_path / "a.json",
    )  # fmt: skip
    assert "paper, edges" in json.loads((tmp_path / "a.json").read_text())["mean"]


def test_variants_are_compared_and_the_cost_of_a_fold_is_known(
    data: Path, cache: Path, tmp_path: Path
) -> None:
    common = ("--preset", PRESET, "--cache", cache, "--episodes", "2")
    printed = run(
        "train.ablate", "--data", data / "voc", "--split", "val", "--classes", "cat,cow", "--seed", "0", "1",
        "--kind", "mask", "--out", tmp_path / "table.json", *common,
    )  # fmt: skip
    assert "| window 1, alpha 0.1 |" in printed
    assert len(json.loads((tmp_path / "table.json").read_text())["table"]["+ CCM = all"]["final"]) == 2
    config = tmp_path / "config.json"
    config.write_text(json.dumps(CONFIG))
    report = json.loads(
        run("train.bench_fold", "--data", data, "--config", config, "--group", "cat-cow", "--json", *common)
    )
    assert report["fold"]["episodes"] == 12
    assert all(minutes > 0 for minutes in report["minutes a fold"].values())
