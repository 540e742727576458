"""Step 1: masks from text, from marks, and from the mixture of both."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from lfss.labels import WEAK
from lfss.methods.lfss import (
    InitialMasks,
    assumed_background,
    initial_masks,
    match_probability,
    mean_in_logits,
    never_empty,
    presence,
    raised_to_half,
    soft_iou,
    support_masks,
    text_probability,
)
from tests.masks import assert_mask, coin, mask, noise
from tests.methods.made import roles

H, W = 4, 6
OBJECT = mask("......", ".###..", ".###..", "......")
OTHER = mask("....##", "....##", "......", "......")


def sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x))


@pytest.mark.parametrize(("phrases", "foreground"), [(5, 1), (5, 2), (3, 3), (1, 1)])
def test_text_probability_is_a_softmax_over_the_best_synonym_and_the_rest(phrases, foreground):
    logits = noise(2, phrases, H, W)
    made = text_probability(logits, roles(2, foreground, phrases - foreground))
    for n in range(2):
        for r in range(H):
            for c in range(W):
                values = logits[n, :, r, c].tolist()
                label, rest = math.exp(max(values[:foreground])), sum(map(math.exp, values[foreground:]))
                expected = label / (label + (rest if phrases > foreground else 1))
                assert made[n, r, c] == pytest.approx(expected, abs=1e-6)


def test_text_probability_survives_large_logits():
    made = text_probability(torch.tensor([100.0, -100.0, 99.0]).view(1, 3, 1, 1), roles(1, 1, 2))
    assert made.item() == pytest.approx(sigmoid(1.0), abs=1e-5)


def test_each_item_has_its_own_phrases_and_padding_says_nothing():
    logits = noise(2, 4, H, W)
    mixed = torch.tensor([[-1, 1, -1, 1], [1, 0, 0, -1]], dtype=torch.int8)
    made = text_probability(logits, mixed)
    first = text_probability(logits[:1, [1, 3, 0, 2]], roles(1, 2, 2))
    second = text_probability(logits[1:, [0, 3]], roles(1, 1, 1))
    torch.testing.assert_close(made, torch.cat((first, second)))
    alone = text_probability(logits[1:], torch.tensor([[1, 0, 0, 0]], dtype=torch.int8))
    torch.testing.assert_close(alone, logits[1:, 0].sigmoid())


def test_an_empty_mask_is_filled_with_its_best_cells():
    score = torch.arange(24.0).view(1, 4, 6)
    empty = torch.zeros(1, 4, 6, dtype=torch.bool)
    assert_mask(never_empty(empty, score, share=0.125), "......", "......", "......", "...###")
    assert never_empty(empty, score, share=0.0).sum() == 1


def test_a_mask_with_a_cell_is_left_alone():
    both = torch.cat((mask("....", "#..."), mask("....", "....")))
    filled = never_empty(both, noise(2, 2, 4))
    assert torch.equal(filled[0], both[0])
    assert filled[1].any()


def test_presence_is_the_mean_of_the_best_cells():
    probability = noise(2, 20, 20).sigmoid()
    expected = [sum(sorted(p.flatten().tolist())[-4:]) / 4 for p in probability]
    assert presence(probability).tolist() == pytest.approx(expected)
    assert presence(probability[:, :2, :2]).tolist() == pytest.approx(
        probability[:, :2, :2].amax((1, 2)).tolist()
    )


def test_soft_iou_is_sum_of_minima_over_sum_of_maxima():
    score, target, valid = noise(2, H, W).sigmoid(), noise(2, H, W, seed=1).sigmoid(), coin(2, H, W).float()
    made = soft_iou(score, target, valid)
    for n in range(2):
        low = high = 0.0
        for s, t, v in zip(score[n].flatten().tolist(), target[n].flatten().tolist(), valid[n].flatten()):
            low, high = low + min(s, t) * float(v), high + max(s, t) * float(v)
        assert made[n] == pytest.approx(low / high, abs=1e-6)


def test_soft_iou_of_masks_is_the_plain_iou_and_zero_for_nothing():
    a, b = mask("##..").float(), mask(".##.").float()
    assert soft_iou(a, b, torch.ones_like(a)).item() == pytest.approx(1 / 3)
    assert soft_iou(a, a, torch.ones_like(a)).item() == pytest.approx(1)
    assert soft_iou(a, b, torch.zeros_like(a)).item() == 0


def test_the_mean_in_logits_is_a_weighted_mean():
    text, match = noise(2, H, W).sigmoid(), noise(2, H, W, seed=1).sigmoid()
    made = mean_in_logits(text, match, torch.tensor([1.0, 3.0]), torch.tensor([1.0, 1.0]))
    for n, share in enumerate((0.5, 0.25)):
        for m, t, x in zip(match[n].flatten().tolist(), text[n].flatten().tolist(), made[n].flatten()):
            logit = share * math.log(m / (1 - m)) + (1 - share) * math.log(t / (1 - t))
            assert float(x) == pytest.approx(sigmoid(logit), abs=1e-5)


def test_trust_in_one_side_alone_returns_that_side():
    text, match = noise(1, H, W).sigmoid(), noise(1, H, W, seed=1).sigmoid()
    one, none = torch.ones(1), torch.zeros(1)
    assert torch.equal(mean_in_logits(text, match, one, none), text)
    assert torch.equal(mean_in_logits(text, match, none, none), text)
    torch.testing.assert_close(mean_in_logits(text, match, none, one), match)


def test_mixing_certainties_gives_no_infinity():
    zero, one = torch.zeros(1, 2, 2), torch.ones(1, 2, 2)
    made = mean_in_logits(zero, one, torch.ones(1), torch.ones(1))
    torch.testing.assert_close(made, torch.full((1, 2, 2), 0.5), atol=1e-4, rtol=0)


def test_match_probability_is_one_half_between_two_equal_prototypes():
    features, vector = noise(1, 5, H, W), noise(1, 5, seed=1)
    assert torch.equal(match_probability(features, vector, vector), torch.full((1, H, W), 0.5))
    nearer = match_probability(vector[:, :, None, None], vector, -vector, sharpness=1.0)
    assert nearer.item() == pytest.approx(sigmoid(2.0))


# -- both sides together: object cells are red, one wrong island is blue, the rest is green ------------


def picture(area: Tensor, wrong: Tensor = OTHER) -> Tensor:
    """(1, 3, h, w) colours: red where the object is, blue on the wrong island, green elsewhere."""
    colours = torch.where(area, 0, torch.where(wrong, 2, 1))
    return torch.eye(3)[colours].permute(0, 3, 1, 2) + 0.01 * noise(1, 3, *area.shape[1:])


def both_sides(
    support_features: Tensor,
    query_features: Tensor,
    *,
    support_logits: Tensor,
    query_logits: Tensor,
    foreground: int,
    query_present: bool = True,
    text_trust: float = 1.0,
    **marks,
) -> InitialMasks:
    """Step 1 in one go: supports, then query."""
    b, v = query_logits.shape[:2]
    phrases = roles(b, foreground, v - foreground)
    trust, present = torch.full((b,), text_trust), torch.full((b,), query_present)
    supports = support_masks(support_features, support_logits, phrases, text_trust=trust, **marks)
    return initial_masks(supports, query_features, query_logits, phrases, known_present=present)


def first_masks(**changes) -> InitialMasks:
    """One label-only support; the text believes in the object and, wrongly, in the island."""
    believed = torch.where(OBJECT | OTHER, 3.0, -3.0)
    logits = torch.stack((believed, torch.zeros_like(believed)), 1)
    given = {
        "support_features": picture(OBJECT)[:, None],
        "query_features": picture(OBJECT),
        "support_logits": logits[:, None],
        "query_logits": logits,
        "foreground": 1,
        "known": torch.zeros(1, 1, H, W),
        "unknown": torch.ones(1, 1, H, W),
    }
    given |= changes
    return both_sides(given.pop("support_features"), given.pop("query_features"), **given)


def full(area: Tensor) -> dict[str, Tensor]:
    """The support's marks where every cell is known."""
    return {"known": area[:, None].float(), "unknown": torch.zeros(1, 1, H, W)}


