"""TLG as a whole: what reaches the query's output, what receives a gradient, what is never read."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from lfss.errors import WeightsMismatch
from lfss.methods import METHODS, Episode, map_tensors
from lfss.methods.tlg import Tlg, TlgConfig, save_tlg
from tests.masks import coin, noise
from tests.methods.made import a_class

B, K, H, W = 2, 2, 8, 9
CHANNELS = (6, 4)
SMALL = TlgConfig(width=32, cells=6, tokens=3, heads=2, sinkhorn_steps=5)


def episode(*, classes: int = 1, seed: int = 0) -> Episode:
    made = []
    for n in range(classes):
        at = seed + 10 * n
        known = coin(B, K, H, W, seed=at + 1, share=0.4).float()
        features = (noise(B, K, 6, H, W, seed=at + 4), noise(B, K, 4, 4, 5, seed=at + 5))
        made.append(a_class(known, torch.zeros(B, K, H, W), features, seed=at))
    query = (noise(B, 6, H, W, seed=seed + 6), noise(B, 4, 4, 5, seed=seed + 7))
    return Episode(query_features=query, classes=tuple(made))


def network(**changes) -> Tlg:
    torch.manual_seed(0)
    built = Tlg(CHANNELS, replace(SMALL, **changes))
    # Away from the identities that fusion and text start from, so that nothing is hidden by a zero.
    for module in (built.text_query.mix, built.text_support.mix):
        torch.nn.init.normal_(module.weight, std=0.5)
    return built


def test_a_factor_of_one_is_the_middle_of_the_colours_of_text_planes():
    (info,) = (stage for stage in Tlg.stages if stage.key == "text_plane")
    assert (info.low, info.high) == (0, 2)


def test_tlg_is_the_method_of_that_name():
    assert METHODS["tlg"] is Tlg


def test_every_class_gets_logits_and_every_stage_its_tensor():
    steps = {step.key: step for step in network().steps(episode(classes=2))}
    assert steps["prediction"].query("logits").shape == (B, 2, 2 * H, 2 * W)
    assert steps["prediction"].query("presence").shape == (B, 2)
    assert steps["correlation"].query("likeness").shape == (B, 2, SMALL.cells, SMALL.cells)
    for stage in Tlg.stages:
        for name in (stage.query, stage.supports):
            assert name is None or name in steps[stage.step].tensors, stage.key


def test_every_trainable_parameter_receives_a_gradient():
    built = network()
    given = episode()
    branches = built.branches(given.classes[0], given)
    (branches.query.square().mean() + branches.support.square().mean()).backward()
    silent = [n for n, p in built.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
    assert silent == []


def test_the_published_behaviour_leaves_aggregation_transport_and_text_untrained():
    built = network(published=True)
    given = episode()
    built(given).sum().backward()
    silent = {n.split(".")[0] for n, p in built.named_parameters() if p.grad is None}
    assert {"aggregate_query", "aggregate_support", "transport", "text_query", "merge"} <= silent
    assert "pairs" not in silent


def test_the_output_follows_the_supports_mask_but_not_in_the_published_behaviour():
    given = episode()
    (one,) = given.classes
    flipped = replace(given, classes=(replace(one, known=1 - one.known),))
    for published in (False, True):
        # Without the query's own pseudo mask: that one follows the support's through LFSS.
        built = network(published=published, use_query_mask=False).eval()
        with torch.no_grad():
            same = torch.allclose(built(given), built(flipped))
        assert same == published


def test_the_query_mask_is_never_made_where_it_is_not_used(monkeypatch):
    built = network(use_query_mask=False).eval()
    with torch.no_grad():
        branches = built.branches(episode().classes[0], episode())
        steps = {step.key: step for step in built.steps(episode())}
    assert branches.query_mask is None
    assert "query" not in steps["pseudo_masks"].tensors


def test_shots_in_another_order_give_the_same_answer():
    given = episode()
    (one,) = given.classes
    turned = replace(given, classes=(one.only([1, 0]),))
    built = network().eval()
    with torch.no_grad():
        torch.testing.assert_close(built(given), built(turned))


def test_a_batch_gives_what_its_items_give_alone():
    given = episode()

    def item(i: int) -> Episode:
        return map_tensors(given, lambda t: t[i : i + 1])

    built = network().eval()
    with torch.no_grad():
        whole = built(given)
        for i in range(B):
            torch.testing.assert_close(built(item(i)), whole[i : i + 1], atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("part", ["aggregation", "transport", "text"])
def test_each_part_can_be_left_out(part):
    with torch.no_grad():
        assert not torch.allclose(network(**{part: False}).eval()(episode()), network().eval()(episode()))


def test_weights_are_kept_for_their_own_backbone(tmp_path):
    built = network().eval()
    save_tlg(built, tmp_path / "tlg", backbone="small", channels=CHANNELS)
    again = Tlg.build(backbone="small", channels=CHANNELS, weights=str(tmp_path / "tlg")).eval()
    with torch.no_grad():
        torch.testing.assert_close(again(episode()), built(episode()))
    with pytest.raises(WeightsMismatch, match="not for tlg on 'other'"):
        Tlg.build(backbone="other", channels=CHANNELS, weights=str(tmp_path / "tlg"))
    with pytest.raises(WeightsMismatch, match="no trained weights"):
        Tlg.build(backbone="small", channels=CHANNELS)


def test_weights_in_the_models_folder_are_found_by_their_backbone(tmp_path):
    built = network().eval()
    save_tlg(built, tmp_path / "tlg-small", backbone="small", channels=CHANNELS)
    again = Tlg.build(backbone="small", channels=CHANNELS, models_dir=tmp_path).eval()
    with torch.no_grad():
        torch.testing.assert_close(again(episode()), built(episode()))
    with pytest.raises(WeightsMismatch, match="tlg-other'; or choose"):
        Tlg.build(backbone="other", channels=CHANNELS, models_dir=tmp_path)


def test_weights_of_another_shape_are_refused(tmp_path):
    save_tlg(network(), tmp_path / "tlg", backbone="small", channels=CHANNELS)
    with pytest.raises(WeightsMismatch, match="of another shape"):
        Tlg.build(backbone="small", channels=(6, 5), weights=str(tmp_path / "tlg"))
