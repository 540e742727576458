"""The method as a whole: episodes in, five steps out."""

from __future__ import annotations

from dataclasses import fields, replace

import pytest
import torch
from torch import Tensor

from lfss.methods import METHODS, Episode, Lfss, LfssConfig
from lfss.methods.lfss import level_cells, side_by_side
from lfss.pipeline import (
    association_map,
    attention,
    background_similarity,
    cluster,
    focused_prototype,
    place_seeds,
    read_out,
    refine,
    seed_count,
    shared_prototype,
    shift_seeds,
)
from lfss.similarity import cosine_map, masked_average
from tests.masks import coin, noise

B, K, V, H, W = 2, 2, 4, 8, 9
CHANNELS = (6, 4)
STEPS = ["initial_mask", "refined_mask", "prototypes", "correlation", "prediction"]


def episode(b: int = B, k: int = K, *, marks: str = "mixed", seed: int = 0) -> Episode:
    """Random features on two levels and random logits; the first shot of ``mixed`` has the label only."""
    known = coin(b, k, H, W, seed=seed + 1, share=0.4).float()
    unknown = torch.zeros(b, k, H, W)
    if marks == "label":
        known, unknown = torch.zeros_like(known), torch.ones_like(known)
    elif marks == "mixed":
        known[:, 0], unknown[:, 0] = 0, 1
    elif marks != "mask":
        known = torch.full_like(known, float(marks == "full"))
        known[:, :, 3, 4] = 1.0 if marks == "one cell" else known[:, :, 3, 4]
    return Episode(
        support_logits=noise(b, k, V, 5, 5, seed=seed + 2),
        query_logits=noise(b, V, 5, 5, seed=seed + 3),
        foreground=2,
        support_features=(noise(b, k, 6, H, W, seed=seed + 4), noise(b, k, 4, 4, 5, seed=seed + 5)),
        query_features=(noise(b, 6, H, W, seed=seed + 6), noise(b, 4, 4, 5, seed=seed + 7)),
        support_known=known,
        support_unknown=unknown,
        query_present=True,
    )


def tensors_of(given: Episode) -> dict[str, Tensor]:
    """Every tensor of an episode by name."""
    found: dict[str, Tensor] = {}
    for field in fields(given):
        value = getattr(given, field.name)
        parts = value if isinstance(value, tuple) else (value,)
        found |= {f"{field.name}.{i}": part for i, part in enumerate(parts) if isinstance(part, Tensor)}
    return found


def changed(given: Episode, change) -> Episode:
    """The episode with ``change`` applied to each tensor whose first axes are (B, K)."""
    return replace(
        given,
        support_logits=change(given.support_logits),
        support_features=tuple(change(level) for level in given.support_features),
        support_known=change(given.support_known),
        support_unknown=change(given.support_unknown),
    )


def run(given: Episode, **config) -> dict[str, Tensor]:
    """All tensors of all steps, as ``step.name``."""
    steps = Lfss(CHANNELS, LfssConfig(**config)).eval().steps(given)
    with torch.no_grad():
        return {f"{step.key}.{name}": t for step in steps for name, t in step.tensors.items()}


def test_lfss_is_the_method_of_that_name():
    assert METHODS["lfss"] is Lfss
    assert not Lfss.needs_mask


@pytest.mark.parametrize("decoder", ["none", "paper"])
def test_forward_is_the_steps_drained(decoder):
    torch.manual_seed(0)
    method, given = Lfss(CHANNELS, LfssConfig(decoder=decoder)).eval(), episode()
    with torch.no_grad():
        steps = list(method.steps(given))
        assert [step.key for step in steps] == STEPS
        assert torch.equal(steps[-1].tensors["logits"], method(given))


