"""mini: two maps from one pass, behind both contracts."""

from __future__ import annotations

import math
import time

import pytest
import torch
from torch.nn import functional as F

from lfss.encoders.int8 import quantised_state
from lfss.encoders.judge import Judge
from lfss.encoders.mini import MiniEncoder, load_mini, mini_config
from lfss.encoders.mini_network import Mini, MiniConfig, log_odds
from lfss.encoders.vocabulary import Concept, Vocabulary
from lfss.errors import WeightsMismatch, WeightsUnavailable
from lfss.labels import WEAK
from lfss.weights import save_model
from train.mini.export import int8_names

WORDS = Vocabulary((Concept("background"), Concept("dog", ("puppy",), ("beagle",)), Concept("cat")))
CONFIG = MiniConfig(concepts=3, match_dim=12, hidden=10, dim=24, depth=12, heads=2)


@pytest.fixture(scope="module")
def encoder() -> MiniEncoder:
    torch.manual_seed(0)
    return MiniEncoder(Mini(CONFIG), WORDS)


@pytest.fixture(scope="module")
def pixels() -> torch.Tensor:
    return torch.rand(2, 3, 64, 96, generator=torch.Generator().manual_seed(1))


def test_one_pass_gives_what_both_contracts_give(encoder, pixels):
    dense, features = encoder.encode(pixels)
    torch.testing.assert_close(dense, encoder.vlm.encode_dense(pixels))
    torch.testing.assert_close(features[0], encoder.backbone(pixels)[0])


def test_black_and_white_are_the_ends_of_what_the_network_reads(encoder, pixels):
    torch.testing.assert_close(encoder.network.tower(pixels), 2 * pixels - 1)


def test_maps_have_stride_16_and_features_are_unit_cells(encoder, pixels):
    dense, (features,) = encoder.encode(pixels)
    assert dense.shape == (2, encoder.vlm.dim, 4, 6)
    assert features.shape == (2, *encoder.backbone.channels, 4, 6)
    torch.testing.assert_close(features.norm(dim=1), torch.ones(2, 4, 6))


def test_a_side_that_is_no_multiple_of_16_is_stretched(encoder):
    dense, _ = encoder.encode(torch.rand(1, 3, 200, 40))
    assert dense.shape[-2:] == (13, 3)  # 12.5 and 2.5 cells


def test_the_trunk_runs_once_for_both_sides(encoder, pixels):
    calls = []
    handle = encoder.network.trunk.blocks[0].register_forward_hook(lambda *_: calls.append(1))
    encoder.encode(pixels)
    handle.remove()
    assert calls == [1]


def test_text_rows_point_at_concepts_and_are_zero_for_unknown_words(encoder):
    rows = encoder.vlm.encode_text(["puppies", "cat", "qwertz", "dog"])
    expected = torch.tensor([[0.0, 1, 0], [0, 0, 1], [0, 0, 0], [0, 1, 0]])
    assert torch.equal(rows[:, :3], expected)
    assert not rows[:, 3:].any()  # no word asks for the class token behind the log odds


def test_text_trust_tells_names_kinds_and_unknown_words_apart(encoder):
    known = [encoder.vlm.text_trust(p) for p in ("dog", "beagle", "qwertz")]
    assert known[0] == 1
    assert 0 < known[1] < 1
    assert known[2] == 0


def test_a_concept_needs_no_competitors(encoder):
    assert encoder.vlm.competitors(["dog", "puppy"]) == ()


def test_a_words_logit_is_its_log_odds_against_all_other_words(encoder, pixels):
    dense, _ = encoder.encode(pixels)
    rows = encoder.vlm.encode_text(["dog", "cat"])
    made = encoder.vlm.logit_scale * torch.einsum("bdhw,vd->bvhw", dense, rows)
    chance = encoder.network(pixels).concepts.softmax(1)
    for v, concept in enumerate((1, 2)):
        for cell in ((0, 0, 0), (1, 3, 5)):
            p = float(chance[cell[0], concept, cell[1], cell[2]])
            assert float(made[cell[0], v, cell[1], cell[2]]) == pytest.approx(math.log(p / (1 - p)), abs=1e-3)


