"""Fitting the judge: the right odds, concepts with few photos near the common rule, honest figures."""

from __future__ import annotations

import json

import pytest
import torch

from lfss.encoders.mini import load_mini, mini_config
from lfss.encoders.mini_network import Mini, MiniConfig
from lfss.encoders.vocabulary import Concept, Vocabulary
from lfss.weights import save_model
from train.mini.presence import Read, aucs, fit, learn, left_out, own_offsets, write


def photos(count: int, *, seed: int = 0, shift: float = 0.0, rare: float = 0.02) -> Read:
    """Concepts 1 and 2 are told by both numbers; concept 2 reads higher by ``shift``; 3 is rare."""
    rng = torch.Generator().manual_seed(seed)
    chance = torch.tensor([0.5, 0.5, 0.5, rare])
    state = (torch.rand(count, 4, generator=rng) < chance).to(torch.int8)
    values = torch.randn(count, 4, 2, generator=rng) + 2 * state[..., None] - 1
    values[:, 2] += shift
    return Read(values, state)


def test_even_odds_lie_between_photos_with_and_without() -> None:
    seen = photos(2000)
    weight, offset = fit(seen, [1, 2])
    logits = seen.values @ weight + offset
    shown = seen.state[:, 1] == 1
    found, silent = (logits[shown, 1] > 0).float().mean(), (logits[~shown, 1] < 0).float().mean()
    assert float(found) == pytest.approx(float(silent), abs=0.05)
    assert float(found) > 0.85
    assert weight.min() > 0


def test_a_concept_that_reads_high_everywhere_gets_its_own_offset() -> None:
    train = photos(2000, shift=3.0)
    offsets = own_offsets(train, torch.tensor([1.0, 1.0]), 0.0)
    assert float(offsets[1] - offsets[2]) == pytest.approx(6, abs=0.5)


def test_a_concept_with_few_photos_stays_near_the_common_offset() -> None:
    train = photos(500, rare=0.002)
    train.values[:, 3] += 3
    offsets = own_offsets(train, torch.tensor([1.0, 1.0]), 0.5)
    assert abs(float(offsets[3]) - 0.5) < 1.5  # its photos alone would say - 5.5


def test_too_few_photos_have_no_auc() -> None:
    seen = photos(200, rare=0.01)
    found = aucs(seen.values[..., 0], seen.state)
    assert 3 not in found
    assert found[1] > 0.85


def test_what_is_not_known_does_not_count() -> None:
    seen = photos(400)
    state, values = seen.state.clone(), seen.values.clone()
    state[200:, 1], values[200:, 1] = -1, 50
    found = aucs(values[..., 0], state)
    assert found[1] == pytest.approx(aucs(values[:200, :, 0], seen.state[:200])[1])


def test_the_judge_is_written_beside_the_weights_and_read_again(tmp_path) -> None:
    torch.manual_seed(0)
    network = Mini(MiniConfig(concepts=4, match_dim=4, hidden=4, dim=12, depth=12, heads=2))
    words = Vocabulary(tuple(Concept(name) for name in ("background", "cat", "dog", "owl")))
    save_model(tmp_path, network.state_dict(), mini_config(network, words))
    weight, bias, report = learn(photos(300), photos(300, seed=1))
    write(tmp_path, weight, bias, report)
    judge = load_mini(tmp_path).vlm.judge
    assert judge is not None
    torch.testing.assert_close(judge.weight, weight, atol=1e-2, rtol=1e-2)
    told = json.loads((tmp_path / "config.json").read_text())["presence"]
    assert set(told["by concept"]) >= {"cat", "dog"}
    assert told["by concept"]["cat"]["judge"] > 0.9


def test_the_concepts_that_a_model_was_kept_from_are_read_from_its_recipe() -> None:
    assert left_out({"training": {"steps": 9, "recipe": {"exclude": ["cat", "cow"]}}}) == ["cat", "cow"]
    assert left_out({}) == []