def test_shapes_and_types_of_every_step():
    made = run(episode())
    cells, shots = (B, H, W), (B, K, H, W)
    expected = {
        "initial_mask.support_text": (shots, torch.float32),
        "initial_mask.query_text": (cells, torch.float32),
        "initial_mask.support": (shots, torch.bool),
        "initial_mask.query": (cells, torch.bool),
        "initial_mask.query_probability": (cells, torch.float32),
        "initial_mask.presence": ((B,), torch.float32),
        "refined_mask.support": (shots, torch.bool),
        "refined_mask.query": (cells, torch.bool),
        "prototypes.seeds": ((B, K, 5, 2), torch.int64),
        "prototypes.shifted": ((B, K, 5, 2), torch.int64),
        "prototypes.valid": ((B, K, 5), torch.bool),
        "prototypes.superpixels": (shots, torch.int64),
        "prototypes.association": (cells, torch.float32),
        "correlation.attention": (shots, torch.float32),
        "correlation.rcm": (cells, torch.float32),
        "correlation.fcm": (cells, torch.float32),
        "prediction.logits": (cells, torch.float32),
    }
    for name, (shape, dtype) in expected.items():
        assert (tuple(made[name].shape), made[name].dtype) == (shape, dtype), name


def test_inputs_are_unchanged():
    given = episode()
    before = {name: t.clone() for name, t in tensors_of(given).items()}
    run(given, circle=True)
    Lfss(CHANNELS).circle(given)
    for name, t in tensors_of(given).items():
        assert torch.equal(t, before[name]), name


def test_the_same_episode_gives_the_same_logits():
    assert torch.equal(run(episode())["prediction.logits"], run(episode())["prediction.logits"])


def test_the_steps_are_the_papers_wired_by_hand():
    """Figure 2 once more, one shot, written out without the class."""
    given = episode(1, 1, marks="mask")
    made = run(given)
    query = side_by_side(given.query_features)
    support = side_by_side([level[:, 0] for level in given.support_features])
    support_mask, first = made["initial_mask.support"][:, 0], made["initial_mask.query"]
    assert torch.equal(support_mask, given.support_known[:, 0] > 0.5)

    shared = shared_prototype(masked_average(support, support_mask), masked_average(query, first), 0.5)
    query_mask = refine(query, first, shared, background_similarity(query, first))
    assert torch.equal(made["refined_mask.query"], query_mask)
    assert torch.equal(made["refined_mask.support"][:, 0], support_mask)  # a person drew it

    seeds = place_seeds(support_mask, seed_count(support_mask))
    like_query = cosine_map(support, masked_average(query, query_mask))
    seeds = shift_seeds(seeds, support_mask, like_query)
    centres = cluster(support, support_mask, seeds).centres
    association = association_map(query, centres, seeds.valid)
    torch.testing.assert_close(made["prototypes.association"], association)

    weight = attention(query, query_mask, support[:, None], support_mask[:, None])
    fcm = cosine_map(query, focused_prototype(support[:, None], weight))
    torch.testing.assert_close(made["correlation.fcm"], fcm)
    torch.testing.assert_close(made["correlation.rcm"], fcm * query_mask)

    background = cosine_map(query, masked_average(support, ~support_mask))
    background = (background + cosine_map(query, masked_average(query, ~query_mask))) / 2
    text = made["initial_mask.query_probability"].logit(1e-4)
    logits = read_out(text, query_mask, association, fcm, background)
    torch.testing.assert_close(made["prediction.logits"], logits, atol=1e-4, rtol=1e-4)


def test_levels_lie_side_by_side_with_equal_weight_and_unit_length():
    levels = (100 * noise(1, 6, H, W), 0.01 * noise(1, 4, 4, 5))
    made = side_by_side(levels)
    assert made.shape == (1, 10, H, W)
    torch.testing.assert_close(made.norm(dim=1), torch.ones(1, H, W))
    torch.testing.assert_close(made[:, :6].norm(dim=1), torch.full((1, H, W), 0.5**0.5))
    one = side_by_side(levels[:1])
    torch.testing.assert_close(one.norm(dim=1), torch.ones(1, H, W))