def test_words_compete_and_log_odds_stay_finite_where_one_is_certain():
    logits = torch.tensor([3.0, 2.0, -1.0]).view(1, 3, 1, 1)
    alone = log_odds(logits)[0, :, 0, 0]
    rival = log_odds(torch.tensor([3.0, 4.0, -1.0]).view(1, 3, 1, 1))[0, :, 0, 0]
    assert alone[0] > 0 > rival[0]
    certain = log_odds(torch.tensor([60.0, 0.0, 0.0]).view(1, 3, 1, 1))[0, :, 0, 0]
    assert float(certain[0]) == pytest.approx(60 - math.log(2), abs=1e-3)
    assert float(certain[1]) == pytest.approx(-60, abs=1e-3)


def test_inputs_are_unchanged_and_outputs_need_no_gradient(encoder, pixels):
    before = pixels.clone()
    dense, (features,) = encoder.encode(pixels)
    assert torch.equal(pixels, before)
    assert not dense.requires_grad
    assert not features.requires_grad


def test_saved_as_int8_it_loads_and_answers_almost_alike(encoder, pixels, tmp_path):
    names = int8_names(encoder.network)
    assert len(names) == 4 * CONFIG.depth
    state = quantised_state(encoder.network.state_dict(), names)
    save_model(tmp_path / "mini", state, mini_config(encoder.network, WORDS))
    loaded = load_mini(tmp_path / "mini")
    assert loaded.vocabulary == WORDS
    (made, (features,)), (expected, (wanted,)) = loaded.encode(pixels), encoder.encode(pixels)
    assert F.cosine_similarity(features, wanted, dim=1).min() > 0.99
    torch.testing.assert_close(made[:, :3], expected[:, :3], atol=0.1, rtol=0)


def test_every_parameter_gets_a_gradient(pixels):
    torch.manual_seed(0)
    network = Mini(CONFIG)
    maps = network(pixels)
    weight = torch.randn(maps.match.shape)
    loss = (
        maps.concepts.log_softmax(1)[:, 1].mean()
        + (maps.match * weight).sum()
        + network.shown(maps.whole).sum()
    )
    loss.backward()
    silent = [n for n, p in network.named_parameters() if p.grad is None or not p.grad.any()]
    assert silent == []


def test_a_missing_folder_or_other_weights_are_told(encoder, tmp_path):
    with pytest.raises(WeightsUnavailable):
        load_mini(tmp_path / "nowhere")
    config = mini_config(encoder.network, WORDS)
    state = dict(encoder.network.state_dict())
    state.pop("match.weight")
    save_model(tmp_path / "cut", state, config)
    with pytest.raises(WeightsMismatch, match=r"match\.weight"):
        load_mini(tmp_path / "cut")


def test_the_shipped_model_loads_in_two_seconds_of_work():
    began = time.process_time()
    shipped = load_mini()
    assert time.process_time() - began < 2  # of the processor, so that a busy machine does not matter
    assert shipped.vocabulary.resolve("puppies").concept.name == "dog"
    assert shipped.vlm.judge is not None


def test_the_judge_of_a_weak_word_is_given_twice_the_odds(pixels) -> None:
    def judged(trust: float) -> torch.Tensor:
        torch.manual_seed(0)
        words = Vocabulary((Concept("background"), Concept("dog", trust=trust), Concept("cat")))
        weight, bias = torch.ones(3, 2), torch.full((3,), -2.0)
        encoder = MiniEncoder(Mini(CONFIG), words, Judge(weight, bias))
        presence = encoder.vlm.presence(["dog"], encoder.vlm.encode_dense(pixels))
        assert presence is not None
        return presence.double().logit()

    torch.testing.assert_close(judged(WEAK - 0.01), judged(WEAK) + math.log(2), atol=1e-4, rtol=0)


def test_a_word_that_is_not_known_is_not_judged() -> None:
    encoder = load_mini()
    dense = torch.rand(1, encoder.vlm.dim, 24, 24)
    assert encoder.vlm.text_trust("qwertz") == 0
    assert encoder.vlm.presence(["qwertz"], dense) is None
    assert encoder.vlm.presence(["dog"], dense) is not None