def test_with_the_label_only_both_masks_follow_the_text():
    made = first_masks()
    assert torch.equal(made.support_mask[0], OBJECT | OTHER)
    assert torch.equal(made.query_mask, OBJECT | OTHER)
    assert torch.equal(made.query, made.query_text)
    assert made.match_share.item() == 0


def faint(area: Tensor) -> Tensor:
    """(1, 2, H, W) logits of a word that is nowhere more likely than its rival, and likeliest in ``area``."""
    return torch.stack((torch.where(area, -2.0, -8.0), torch.zeros(1, H, W)), 1)


def test_a_weak_word_marks_its_best_cells_in_the_supports_and_matching_finds_the_query():
    made = first_masks(
        support_logits=faint(OBJECT)[:, None], query_logits=faint(OTHER), text_trust=WEAK - 0.01
    )
    assert torch.equal(made.support_mask[0], OBJECT)
    assert torch.equal(made.query_mask, OBJECT)
    assert made.match_share.item() == 1
    assert (made.query_text < 0.5).all()


def test_from_the_limit_of_trust_on_a_word_is_not_weak():
    made = first_masks(support_logits=faint(OBJECT)[:, None], query_logits=faint(OTHER), text_trust=WEAK)
    assert made.match_share.item() == 0
    assert (made.support_text < 0.5).all()


