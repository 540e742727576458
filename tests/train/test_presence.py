"""Fitting the judge: the right rows, the right odds, and figures that are worth their name."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
import torch

from lfss.encoders.mini import Mini, MiniConfig, load_mini, mini_config
from lfss.encoders.vocabulary import Concept, Vocabulary
from lfss.weights import save_model
from train import presence as made
from train.presence import DRAWN, Seen, aucs, calibrate, fit, learn, shares, write


def photos(count: int, *, seed: int = 0, share: float = 0.5) -> Seen:
    """Concept 1 is told by channel 3, concept 2 by its best cells, concept 3 is rare."""
    rng = torch.Generator().manual_seed(seed)
    state = (torch.rand(count, 4, generator=rng) < torch.tensor([0.5, share, 0.5, 0.02])).to(torch.int8)
    whole = torch.randn(count, 6, generator=rng)
    own = torch.randn(count, 4, generator=rng)
    whole[:, 3] += 4 * state[:, 1]
    own[:, 2] += 4 * state[:, 2]
    return Seen(whole, own, state, torch.rand(count, 4, generator=rng) < 0.5)


def test_each_concept_finds_what_tells_it():
    train, new = photos(400), photos(200, seed=1)
    weight, bias = fit(train, [1, 2], 0.001)
    assert weight[1].abs().argmax() == 3
    assert weight[2].abs().argmax() == 6  # the best cells
    found = aucs(new.logits(weight, bias), new.state, [1, 2])
    assert min(found.values()) > 0.97
    assert not weight[[0, 3]].any()
    assert not bias[[0, 3]].any()


def test_photos_with_and_without_weigh_alike():
    new = photos(2000, seed=1, share=0.1)
    logits = new.logits(*fit(photos(2000, share=0.1), [1], 0.001))[:, 1]
    shown = new.state[:, 1] == 1
    found, silent = (logits[shown] > 0).float().mean(), (logits[~shown] < 0).float().mean()
    assert float(found) == pytest.approx(float(silent), abs=0.05)


def test_shares_equal_a_plain_loop():
    seen = photos(60)
    seen.state[::7, 1] = -1
    seen.drawn[:, 2] = True  # nothing is known from labels alone
    made = shares(seen, [1, 2])
    for place, concept in enumerate((1, 2)):
        for value in (0, 1):
            rows = [n for n in range(60) if seen.state[n, concept] == value]
            drawn = [n for n in rows if seen.drawn[n, concept]]
            for n in rows:
                alone = len(drawn) == len(rows)
                group = len(drawn) if n in drawn else len(rows) - len(drawn)
                weight = 1.0 if alone else (DRAWN if n in drawn else 1 - DRAWN)
                assert made[n, place] == pytest.approx(weight / group / 2, rel=1e-4)
    assert not made[::7, 0].any()


def test_what_is_not_known_does_not_count():
    train = photos(300)
    wrong = replace(train, whole=train.whole.clone(), state=train.state.clone())
    wrong.state[150:, 1] = -1
    wrong.whole[150:, 3] = -wrong.whole[150:, 3]
    found = aucs(fit_logits(wrong), photos(200, seed=2).state, [1])
    assert found[1] > 0.95


def fit_logits(seen: Seen) -> torch.Tensor:
    new = photos(200, seed=2)
    return new.logits(*fit(seen, [1], 0.001))


def test_a_calibrated_logit_is_no_surer_than_it_may_be():
    rng = torch.Generator().manual_seed(0)
    truth = torch.randn(4000, 2, generator=rng)
    state = (torch.rand(4000, 2, generator=rng) < truth.sigmoid()).to(torch.int8)
    scale, offset = calibrate(3 * truth + 1, state)
    assert scale == pytest.approx(1 / 3, abs=0.05)
    assert offset == pytest.approx(-1 / 3, abs=0.1)


def test_too_few_photos_have_no_auc():
    state = torch.tensor([[1, 1]] * 7 + [[0, 1]] * 20 + [[-1, 1]] * 20, dtype=torch.int8)
    assert aucs(torch.randn(47, 2), state, [0, 1]) == {}


def test_rare_concepts_are_not_learnt_and_the_report_says_what_was_gained(capsys):
    weight, bias, report = learn(photos(400), photos(200, seed=1))
    assert weight[1].any()
    assert weight[2].any()
    assert not weight[3].any()
    assert float(bias[3]) == 0
    assert report["concepts"] == 2
    assert report["by concept"][1]["best cells"] < 0.6
    assert report["by concept"][1]["judge"] > 0.97
    assert report["penalty"] in made.PENALTIES
    assert "penalty" in capsys.readouterr().out


def test_the_judge_is_written_beside_the_weights(tmp_path):
    torch.manual_seed(0)
    network = Mini(MiniConfig(width=32, match_dim=12, text_dim=3, concepts=4))
    words = Vocabulary(tuple(Concept(name) for name in ("background", "dog", "cat", "lion")))
    save_model(tmp_path, network.state_dict(), mini_config(network, words))
    weight, bias, report = learn(photos(400), photos(200, seed=1))
    write(tmp_path, weight, bias, report)
    loaded = load_mini(tmp_path)
    torch.testing.assert_close(loaded.vlm.judge.weight, weight, rtol=1e-3, atol=1e-3)
    kept = json.loads((tmp_path / "config.json").read_text())["presence"]
    assert set(kept["by concept"]) == {"dog", "cat"}
