"""Training the edge network in small: from pictures to weights, resumed, and what it learns from."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny_sets import CAT, COW, DOG, SHEEP, block, write_voc
from torch.nn import functional as F

from lfss.edge_network import LIMIT, SIDE, load_edge_network
from train import edge_network
from train.decoders.edges import Batch, Examples, loss_of, vary

CONFIG = {
    "recipe": {
        "steps": 2, "batch": 2, "rate": 1e-3, "decay": 1e-3, "average": 0.9, "width": 3, "outline": 3.0,
        "overlap": 0.7, "apart": ["cat"], "share": 0.2, "looked_at": 4,
    },
    "seed": 0, "episodes": 12, "shots": [1], "kinds": ["label", "mask"], "unknown_words": 0.5, "without": [],
    "sources": [{"root": "voc", "layout": "voc", "split": "train", "share": 1.0}],
}  # fmt: skip


@pytest.fixture
def given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Arguments of the command, on coloured blocks in the layout of VOC; smaller windows, for speed."""
    monkeypatch.setattr("train.decoders.edges.WINDOW", 80)
    entries = [{c: block(4 + 3 * i, 8 + 2 * i)} for c in (CAT, COW, DOG, SHEEP) for i in range(7)]
    write_voc(tmp_path / "data" / "voc", {"train": entries})
    (tmp_path / "config.json").write_text(json.dumps(CONFIG))
    folders = {"data": "data", "config": "config.json", "out": "run", "cache": "cache"}
    flags = [text for flag, name in folders.items() for text in (f"--{flag}", str(tmp_path / name))]
    return [*flags, "--preset", "tests.fakes:preset"]


def test_the_command_trains_writes_weights_and_goes_on_to_more_steps(
    given: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert edge_network.main(given) == 0, capsys.readouterr().err
    first = load_edge_network(tmp_path / "run" / "model")
    assert first.head.weight.abs().max() > 0
    examples = Examples(tmp_path / "run" / "examples", ["cat"], 0.2)
    about = examples.about
    assert about["done"] == len(about["classes"]) == 12
    assert {about["classes"][i] for i in examples.parts.classes} == {"cat"}
    assert "cat" not in {about["classes"][i] for i in examples.parts.train}
    trained = {about["queries"][i] for i in examples.parts.train}
    assert not trained & {about["queries"][i] for i in examples.parts.pictures}

    assert edge_network.main([*given, "--steps", "4"]) == 0, capsys.readouterr().err
    history = json.loads((tmp_path / "run" / "log.json").read_text())
    assert [row["step"] for row in history] == [2, 4]
    assert set(history[-1]["classes kept apart"]) == {
        "filter", "filter, boundary", "network", "network, boundary",
    }  # fmt: skip


def test_a_stopped_run_gives_the_weights_of_one_that_was_not(
    given: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(edge_network, "SAVE_STEPS", 1)
    learn = edge_network.Run.learn

    def stop_at_two(run: edge_network.Run, examples: Examples) -> torch.Tensor:
        if run.step == 2:
            raise KeyboardInterrupt
        return learn(run, examples)

    monkeypatch.setattr(edge_network.Run, "learn", stop_at_two)
    assert edge_network.main([*given, "--steps", "3"]) == 130
    monkeypatch.setattr(edge_network.Run, "learn", learn)
    assert edge_network.main([*given, "--steps", "3"]) == 0
    stopped = load_edge_network(tmp_path / "run" / "model").state_dict()
    (tmp_path / "run" / "checkpoint.pt").unlink()
    assert edge_network.main([*given, "--steps", "3"]) == 0
    for name, value in load_edge_network(tmp_path / "run" / "model").state_dict().items():
        torch.testing.assert_close(value, stopped[name])


def test_another_recipe_in_the_same_folder_is_refused(
    given: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert edge_network.main(given) == 0
    other = {**CONFIG, "recipe": {**CONFIG["recipe"], "rate": 5e-3}}  # type: ignore[dict-item]
    (tmp_path / "config.json").write_text(json.dumps(other))
    assert edge_network.main(given) == 2
    assert "another recipe" in capsys.readouterr().err


def scene(count: int) -> Batch:
    """Pictures, scores, cells and targets that all show the same blobs."""
    torch.manual_seed(1)
    blobs = (torch.rand(count, 1, 5, 5) > 0.5).float()
    target = F.interpolate(blobs, (SIDE, SIDE))[:, 0]
    cells = F.interpolate(target[:, None], (20, 20), mode="area")[:, 0]
    valid = torch.ones_like(target)
    return Batch(target[:, None].expand(-1, 3, -1, -1), 6 * target - 3, 6 * cells - 3, target, valid)


def test_varied_pictures_scores_cells_and_targets_stay_on_each_other() -> None:
    before = scene(8)
    seen = vary(before)
    side = seen.target.shape[-1]
    assert seen.score.abs().max() <= LIMIT
    assert abs(float(seen.target.mean() - before.target.mean())) > 1e-3
    cells = F.interpolate(seen.cells[:, None], (side, side), mode="bilinear")[:, 0]
    for row in range(8):
        truth = seen.target[row].flatten()
        for other in (seen.score[row], cells[row], seen.picture[row].mean(0)):
            assert torch.corrcoef(torch.stack((truth, other.flatten())))[0, 1] > 0.75


def test_pixels_near_the_outline_count_more_and_invalid_ones_not_at_all() -> None:
    """Two faults of one size, one beside the outline and one far from it."""
    target = torch.zeros(1, 60, 60)
    target[:, :, 30:] = 1
    sure, valid = 8 * (2 * target - 1), torch.ones(1, 60, 60)
    near, far = sure.clone(), sure.clone()
    near[:, 10:12, 31:33] *= -1
    far[:, 10:12, 54:56] *= -1

    def loss(logits: torch.Tensor, outline: float) -> float:
        return float(loss_of(logits, target, valid, outline=outline, overlap=0.0))

    assert loss(near, 0.0) == pytest.approx(loss(far, 0.0))
    assert loss(near, 3.0) == pytest.approx(4 * loss(far, 3.0), rel=0.05)
    valid[:, 10:12, 31:33] = 0
    assert loss(near, 3.0) < 1e-2
    assert float(loss_of(near, target, valid, outline=0.0, overlap=1.0)) < 1e-2


def test_stored_scores_are_those_that_the_product_would_correct(
    given: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The guided filter's score of the stored picture from the logits that are stored at 80 x 80."""
    from lfss.edge_network import logits_of
    from lfss.edges import to_pixels
    from train.decoders import edges

    read = []

    def to_pixels_of(logits: np.ndarray, picture: np.ndarray) -> np.ndarray:
        read.append(logits)
        return to_pixels(logits, picture)

    monkeypatch.setattr(edges, "to_pixels", to_pixels_of)
    assert edge_network.main([*given, "--steps", "1"]) == 0
    chosen = [0, 5]
    seen = Examples(tmp_path / "run" / "examples", ["cat"], 0.2).read(chosen)
    for row, episode in enumerate(chosen):
        picture = (255 * seen.picture[row].permute(1, 2, 0)).round().byte().numpy()
        expected = logits_of(to_pixels(read[episode], np.ascontiguousarray(picture)))
        np.testing.assert_allclose(seen.score[row].numpy(), expected, atol=0.05)
        cells = torch.from_numpy(read[episode])[None, None]
        enlarged = F.interpolate(cells, seen.cells.shape[-2:], mode="bilinear")[0, 0]
        torch.testing.assert_close(seen.cells[row], enlarged, atol=0.02, rtol=0.002)