def test_a_marked_support_of_a_weak_word_keeps_its_text_as_it_is():
    made = first_masks(
        **full(OBJECT), support_logits=faint(OTHER)[:, None], query_logits=faint(OTHER), text_trust=0.1
    )
    assert (made.support_text < 0.5).all()
    assert torch.equal(made.support_mask[0], OBJECT)


def test_raising_puts_zero_half_way_between_the_median_and_the_best_cells_and_keeps_the_order():
    logits = torch.tensor([[-9.0, -8.0, -8.0, -7.0, -2.0], [4.0, 4.0, 4.0, 4.0, 6.0]])[:, None]  # (2, 1, 5)
    raised = raised_to_half(logits.sigmoid()).logit()
    torch.testing.assert_close(raised[0, 0], logits[0, 0] + 5, atol=1e-2, rtol=0)
    torch.testing.assert_close(raised[1, 0], logits[1, 0] - 5, atol=1e-2, rtol=0)
    assert (raised_to_half(torch.full((1, 2, 2), 0.5)) == 0.5).all()


def test_a_full_mask_wins_over_the_text_on_its_support():
    made = first_masks(**full(OBJECT))
    assert torch.equal(made.support_mask[0], OBJECT)
    assert torch.equal(made.support, OBJECT[:, None].float())


def test_a_full_mask_moves_the_query_towards_matching():
    made = first_masks(**full(OBJECT))
    label_only = first_masks()
    assert 0.3 < made.match_share.item() < 1
    assert (made.query[OTHER] < label_only.query[OTHER]).all()


def test_without_trust_in_the_text_the_query_follows_the_mask():
    nonsense = noise(1, 2, H, W)
    made = first_masks(
        **full(OBJECT), text_trust=0.0, query_logits=nonsense, support_logits=nonsense[:, None]
    )
    assert torch.equal(made.query_mask, OBJECT)
    assert made.match_share.item() == pytest.approx(1)
    other = first_masks(
        **full(OBJECT), text_trust=0.0, query_logits=-nonsense, support_logits=-nonsense[:, None]
    )
    torch.testing.assert_close(made.query, other.query)


