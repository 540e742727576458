"""The modules of TLG one by one, against loops and identities."""

from __future__ import annotations

import torch

from lfss.methods.tlg.aggregation import Aggregation, PooledResidual, normalised, query_levels, support_levels
from lfss.methods.tlg.correlation import CentrePivotConv4d, PairEncoder, correlate, swapped
from lfss.methods.tlg.decoder import MaskFusion, SharedDecoder
from lfss.methods.tlg.text import TextPlanes, class_map, surroundings_map
from lfss.methods.tlg.transport import Transport, sinkhorn


def random(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def test_query_and_support_never_read_the_same_level_of_several():
    for count in (2, 3, 4, 5):
        assert not set(query_levels(count)) & set(support_levels(count))


def test_aggregation_does_not_depend_on_the_backbones_scale():
    module = Aggregation((4, 6), 8)
    levels = [random(2, 4, 8, 8), random(2, 6, 4, 4, seed=1)]
    out = module(levels, (8, 8))
    assert out.shape == (2, 8, 8, 8)
    torch.testing.assert_close(out, module([100 * level for level in levels], (8, 8)))


def test_pooled_residuals_differ_by_their_pooling():
    strongest, mean = (PooledResidual(4, 8, pooling=p) for p in ("max", "mean"))
    strongest.load_state_dict(mean.state_dict())
    level = random(1, 4, 6, 6)
    assert strongest(level, (6, 6)).shape == (1, 8, 6, 6)
    assert (strongest(level, (6, 6)) >= mean(level, (6, 6))).all()


def test_correlation_is_the_clamped_cosine_of_every_pair():
    query, support = random(2, 5, 3, 4), random(2, 5, 3, 4, seed=1)
    out = correlate([query], [support], None, cells=16)
    assert out.shape == (2, 1, 3, 4, 3, 4)
    for n in range(2):
        for i in range(3):
            for j in range(4):
                cosine = torch.cosine_similarity(query[n, :, i, j], support[n, :, 2, 1], dim=0)
                torch.testing.assert_close(out[n, 0, i, j, 2, 1], cosine.clamp_min(0))


def test_cells_outside_the_supports_mask_correlate_with_nothing():
    query, support = random(1, 5, 4, 4), random(1, 5, 4, 4, seed=1)
    mask = torch.zeros(1, 4, 4, dtype=torch.bool)
    mask[0, 1, 2] = True
    out = correlate([query], [support], mask, cells=16)
    whole = correlate([query], [support], None, cells=16)
    torch.testing.assert_close(out[..., 1, 2], whole[..., 1, 2])
    assert out.sum() == out[..., 1, 2].sum()


def test_correlation_is_bounded_by_the_number_of_cells():
    big = random(1, 5, 50, 50)
    assert correlate([big], [big], None, cells=16).shape == (1, 1, 16, 16, 16, 16)


def test_the_swapped_correlation_exchanges_the_pictures():
    query, support = random(1, 5, 3, 4), random(1, 5, 3, 4, seed=1)
    torch.testing.assert_close(
        swapped(correlate([query], [support], None, cells=16)), correlate([support], [query], None, cells=16)
    )


def test_a_centre_pivot_convolution_equals_a_4d_loop():
    module = CentrePivotConv4d(2, 3, stride=2).double()
    x = random(1, 2, 3, 3, 4, 4).double()
    out = module(x)
    assert out.shape == (1, 3, 3, 3, 2, 2)
    padded = torch.nn.functional.pad(x, (1, 1, 1, 1, 1, 1, 1, 1))
    for i in range(3):
        for j in range(3):
            for k in range(2):
                for m in range(2):
                    b, c = 2 * k + 1, 2 * m + 1  # the centre in the padded second picture
                    first = padded[0, :, i : i + 3, j : j + 3, b, c]
                    second = padded[0, :, i + 1, j + 1, b - 1 : b + 2, c - 1 : c + 2]
                    expected = (
                        (module.first.weight * first).sum((1, 2, 3))
                        + module.first.bias
                        + (module.second.weight * second).sum((1, 2, 3))
                    )
                    torch.testing.assert_close(out[0, :, i, j, k, m], expected)


def test_the_pair_encoder_returns_the_first_pictures_cells():
    assert PairEncoder(2, (4, 8, 16))(random(1, 2, 6, 5, 8, 8).abs(), (12, 10)).shape == (1, 16, 12, 10)


def test_the_plan_has_uniform_marginals():
    plan = sinkhorn(random(3, 6, 4).abs(), regularisation=0.5, steps=60)
    assert (plan > 0).all()
    torch.testing.assert_close(plan.sum(-1), torch.full((3, 6), 1 / 6))
    torch.testing.assert_close(plan.sum(-2), torch.full((3, 4), 1 / 4), atol=1e-5, rtol=0)


def test_the_plan_follows_the_cost_and_lets_gradients_through():
    cost = torch.tensor([[[0.0, 1.0], [1.0, 0.0]]], requires_grad=True)
    plan = sinkhorn(cost, regularisation=0.05, steps=30)
    torch.testing.assert_close(plan.detach(), torch.tensor([[[0.5, 0.0], [0.0, 0.5]]]), atol=1e-4, rtol=0)
    sinkhorn(cost, regularisation=0.5, steps=10)[0, 0, 0].backward()
    assert cost.grad is not None
    assert cost.grad.abs().sum() > 0


def test_the_plan_of_equal_costs_is_uniform():
    plan = sinkhorn(torch.ones(1, 5, 7), regularisation=0.1, steps=5)
    torch.testing.assert_close(plan, torch.full((1, 5, 7), 1 / 35))


def test_small_regularisation_does_not_overflow():
    plan = sinkhorn(random(1, 8, 8) * 10, regularisation=1e-3, steps=50)
    assert plan.isfinite().all()


def test_transport_reads_the_other_picture():
    module = Transport(8, grid=2, heads=2, regularisation=0.1, steps=10)
    own, other, residual = (random(2, 8, 4, 4, seed=s) for s in range(3))
    out, plan = module(own, other, residual)
    assert out.shape == (2, 8, 4, 4)
    assert plan.shape == (2, 4, 4)
    changed, _ = module(own, random(2, 8, 4, 4, seed=9), residual)
    assert not torch.allclose(out, changed)


def test_text_planes_start_as_the_identity():
    module = TextPlanes(texts=2, grid=4)
    features = random(1, 3, 8, 8)
    out, plane = module(features, random(1, 2, 5, 5, seed=1))
    torch.testing.assert_close(out, features)
    torch.testing.assert_close(plane, torch.ones(1, 4, 4))


def test_the_class_map_is_the_best_of_its_names_and_never_reads_padding():
    logits = torch.tensor([1.0, 3.0, 20.0, 5.0]).view(1, 4, 1, 1).expand(1, 4, 2, 2)
    roles = torch.tensor([[1, 1, 0, -1]])
    torch.testing.assert_close(class_map(logits, roles), torch.full((1, 2, 2), 0.3))
    torch.testing.assert_close(surroundings_map(logits, roles), torch.full((1, 2, 2), 0.5))
    assert class_map(logits, torch.zeros_like(roles)).abs().sum() == 0


def test_the_decoder_doubles_the_grid_and_fusion_keeps_it():
    logits = SharedDecoder(8)(random(2, 8, 5, 5))
    assert logits.shape == (2, 10, 10)
    mask = torch.zeros(2, 10, 10)
    assert MaskFusion()(logits, mask).shape == (2, 10, 10)


def test_transport_is_its_formula():
    """Both pictures have as many tokens as cells here, so that nothing is pooled or enlarged."""
    module = Transport(8, grid=3, heads=2, regularisation=0.1, steps=10)
    own, other, residual = (random(2, 8, 3, 3, seed=s) for s in range(3))
    out, plan = module(own, other, residual)
    mine, theirs = module.tokens(own), module.tokens(other)
    for n in range(2):
        cosine = torch.cosine_similarity(module.query(mine)[n][:, None], module.key(theirs)[n][None], dim=2)
        expected = sinkhorn((1 - cosine)[None], regularisation=0.1, steps=10)
        torch.testing.assert_close(plan[n : n + 1], expected)
    taken = module.project(9 * plan @ module.value(theirs)).transpose(1, 2).reshape(2, 8, 3, 3)
    torch.testing.assert_close(out, (module.norm(taken) + residual).clamp_min(0))


def test_a_centre_pivot_convolution_keeps_the_cells_unless_a_stride_is_given():
    assert CentrePivotConv4d(2, 3)(random(1, 2, 3, 4, 5, 6)).shape == (1, 3, 3, 4, 5, 6)


def test_the_pair_encoder_is_the_mean_over_the_second_picture():
    module, correlation = PairEncoder(2, (4, 8, 16)), random(1, 2, 3, 5, 8, 8).abs()
    x = correlation
    for convolution, norm in zip(module.convolutions, module.norms):
        x = norm(convolution(x)).clamp_min(0)
    assert x.shape == (1, 16, 3, 5, 2, 2)
    torch.testing.assert_close(module(correlation, (3, 5)), x.sum((4, 5)) / 4)


def test_the_pair_encoder_has_the_widths_of_the_weights():
    assert [norm.num_channels for norm in PairEncoder(2).norms] == [16, 64, 128]


def test_levels_are_brought_to_entries_of_about_one():
    level = normalised(1000 * random(2, 50, 3, 4))
    torch.testing.assert_close(level.square().mean(1), torch.ones(2, 3, 4))


def test_the_decoder_halves_its_channels_and_the_fusion_has_ten():
    decoder = SharedDecoder(8)
    assert decoder.coarse[2].out_channels == decoder.fine[0].in_channels == 4
    assert MaskFusion().layers[0].out_channels == 10


def test_the_fusion_reads_the_logit_beside_minus_one_to_one():
    fusion = MaskFusion()
    logits, mask = random(2, 4, 5), (random(2, 4, 5, seed=1) > 0).float()
    seen: list[torch.Tensor] = []
    fusion.layers.register_forward_hook(lambda module, given, made: seen.append(given[0]))
    fusion(logits, mask)
    assert torch.equal(seen[0][:, 0], logits)
    assert torch.equal(seen[0][:, 1], torch.where(mask > 0, 1.0, -1.0))


def test_a_text_plane_weighs_the_features():
    module = TextPlanes(texts=2, grid=4)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(0.1)
    features = random(1, 3, 4, 4)
    out, plane = module(features, random(1, 2, 5, 5, seed=1))
    assert (plane - 1).abs().min() > 0.01
    torch.testing.assert_close(out, features * plane[:, None])
