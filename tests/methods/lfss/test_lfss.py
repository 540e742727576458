"""The method as a whole: episodes in, five steps out."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from lfss.methods import METHODS, Episode, collate
from lfss.methods.lfss import (
    Lfss,
    LfssConfig,
    association_map,
    attention,
    background_similarity,
    cluster,
    focused_prototype,
    place_seeds,
    refine,
    seed_count,
    shared_prototype,
    shift_seeds,
    training_free_logits,
)
from lfss.methods.lfss.decoder_weights import load_decoder
from lfss.methods.lfss.method import decoder_features
from lfss.similarity import concat_levels, cosine_map, masked_average
from lfss.weights import save_model
from tests.masks import coin, noise
from tests.methods.made import a_class, all_tensors, item, of_class, with_supports

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
    features = (noise(b, k, 6, H, W, seed=seed + 4), noise(b, k, 4, 4, 5, seed=seed + 5))
    return Episode(
        query_features=(noise(b, 6, H, W, seed=seed + 6), noise(b, 4, 4, 5, seed=seed + 7)),
        classes=(a_class(known, unknown, features, seed=seed),),
    )


def run(given: Episode, **config) -> dict[str, Tensor]:
    """All tensors of all steps for the first class, as ``step.name``: (B, ...) or (B, K, ...)."""
    steps = Lfss(CHANNELS, LfssConfig(**config)).eval().steps(given)
    with torch.no_grad():
        return {
            f"{step.key}.{name}": t[0] if isinstance(t, tuple) else t[:, 0]
            for step in steps
            for name, t in step.tensors.items()
        }


def test_lfss_is_the_method_of_that_name():
    assert METHODS["lfss"] is Lfss
    assert Lfss.name == "lfss"
    assert not Lfss.needs.masks


def test_the_colours_of_superpixels_reach_from_none_to_the_last_seed():
    (info,) = (stage for stage in Lfss.stages if stage.key == "superpixels")
    assert (info.low, info.high) == (-1, LfssConfig().seeds - 1)


@pytest.mark.parametrize("decoder", ["none", "paper"])
def test_forward_is_the_steps_drained(decoder):
    torch.manual_seed(0)
    method, given = Lfss(CHANNELS, LfssConfig(decoder=decoder)).eval(), episode()
    with torch.no_grad():
        steps = list(method.steps(given))
        assert [step.key for step in steps] == STEPS
        assert torch.equal(steps[-1].query("logits"), method(given))


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
        "prototypes.superpixels": (shots, torch.int64),
        "prototypes.association": (cells, torch.float32),
        "correlation.attention": (shots, torch.float32),
        "correlation.rcm": (cells, torch.float32),
        "correlation.fcm": (cells, torch.float32),
        "prediction.logits": (cells, torch.float32),
        "prediction.presence": ((B,), torch.float32),
    }
    for name, (shape, dtype) in expected.items():
        assert (tuple(made[name].shape), made[name].dtype) == (shape, dtype), name


def test_inputs_are_unchanged():
    given = episode()
    before = [t.clone() for t in all_tensors(given)]
    run(given, circle=True)
    Lfss(CHANNELS).circle(given.classes[0])
    Lfss(CHANNELS, LfssConfig(circle=True)).prepare(given.classes[0])
    for number, (now, then) in enumerate(zip(all_tensors(given), before)):
        assert torch.equal(now, then), number


def test_the_same_episode_gives_the_same_logits():
    assert torch.equal(run(episode())["prediction.logits"], run(episode())["prediction.logits"])


def test_the_steps_are_the_papers_wired_by_hand():
    """Figure 2 once more, one shot, written out without the class."""
    given = episode(1, 1, marks="mask")
    made = run(given)
    (one,) = given.classes
    query = concat_levels(given.query_features)
    support = concat_levels([level[:, 0] for level in one.supports.features])
    support_mask, first = made["initial_mask.support"][:, 0], made["initial_mask.query"]
    assert torch.equal(support_mask, one.known[:, 0] > 0.5)

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
    logits = training_free_logits(text, query_mask, association, fcm, background)
    torch.testing.assert_close(made["prediction.logits"], logits, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("marks", ["label", "mask", "mixed"])
@pytest.mark.parametrize("decoder", ["none", "paper"])
def test_a_batch_of_two_is_two_batches_of_one(marks, decoder):
    torch.manual_seed(0)
    method, given = Lfss(CHANNELS, LfssConfig(decoder=decoder)).eval(), episode(marks=marks)

    with torch.no_grad():
        both = method(given)
        for n in range(2):
            torch.testing.assert_close(both[n : n + 1], method(item(given, n)), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("marks", ["label", "mask"])
def test_k_copies_of_one_shot_are_one_shot(marks):  # T-A21
    given = episode(k=1, marks=marks)
    three = with_supports(given, lambda t: t.repeat(1, 3, *[1] * (t.dim() - 2)))
    torch.testing.assert_close(
        run(three)["prediction.logits"], run(given)["prediction.logits"], atol=1e-4, rtol=1e-4
    )


@pytest.mark.parametrize("marks", ["label", "mask", "mixed"])
def test_the_order_of_shots_is_irrelevant(marks):  # T-A21
    given = episode(k=3, marks=marks)
    turned = with_supports(given, lambda t: t[:, [2, 0, 1]])
    torch.testing.assert_close(
        run(turned)["prediction.logits"], run(given)["prediction.logits"], atol=1e-4, rtol=1e-4
    )


@pytest.mark.parametrize("marks", ["full", "one cell", "empty"])
def test_full_one_cell_and_empty_support_masks_give_finite_maps(marks):
    for name, made in run(episode(marks=marks), decoder="paper").items():
        assert made.float().isfinite().all(), name


def test_a_query_without_a_first_mask_gives_finite_maps():
    given = of_class(
        episode(marks="label"),
        query_logits=torch.full((B, V, 5, 5), 0.0),
        known_present=torch.zeros(B, dtype=torch.bool),
    )
    made = run(given)
    assert not made["initial_mask.query"].any()
    assert all(t.float().isfinite().all() for t in made.values())


def test_seeds_lie_inside_the_refined_masks_and_are_distinct():
    made = run(episode(marks="mixed"))
    for b in range(B):
        for k in range(K):
            points = made["prototypes.shifted"][b, k]
            points = points[(points >= 0).all(1)].tolist()
            assert points
            assert len({tuple(p) for p in points}) == len(points)
            assert all(made["refined_mask.support"][b, k, r, c] for r, c in points)


def test_where_a_mask_has_room_for_one_seed_no_other_is_shown():
    made = run(episode(marks="one cell"))
    for name in ("prototypes.seeds", "prototypes.shifted"):
        points = made[name].flatten(0, 1)  # (B * K, P, 2)
        assert ((points >= 0).all(2).sum(1) == 1).all()
        assert (points[(points < 0).any(2)] == -1).all()


def test_rcm_is_fcm_inside_the_refined_mask_and_zero_outside():
    made = run(episode())
    assert torch.equal(made["correlation.rcm"], made["correlation.fcm"] * made["refined_mask.query"])


def mirrored(given: Episode, *, query: bool) -> Episode:
    """The episode with its query, or its supports, seen in a mirror."""

    def flip(t: Tensor) -> Tensor:
        return t.flip(-1)

    if not query:
        return with_supports(given, flip)
    turned = of_class(given, query_logits=flip(given.classes[0].query_logits))
    return replace(turned, query_features=tuple(flip(level) for level in given.query_features))


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


def test_refinement_leaves_some_object_inside_a_small_box():
    # Features of noise: in a quarter of these episodes only cells outside the box would be left.
    inside = torch.zeros(1, 1, H, W)
    inside[:, :, 3:5, 3:5] = 1
    for seed in range(20):
        given = episode(1, 1, marks="label", seed=seed)
        made = run(of_class(given, unknown=inside), alpha=0.1)["refined_mask.support"]
        assert made.any(), seed
        assert not made[inside == 0].any(), seed


def test_without_dps_the_association_map_compares_with_one_global_prototype():
    given = episode(1, 1, marks="mask")
    made = run(given, dps=False)
    (one,) = given.classes
    support = concat_levels([level[:, 0] for level in one.supports.features])
    prototype = masked_average(support, one.known[:, 0])
    expected = cosine_map(concat_levels(given.query_features), prototype)
    torch.testing.assert_close(made["prototypes.association"], expected)


def test_every_trainable_parameter_gets_a_gradient():
    torch.manual_seed(0)
    method = Lfss(CHANNELS, LfssConfig(decoder="paper"))
    given = episode()
    truth = coin(B, H, W, seed=9).float()
    torch.nn.functional.binary_cross_entropy_with_logits(method(given)[:, 0], truth).backward()
    parameters = dict(method.named_parameters())
    assert len(parameters) > 10
    for name, parameter in parameters.items():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().max() > 0, name


def test_without_a_decoder_there_is_nothing_to_train():
    assert not list(Lfss(CHANNELS).parameters())


def second_pass(method: Lfss, given: Episode) -> tuple[Episode, Tensor]:
    """The episode after a circle pass, and the logits of that pass."""
    one, logits = method.circle(given.classes[0])
    return replace(given, classes=(one,)), logits


def test_circle_segments_every_support_by_itself():
    given = episode(marks="label")
    method = Lfss(CHANNELS).eval()
    _, logits = second_pass(method, given)
    assert logits.shape == (B, K, H, W)
    pictures = given.classes[0].supports
    for k in range(K):
        alone = with_supports(given, lambda t: t[:, k : k + 1])  # noqa: B023
        alone = of_class(alone, query_logits=pictures.logits[:, k])
        alone = replace(alone, query_features=tuple(level[:, k] for level in pictures.features))
        torch.testing.assert_close(logits[:, k], method(alone)[:, 0], atol=1e-4, rtol=1e-4)


def test_circle_fills_in_what_is_unknown_and_keeps_what_a_person_said():
    given = episode(marks="mixed")
    second, logits = Lfss(CHANNELS).circle(given.classes[0])
    masks = second.prepared.masks.mask
    assert torch.equal(masks[:, 1], given.classes[0].known[:, 1] > 0.5)
    assert torch.equal(masks[:, 0], logits[:, 0] > 0)
    made = run(replace(given, classes=(second,)))
    assert torch.equal(made["refined_mask.support"], masks)  # they are not refined again


@pytest.mark.parametrize("marks", ["label", "mixed"])
def test_the_first_pass_is_no_mark_so_the_querys_first_mask_stays_as_it_is(marks):
    given = episode(marks=marks)
    second, _ = Lfss(CHANNELS).circle(given.classes[0])
    before, after = run(given), run(replace(given, classes=(second,)))
    for name in ("query_probability", "query", "match_share"):
        assert torch.equal(after[f"initial_mask.{name}"], before[f"initial_mask.{name}"]), name
    if marks == "label":
        assert not after["initial_mask.match_share"].any()


def test_preparing_makes_the_circle_pass_where_it_is_chosen_and_steps_do_not_repeat_it():
    given = episode(marks="label")
    circled, _ = Lfss(CHANNELS).circle(given.classes[0])
    method = Lfss(CHANNELS, LfssConfig(circle=True))
    prepared = method.prepare(given.classes[0])
    assert torch.equal(prepared.prepared.masks.mask, circled.prepared.masks.mask)
    plain = Lfss(CHANNELS)(replace(given, classes=(circled,)))
    assert torch.equal(method(replace(given, classes=(prepared,))), plain)
    assert torch.equal(method(given), plain)  # nobody has prepared this one: it is done on the way
    assert not torch.equal(plain, Lfss(CHANNELS)(given))


def test_the_second_pass_sends_no_gradient_through_the_first_ones_mask():  # T-A20
    torch.manual_seed(0)
    method, given = Lfss(CHANNELS, LfssConfig(decoder="paper")), episode(marks="label")
    second, logits = second_pass(method, given)
    assert logits.requires_grad
    masks = second.classes[0].prepared.masks
    assert not masks.mask.requires_grad
    assert not masks.object.requires_grad

    (through,) = torch.autograd.grad(method(second).square().mean(), logits, allow_unused=True)
    assert through is None


def test_an_empty_first_pass_still_leaves_a_support_mask():
    given = episode(marks="label")
    nowhere = torch.full((B, K, V, 5, 5), 0.0)
    nowhere[:, :, 2:] = 9.0  # the text is sure that the object is nowhere
    one = replace(given.classes[0], supports=replace(given.classes[0].supports, logits=nowhere))
    second, _ = Lfss(CHANNELS, LfssConfig(sharpness=0.0)).circle(one)
    assert second.prepared.masks.mask.flatten(2).any(2).all()


def test_the_papers_decoder_reads_entries_of_about_one_whatever_the_network():
    levels = (1000 * noise(2, 6, 8, 9), 0.01 * noise(2, 4, 4, 5, seed=1))
    read = decoder_features(levels, (8, 9))
    assert read.shape == (2, 10, 8, 9)
    for part in read.split([6, 4], 1):
        torch.testing.assert_close(part.square().mean(1), torch.ones(2, 8, 9))
    torch.testing.assert_close(read, decoder_features([7 * level for level in levels], (8, 9)))


# -- batches of different labels, and several classes at once --------------------------------------------


def other_label(seed: int = 50) -> Episode:
    """An episode of a label with other words, no trust in them, and a query that may not show it."""
    given = episode(1, K, marks="mask", seed=seed)
    (one,) = given.classes
    other = a_class(one.known, one.unknown, one.supports.features, phrases=(1, 5), trust=0.0, present=False)
    return replace(given, classes=(replace(other, presence=torch.tensor([0.25])),))


@pytest.mark.parametrize("decoder", ["none", "paper"])
def test_a_batch_of_two_different_labels_is_two_batches_of_one(decoder):
    torch.manual_seed(0)
    method = Lfss(CHANNELS, LfssConfig(decoder=decoder)).eval()
    alone = [episode(1, K, marks="mixed"), other_label()]
    with torch.no_grad():
        together = list(method.steps(collate(alone)))
        apart = [list(method.steps(one)) for one in alone]
    for number, steps in enumerate(apart):
        for both, step in zip(together, steps, strict=True):
            for name, expected in step.tensors.items():
                made = both.tensors[name]
                made, expected = (t[0] if isinstance(t, tuple) else t for t in (made, expected))
                torch.testing.assert_close(
                    made[number : number + 1], expected, atol=1e-4, rtol=1e-4, msg=f"{step.key}.{name}"
                )


def test_presence_is_the_towers_own_judgement_where_it_has_one():
    method, plain = Lfss(CHANNELS).eval(), episode(1, K, marks="mixed")
    *_, last = method.steps(collate([plain, other_label()]))
    assert last.query("presence")[1].item() == pytest.approx(0.25)
    *_, alone = method.steps(plain)
    assert last.query("presence")[0].item() == pytest.approx(alone.query("presence").item())


def test_two_classes_of_an_episode_are_two_episodes_of_a_class():
    method = Lfss(CHANNELS).eval()
    first, other = episode(1, 3, marks="mixed"), other_label()
    both = replace(first, classes=(*first.classes, *other.classes))
    assert method(both).shape == (1, 2, H, W)
    *_, made = method.steps(both)
    for number, one in enumerate(both.classes):
        *_, alone = method.steps(replace(first, classes=(one,)))
        for name in ("logits", "presence"):
            torch.testing.assert_close(made.query(name)[:, number], alone.query(name)[:, 0])
    masks = next(s for s in method.steps(both) if s.key == "refined_mask").supports("support")
    assert [tuple(m.shape) for m in masks] == [(1, 3, H, W), (1, K, H, W)]


def test_a_narrow_decoder_is_saved_and_read_with_its_width(tmp_path):
    config = LfssConfig(decoder="paper", decoder_width=8)
    narrow = Lfss(CHANNELS, config)
    assert narrow.decoder is not None
    assert narrow.decoder.reduce.out_channels == 8
    about = {"decoder": "paper", "backbone": "x", "channels": CHANNELS, "circle": False}
    save_model(tmp_path, narrow.decoder.state_dict(), {**about, "method": {"decoder_width": 8}})
    read = load_decoder(Lfss, tmp_path, backbone="x", channels=CHANNELS)
    assert torch.equal(read.decoder.head.weight, narrow.decoder.head.weight)