def test_a_box_keeps_its_outside_background_and_lets_the_text_decide_inside():
    box = mask(".####.", ".####.", ".####.", "......")
    inside_text = torch.where(OBJECT, 3.0, -3.0)
    logits = torch.stack((inside_text, torch.zeros_like(inside_text)), 1)
    made = first_masks(
        known=torch.zeros(1, 1, H, W),
        unknown=box[:, None].float(),
        support_logits=logits[:, None],
        query_logits=logits,
    )
    assert not made.support_mask[0][~box].any()
    assert made.support_mask[0][OBJECT].all()


def test_in_a_box_of_an_unknown_word_the_inside_is_the_object():
    box = mask("......", ".####.", ".####.", "......")
    made = first_masks(known=torch.zeros(1, 1, H, W), unknown=box[:, None].float(), text_trust=0.0)
    assert torch.equal(made.support_mask[0], box)


def test_scribbles_on_both_sides_spread_to_cells_that_look_alike():
    stroke, ground = (
        mask("......", ".#....", "......", "......"),
        mask("#...#.", "......", "......", "......"),
    )
    known = stroke[:, None].float()
    unknown = (~(stroke | ground))[:, None].float()
    made = first_masks(known=known, unknown=unknown, text_trust=0.0)
    assert torch.equal(made.support_mask[0] & ~OTHER, OBJECT)
    assert made.support_mask[0][stroke].all()
    assert not made.support_mask[0][ground].any()


def test_a_stroke_on_the_object_alone_spreads_to_it_and_to_nothing_else():
    stroke = mask("......", ".##...", "......", "......")
    made = first_masks(known=stroke[:, None].float(), unknown=(~stroke)[:, None].float(), text_trust=0.0)
    assert torch.equal(made.support_mask[0] & ~OTHER, OBJECT)  # the island is as far from both
    assert torch.equal(made.query_mask & ~OTHER, OBJECT)


