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
    weight = noise(4, 2).abs()
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
        best = float(best_cells(logits)[b])
        total = min(best, w[0] * float(whole[b]) + w[1] * best + float(made.bias[1]))
        assert float(found[b]) == pytest.approx(1 / (1 + math.exp(-total)), abs=1e-5)


@pytest.mark.parametrize("slope", [0.0, 0.6, 1.0, 1.7])
def test_raised_cells_give_the_same_judgement_as_those_before(slope):
    """The judge reads the cells after ``lift``; what it says must be what it says of the network's own."""
    made = Judge(torch.tensor([[0.5, slope]]).expand(40, 2), noise(40, seed=3))
    whole, odds = 3 * noise(2, 40, seed=4), 3 * noise(2, 40, 5, 6, seed=5)
    lifted = made.raise_cells(whole, odds)
    said = (0.5 * whole + slope * best_cells(odds) + made.bias).sigmoid()  # (2, 40)
    found = torch.stack([made(whole[:, c], lifted[:, c], c) for c in range(40)], 1)
    torch.testing.assert_close(found, said, atol=1e-5, rtol=1e-4)


def test_cells_are_raised_alike_until_the_best_are_as_sure_as_the_judge_and_never_lowered():
    made = Judge(torch.tensor([[1.0, 0.0], [1.0, 0.0], [0.0, 0.0]]), torch.tensor([0.5, 0.5, 9.0]))
    odds = noise(1, 3, 5, 6)
    lifted = made.raise_cells(torch.tensor([[4.0, -9.0, 4.0]]), odds)
    assert best_cells(lifted)[0, 0] == pytest.approx(4.5, abs=1e-5)
    raised = (lifted - odds)[0, 0]
    torch.testing.assert_close(raised, raised[:1, :1].expand(5, 6))
    torch.testing.assert_close(lifted[:, 1:], odds[:, 1:])  # judged absent; not learnt


def test_it_reads_the_class_token_and_the_words_own_cells(network):
    dense = noise(1, 16, 4, 4)
    dense[:, 4:] = dense[:, 4:, :1, :1]  # the class token is the same in every cell
    made = judge()
    expected = made(network.shown(dense[:, 4:, 0, 0])[:, 1], dense[:, 1], 1)
    found = MiniText(network, WORDS, made).presence(["dog"], dense)
    torch.testing.assert_close(found, expected)


def test_both_ways_to_the_cells_raise_them(network):
    pixels = noise(1, 3, 32, 48).sigmoid()
    plain = MiniEncoder(network, WORDS).encode(pixels)[0]
    sure = Judge(torch.zeros(4, 2).index_fill_(0, torch.tensor([1]), 1e-3), torch.full((4,), 8.0))
    raised = MiniEncoder(network, WORDS, sure)
    torch.testing.assert_close(raised.encode(pixels)[0], raised.vlm.encode_dense(pixels))
    moved = (raised.encode(pixels)[0] - plain).flatten(2).amax(2)[0]
    assert moved[1] > 1
    assert moved[[0, 2, 3]].abs().max() < 1e-6
    assert moved[4:].abs().max() < 1e-6


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
