"""mini: two maps from one pass, behind both contracts."""

from __future__ import annotations

import time

import pytest
import torch
from torch.nn import functional as F

from lfss.encoders.mini import Mini, MiniConfig, MiniEncoder, load_mini, mini_config
from lfss.encoders.vocabulary import Concept, Vocabulary
from lfss.errors import WeightsMismatch, WeightsUnavailable
from lfss.weights import save_model

WORDS = Vocabulary((Concept("background"), Concept("dog", ("puppy",), ("beagle",)), Concept("cat")))


@pytest.fixture(scope="module")
def encoder() -> MiniEncoder:
    torch.manual_seed(0)
    return MiniEncoder(Mini(MiniConfig(width=32, match_dim=12, text_dim=10, concepts=3)), WORDS)


@pytest.fixture(scope="module")
def pixels() -> torch.Tensor:
    return torch.rand(2, 3, 64, 96, generator=torch.Generator().manual_seed(1))


def test_one_pass_gives_what_both_contracts_give(encoder, pixels):
    dense, features = encoder.encode(pixels)
    torch.testing.assert_close(dense, encoder.vlm.encode_dense(pixels))
    torch.testing.assert_close(features[0], encoder.backbone(pixels)[0])


def test_maps_have_stride_8_and_unit_cells(encoder, pixels):
    dense, (features,) = encoder.encode(pixels)
    assert dense.shape == (2, encoder.vlm.dim, 8, 12)
    assert features.shape == (2, *encoder.backbone.channels, 8, 12)
    assert encoder.backbone.strides == (8,)
    for cells in (dense[:, :10], features):
        torch.testing.assert_close(cells.norm(dim=1), torch.ones(2, 8, 12))
    torch.testing.assert_close(dense[:, 10:], encoder.network.maps(pixels))


def test_a_side_that_is_no_multiple_of_32_is_stretched(encoder):
    dense, _ = encoder.encode(torch.rand(1, 3, 400, 40))
    assert dense.shape[-2:] == (52, 4)


def test_the_trunk_runs_once_for_both_sides(encoder, pixels):
    calls = []
    handle = encoder.network.trunk.register_forward_hook(lambda *_: calls.append(1))
    encoder.encode(pixels)
    handle.remove()
    assert calls == [1]


def test_text_rows_are_table_rows_and_zero_for_unknown_words(encoder):
    rows = encoder.vlm.encode_text(["puppies", "cat", "qwertz", "dog"])
    table = F.normalize(encoder.network.table, dim=1)
    torch.testing.assert_close(rows[:, :10], torch.stack((table[1], table[2], torch.zeros(10), table[1])))
    assert not rows[:, 10:].any()  # no word asks for the maps behind the evidence


def test_familiarity_tells_names_kinds_and_unknown_words_apart(encoder):
    known = [encoder.vlm.familiarity(p) for p in ("dog", "beagle", "qwertz")]
    assert known[0] == 1
    assert 0 < known[1] < 1
    assert known[2] == 0


def test_a_concept_needs_no_competitors(encoder):
    assert encoder.vlm.competitors(["dog", "puppy"]) == ()


def test_concept_logits_follow_the_contract(encoder, pixels):
    dense, _ = encoder.encode(pixels)
    rows = encoder.vlm.encode_text(["background", "dog", "cat"])
    expected = torch.empty(2, 3, 8, 12)
    for b in range(2):
        for v in range(3):
            for r in range(8):
                for c in range(12):
                    expected[b, v, r, c] = encoder.vlm.logit_scale * (dense[b, :, r, c] * rows[v]).sum()
    made = encoder.network.concept_logits(dense[:, :10])
    torch.testing.assert_close(made, expected, atol=1e-4, rtol=1e-4)


def test_inputs_are_unchanged_and_outputs_need_no_gradient(encoder, pixels):
    before = pixels.clone()
    dense, (features,) = encoder.encode(pixels)
    assert torch.equal(pixels, before)
    assert not dense.requires_grad
    assert not features.requires_grad


def test_saved_as_float16_it_loads_and_answers_almost_alike(encoder, pixels, tmp_path):
    state = {k: v.half() if v.is_floating_point() else v for k, v in encoder.network.state_dict().items()}
    save_model(tmp_path / "mini", state, mini_config(encoder.network, WORDS))
    loaded = load_mini(tmp_path / "mini")
    assert loaded.vocabulary == WORDS
    cosine = F.cosine_similarity(loaded.encode(pixels)[1][0], encoder.encode(pixels)[1][0], dim=1)
    assert cosine.min() > 0.99


def test_every_parameter_gets_a_gradient(pixels):
    torch.manual_seed(0)
    network = Mini(MiniConfig(width=32, match_dim=12, text_dim=10, concepts=3))
    dense, features = network(pixels)
    weight = torch.randn(features.shape)
    (network.concept_logits(dense).log_softmax(1)[:, 1].mean() + (features * weight).sum()).backward()
    silent = [n for n, p in network.named_parameters() if p.grad is None or not p.grad.any()]
    assert silent == []


def test_a_missing_folder_or_other_weights_are_told(encoder, tmp_path):
    with pytest.raises(WeightsUnavailable):
        load_mini(tmp_path / "nowhere")
    config = mini_config(encoder.network, WORDS)
    state = dict(encoder.network.state_dict())
    state.pop("table")
    save_model(tmp_path / "cut", state, config)
    with pytest.raises(WeightsMismatch, match="table"):
        load_mini(tmp_path / "cut")


def test_the_shipped_model_loads_in_two_seconds_of_work():
    began = time.process_time()
    shipped = load_mini()
    assert time.process_time() - began < 2  # of the processor, so that a busy machine does not matter
    assert shipped.vocabulary.resolve("puppies").concept.name == "dog"
    assert shipped.vlm.judge is not None


def test_a_word_that_is_not_believed_is_not_judged() -> None:
    encoder = load_mini()
    dense = torch.rand(1, encoder.vlm.dim, 32, 32)
    assert encoder.vlm.familiarity("cheetah") == 0
    assert encoder.vlm.presence(["cheetah"], dense) is None
    assert encoder.vlm.presence(["dog"], dense) is not None