def test_the_far_and_unlike_is_taken_for_background_by_a_plain_loop():
    features, marked = noise(1, 5, H, W), mask("#.....", "#.....", "......", "......")
    foreground = features[:, :, 0, 0]
    steps, cosines = {}, {}
    for r in range(H):
        for c in range(W):
            steps[r, c] = min(max(abs(r - y), abs(c - x)) for y, x in ((0, 0), (1, 0)))
            cosines[r, c] = float(torch.cosine_similarity(features[0, :, r, c], foreground[0], dim=0))
    unlike = sorted((cell for cell in cosines if not marked[0][cell]), key=cosines.__getitem__)[: H * W // 2]
    expected = torch.zeros(1, H, W, dtype=torch.bool)
    for cell in unlike:
        expected[0][cell] = 2 * steps[cell] >= max(steps.values())
    made = assumed_background(features, foreground, marked.float())
    assert torch.equal(made, expected)
    assert made.any()


@pytest.mark.parametrize("rows", [("######",) * 4, ("######", "######", "######", "#####.")])
def test_marks_on_nearly_everything_leave_a_background_of_what_is_left(rows):
    marked = mask(*rows)
    assert torch.equal(assumed_background(picture(OBJECT), noise(1, 3), marked.float()), ~marked)


def test_what_a_person_said_is_never_overruled():
    known, unknown = coin(1, 1, H, W, share=0.3).float(), coin(1, 1, H, W, seed=1, share=0.4).float()
    known = known * (1 - unknown)
    made = first_masks(known=known, unknown=unknown)
    said = unknown == 0
    assert torch.equal(made.support[said], known[said])


def test_a_present_object_never_has_an_empty_first_mask():
    logits = torch.stack((torch.full((1, H, W), -9.0), torch.zeros(1, H, W)), 1)
    logits[0, 0, 2, 3] = -8.0
    present = first_masks(query_logits=logits, support_logits=logits[:, None])
    assert_mask(present.query_mask, "......", "......", "...#..", "......")
    assert present.support_mask.any()
    assert not first_masks(query_logits=logits, query_present=False).query_mask.any()


@pytest.mark.parametrize("area", [OBJECT, ~OBJECT, mask(*["######"] * 4), mask("#.....", *["......"] * 3)])
def test_masks_of_any_size_give_finite_probabilities(area):
    for trust in (0.0, 1.0):
        made = first_masks(**full(area), text_trust=trust)
        for value in made:
            assert value.float().isfinite().all()
        assert made.query.amin() >= 0
        assert made.query.amax() <= 1
        assert torch.equal(made.support_mask[0], area)


def test_label_only_supports_do_not_weigh_beside_a_marked_one():
    wrong = torch.where(OTHER, 3.0, -3.0)
    wrong = torch.stack((wrong, torch.zeros_like(wrong)), 1)
    marked = first_masks(**full(OBJECT), text_trust=0.0)
    beside = first_masks(
        support_features=picture(OBJECT)[:, None].repeat(1, 2, 1, 1, 1),
        support_logits=wrong[:, None].repeat(1, 2, 1, 1, 1),
        known=torch.stack((OBJECT.float(), torch.zeros(1, H, W)), 1),
        unknown=torch.stack((torch.zeros(1, H, W), torch.ones(1, H, W)), 1),
        text_trust=0.0,
    )
    assert torch.equal(beside.query_mask, marked.query_mask)


def test_several_shots_do_not_depend_on_their_order():
    features, logits = noise(2, 3, 5, H, W), noise(2, 3, 4, H, W, seed=1)
    known = coin(2, 3, H, W, share=0.4).float()
    unknown = (coin(2, 3, H, W, seed=1) & (known == 0)).float()
    unknown[:, 0], known[:, 0] = 1, 0

    def run(order: list[int]) -> InitialMasks:
        return both_sides(
            features[:, order],
            noise(2, 5, H, W, seed=2),
            support_logits=logits[:, order],
            query_logits=noise(2, 4, H, W, seed=3),
            foreground=2,
            known=known[:, order],
            unknown=unknown[:, order],
        )

    straight, turned = run([0, 1, 2]), run([2, 0, 1])
    torch.testing.assert_close(straight.query, turned.query)
    torch.testing.assert_close(straight.support[:, [2, 0, 1]], turned.support)
    torch.testing.assert_close(straight.match_share, turned.match_share)


def test_at_least_one_cell_is_taken_for_background():
    features, marked = noise(1, 5, 1, 6), mask("#.....")
    made = assumed_background(features, features[:, :, 0, 0], marked.float(), far=0.0, unlike=0.01)
    cosines = [
        float(torch.cosine_similarity(features[0, :, 0, c], features[0, :, 0, 0], dim=0)) for c in range(6)
    ]
    assert made.sum() == 1
    assert made[0, 0].tolist().index(True) == cosines.index(min(cosines))


def test_matching_is_trusted_by_how_it_explains_the_marks_beside_the_text():
    """The share is m^2 / (m^2 + t^2) of both soft IoU, in which a cell that nobody marked counts 0.3."""
    stroke = mask("......", ".##...", "......", "......")
    features = 0.2 * noise(1, 1, 3, H, W, seed=3) + picture(OBJECT)[:, None]
    logits = noise(1, 1, 2, H, W, seed=4)
    known, unknown = stroke[:, None].float(), (~stroke)[:, None].float()
    made = support_masks(
        features, logits, roles(1, 1, 1), known=known, unknown=unknown, text_trust=torch.tensor([0.8])
    )
    own = match_probability(features[:, 0], made.object, made.other)
    weight = torch.where(stroke, 1.0, 0.3)

    def overlap(score: Tensor) -> Tensor:
        target = made.probability[:, 0]
        low, high = torch.minimum(score, target), torch.maximum(score, target)
        return (low * weight).sum() / (high * weight).sum()

    text, match = 0.8 * overlap(made.text[:, 0]), overlap(own)
    assert made.match_share.item() == pytest.approx(float(match**2 / (match**2 + text**2)), abs=1e-5)
