"""The judge of presence: what it reads, and when it keeps silent."""

from __future__ import annotations

import math

import pytest
import torch

from lfss.encoders.judge import BEST, Judge, best_cells
from lfss.encoders.mini import JUDGE, MiniEncoder, MiniText, load_mini, mini_config
from lfss.encoders.mini_network import Mini, MiniConfig
from lfss.encoders.vocabulary import Concept, Vocabulary
from lfss.weights import save_model
from tests.masks import noise

WORDS = Vocabulary(
    (Concept("background"), Concept("dog", ("puppy",)), Concept("cat"), Concept("lion", trust=0.5))
)
CONFIG = MiniConfig(concepts=4, match_dim=6, hidden=8, dim=12, depth=12, heads=2)


@pytest.fixture(scope="module")
def network() -> Mini:
    torch.manual_seed(0)
    return Mini(CONFIG)


def judge() -> Judge:
    """Knows dog and lion."""
    weight = noise(4, 2)
    weight[[0, 2]] = 0
    return Judge(weight, noise(4, seed=1))


def test_best_cells_equal_a_plain_loop():
    logits = noise(2, 3, 10, 15)
    made = best_cells(logits)
    count = round(BEST * 150)
    for b in range(2):
        for v in range(3):
            best = sorted(logits[b, v].flatten().tolist())[-count:]
            assert made[b, v] == pytest.approx(sum(best) / count)
    assert best_cells(logits[..., :1, :1]).shape == (2, 3)


def test_the_judge_is_a_logistic_regression_on_the_whole_picture_and_the_best_cells():
    whole, logits, made = noise(2), noise(2, 4, 5, seed=2), judge()
    found = made(whole, logits, 1)
    for b in range(2):
        w = made.weight[1].tolist()
        total = w[0] * float(whole[b]) + w[1] * float(best_cells(logits)[b]) + float(made.bias[1])
        assert float(found[b]) == pytest.approx(1 / (1 + math.exp(-total)), abs=1e-5)


def test_it_reads_the_class_token_and_the_words_own_cells(network):
    dense = noise(1, 16, 4, 4)
    dense[:, 4:] = dense[:, 4:, :1, :1]  # the class token is the same in every cell
    made = judge()
    expected = made(network.shown(dense[:, 4:, 0, 0])[:, 1], dense[:, 1], 1)
    found = MiniText(network, WORDS, made).presence(["dog"], dense)
    torch.testing.assert_close(found, expected)


def test_the_surest_of_several_names_counts(network):
    dense = noise(1, 16, 4, 4)
    text = MiniText(network, WORDS, judge())
    dog, lion = (float(text.presence([word], dense)) for word in ("puppies", "lion"))
    assert float(text.presence(["dog", "lion"], dense)) == max(dog, lion)


@pytest.mark.parametrize("phrases", [["cat"], ["qwertz"], ["dog", "cat"], []])
def test_it_keeps_silent_about_what_it_has_not_learnt(network, phrases):
    assert MiniText(network, WORDS, judge()).presence(phrases, noise(1, 16, 4, 4)) is None


def test_without_a_judge_there_is_no_judgement(network):
    assert MiniText(network, WORDS).presence(["dog"], noise(1, 16, 4, 4)) is None


def test_it_is_saved_beside_the_weights_and_may_be_absent(network, tmp_path):
    config, state = mini_config(network, WORDS), network.state_dict()
    save_model(tmp_path / "plain", state, config)
    assert load_mini(tmp_path / "plain").vlm.judge is None
    made = judge()
    save_model(tmp_path / "judged", {**state, **dict(zip(JUDGE, (made.weight, made.bias)))}, config)
    loaded = load_mini(tmp_path / "judged")
    assert isinstance(loaded, MiniEncoder)
    torch.testing.assert_close(loaded.vlm.judge.weight, made.weight)
    assert [loaded.vlm.judge.has_learnt(c) for c in range(4)] == [False, True, False, True]