@pytest.mark.parametrize("marks", ["label", "mask", "mixed"])
@pytest.mark.parametrize("decoder", ["none", "paper"])
def test_a_batch_of_two_is_two_batches_of_one(marks, decoder):
    torch.manual_seed(0)
    method, given = Lfss(CHANNELS, LfssConfig(decoder=decoder)).eval(), episode(marks=marks)

    def one(n: int) -> Episode:
        part = changed(given, lambda t: t[n : n + 1])
        return replace(
            part,
            query_logits=given.query_logits[n : n + 1],
            query_features=tuple(level[n : n + 1] for level in given.query_features),
        )

    with torch.no_grad():
        both = method(given)
        for n in range(2):
            torch.testing.assert_close(both[n : n + 1], method(one(n)), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("marks", ["label", "mask"])
def test_k_copies_of_one_shot_are_one_shot(marks):  # T-A21
    given = episode(k=1, marks=marks)
    three = changed(given, lambda t: t.repeat(1, 3, *[1] * (t.dim() - 2)))
    torch.testing.assert_close(
        run(three)["prediction.logits"], run(given)["prediction.logits"], atol=1e-4, rtol=1e-4
    )


@pytest.mark.parametrize("marks", ["label", "mask", "mixed"])
def test_the_order_of_shots_is_irrelevant(marks):  # T-A21
    given = episode(k=3, marks=marks)
    turned = changed(given, lambda t: t[:, [2, 0, 1]])
    torch.testing.assert_close(
        run(turned)["prediction.logits"], run(given)["prediction.logits"], atol=1e-4, rtol=1e-4
    )


@pytest.mark.parametrize("marks", ["full", "one cell", "empty"])
def test_full_one_cell_and_empty_support_masks_give_finite_maps(marks):
    for name, made in run(episode(marks=marks), decoder="paper").items():
        assert made.float().isfinite().all(), name


def test_a_query_without_a_first_mask_gives_finite_maps():
    given = replace(episode(marks="label"), query_logits=torch.full((B, V, 5, 5), 0.0), query_present=False)
    made = run(given)
    assert not made["initial_mask.query"].any()
    assert all(t.float().isfinite().all() for t in made.values())


def test_seeds_lie_inside_the_refined_masks_and_are_distinct():
    made = run(episode(marks="mixed"))
    for b in range(B):
        for k in range(K):
            points = made["prototypes.shifted"][b, k][made["prototypes.valid"][b, k]].tolist()
            assert len({tuple(p) for p in points}) == len(points)
            assert all(made["refined_mask.support"][b, k, r, c] for r, c in points)


def test_rcm_is_fcm_inside_the_refined_mask_and_zero_outside():
    made = run(episode())
    assert torch.equal(made["correlation.rcm"], made["correlation.fcm"] * made["refined_mask.query"])


def mirrored(given: Episode, *, query: bool) -> Episode:
    """The episode with its query, or its supports, seen in a mirror."""

    def flip(t: Tensor) -> Tensor:
        return t.flip(-1)

    if not query:
        return changed(given, flip)
    return replace(
        given,
        query_logits=flip(given.query_logits),
        query_features=tuple(flip(level) for level in given.query_features),
    )


def test_the_prediction_mirrors_with_the_query():  # T-A14
    given = episode(marks="mask")
    straight, turned = run(given), run(mirrored(given, query=True))
    for name in ("prototypes.association", "correlation.fcm", "prediction.logits"):
        torch.testing.assert_close(turned[name], straight[name].flip(-1), atol=1e-4, rtol=1e-4)


def test_the_literal_association_map_stays_with_the_support():  # T-A14 fails, as the paper prints it
    given = episode(marks="mask")
    name = "prototypes.association"
    straight = run(given, geometry="literal")[name]
    turned = run(mirrored(given, query=True), geometry="literal")[name]
    assert not torch.allclose(turned, straight.flip(-1), atol=1e-3)


def test_alpha_one_refines_the_supports_without_the_query():  # T-A5
    given = episode(marks="label")
    other = replace(given, query_features=tuple(t.flip(-1).roll(1, -2) for t in given.query_features))
    name = "refined_mask.support"
    assert torch.equal(run(given, alpha=1.0)[name], run(other, alpha=1.0)[name])


@pytest.mark.parametrize(
    "config",
    [
        {"refine": False},
        {"refine_form": "literal"},
        {"dps": False},
        {"attention_temperature": 0.05},
        {"window": 1},
        {"cells": 3},
        {"ccm": False},
        {"seeds": 1},
        {"sigma": 1.0},
        {"radius": 20.0},
        {"iterations": 0},
        {"alpha": 0.1},
    ],
    ids=lambda c: next(iter(c)),
)
def test_every_choice_reaches_the_logits(config):
    given = episode(marks="label")
    assert not torch.equal(run(given, **config)["prediction.logits"], run(given)["prediction.logits"])


def test_without_refinement_the_refined_masks_are_the_initial_ones():
    made = run(episode(), refine=False)
    for side in ("support", "query"):
        assert torch.equal(made[f"refined_mask.{side}"], made[f"initial_mask.{side}"])


def test_without_dps_the_association_map_compares_with_one_global_prototype():
    given = episode(1, 1, marks="mask")
    made = run(given, dps=False)
    support = side_by_side([level[:, 0] for level in given.support_features])
    prototype = masked_average(support, given.support_known[:, 0])
    expected = cosine_map(side_by_side(given.query_features), prototype)
    torch.testing.assert_close(made["prototypes.association"], expected)


def test_every_trainable_parameter_gets_a_gradient():
    torch.manual_seed(0)
    method = Lfss(CHANNELS, LfssConfig(decoder="paper"))
    given = episode()
    truth = coin(B, H, W, seed=9).float()
    torch.nn.functional.binary_cross_entropy_with_logits(method(given), truth).backward()
    parameters = dict(method.named_parameters())
    assert len(parameters) > 10
    for name, parameter in parameters.items():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().max() > 0, name


def test_without_a_decoder_there_is_nothing_to_train():
    assert not list(Lfss(CHANNELS).parameters())


def test_circle_segments_every_support_by_itself():
    given = episode(marks="label")
    method = Lfss(CHANNELS).eval()
    _, logits = method.circle(given)
    assert logits.shape == (B, K, H, W)
    for k in range(K):
        alone = changed(given, lambda t: t[:, k : k + 1])  # noqa: B023
        alone = replace(
            alone,
            query_logits=given.support_logits[:, k],
            query_features=tuple(level[:, k] for level in given.support_features),
        )
        torch.testing.assert_close(logits[:, k], method(alone), atol=1e-4, rtol=1e-4)


def test_circle_fills_in_what_is_unknown_and_keeps_what_a_person_said():
    given = episode(marks="mixed")
    second, logits = Lfss(CHANNELS).circle(given)
    assert not second.support_unknown.any()
    assert torch.equal(second.support_known[:, 1], given.support_known[:, 1])
    assert torch.equal(second.support_known[:, 0], (logits[:, 0] > 0).float())


def test_the_second_pass_sends_no_gradient_through_the_first_ones_mask():  # T-A20
    torch.manual_seed(0)
    method, given = Lfss(CHANNELS, LfssConfig(decoder="paper")), episode(marks="label")
    second, logits = method.circle(given)
    assert logits.requires_grad
    assert not second.support_known.requires_grad

    (through,) = torch.autograd.grad(method(second).square().mean(), logits, allow_unused=True)
    assert through is None


def test_an_empty_first_pass_still_leaves_a_support_mask():
    given = replace(episode(marks="label"), support_logits=torch.full((B, K, V, 5, 5), 0.0))
    given.support_logits[:, :, 2:] = 9.0  # the text is sure that the object is nowhere
    second, _ = Lfss(CHANNELS, LfssConfig(sharpness=0.0)).circle(given)
    assert second.support_known.flatten(2).any(2).all()


def test_the_papers_decoder_reads_entries_of_about_one_whatever_the_network():
    levels = (1000 * noise(2, 6, 8, 9), 0.01 * noise(2, 4, 4, 5, seed=1))
    read = level_cells(levels, (8, 9))
    assert read.shape == (2, 10, 8, 9)
    for part in read.split([6, 4], 1):
        torch.testing.assert_close(part.square().mean(1), torch.ones(2, 8, 9))
    torch.testing.assert_close(read, level_cells([7 * level for level in levels], (8, 9)))
