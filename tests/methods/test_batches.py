"""Several episodes become one batch, and one change reaches every tensor."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import pytest
import torch
from torch import Tensor

from lfss.methods import Episode, Pictures, StageInfo, collate, map_tensors
from lfss.stages import Stage
from tests.masks import coin, noise
from tests.methods.made import a_class, all_tensors, item, of_class

K, H, W = 2, 4, 5


def episode(phrases: tuple[int, int] = (1, 2), *, seed: int = 0, k: int = K) -> Episode:
    known = coin(1, k, H, W, seed=seed).float()
    features = (noise(1, k, 6, H, W, seed=seed), noise(1, k, 3, 2, 2, seed=seed + 1))
    one = a_class(known, 1 - known, features, phrases=phrases, trust=0.5 + seed / 10, seed=seed)
    thumbnail = noise(1, 3, 100, 100, seed=seed)
    return Episode((noise(1, 6, H, W, seed=seed), noise(1, 3, 2, 2, seed=seed)), (one,), thumbnail)


def test_a_support_is_marked_where_a_cell_is_known():
    known, unknown = torch.zeros(1, 3, 2, 2), torch.ones(1, 3, 2, 2)
    unknown[0, 0, 0, 0] = 0
    unknown[0, 1] = 0.5
    assert a_class(known, unknown, (noise(1, 3, 4, 2, 2),)).marked.tolist() == [[True, False, False]]


def test_a_stage_has_the_range_from_0_to_1_where_nothing_else_is_said():
    info = StageInfo("any", "Any", "map", "step", "Yellow is high.")
    assert (info.low, info.high) == (Stage("any", "Any", "map").low, Stage("any", "Any", "map").high)


def test_a_batch_holds_each_episode_unchanged():
    alone = [episode(seed=1), episode(seed=2)]
    together = collate(alone)
    for number, one in enumerate(alone):
        tensors, expected = all_tensors(item(together, number)), all_tensors(one)
        assert len(expected) == 12
        for a, b in zip(tensors, expected, strict=True):
            assert torch.equal(a, b)


def test_fewer_phrases_are_padded_with_role_zero():
    few, many = episode((1, 1)), episode((2, 3), seed=3)
    (made,) = collate([few, many]).classes
    assert made.phrase_roles.tolist() == [[1, -1, 0, 0, 0], [1, 1, -1, -1, -1]]
    assert made.query_logits.shape == (2, 5, 5, 5)
    assert torch.equal(made.query_logits[0, :2], few.classes[0].query_logits[0])
    assert not made.query_logits[0, 2:].any()
    assert made.supports.logits.shape == (2, K, 5, 5, 5)
    assert torch.equal(made.supports.logits[0, :, :2], few.classes[0].supports.logits[0])


def test_presence_that_the_tower_does_not_judge_is_no_number():
    judged = of_class(episode(), presence=torch.tensor([0.3]))
    (made,) = collate([judged, episode()]).classes
    assert made.presence[0].item() == pytest.approx(0.3)
    assert made.presence[1].isnan()
    assert collate([episode(), episode()]).classes[0].presence is None


def test_auxiliary_pictures_are_joined_and_what_was_prepared_is_left_out():
    extra = Pictures((noise(1, 3, 6, H, W),), noise(1, 3, 3, 5, 5), noise(1, 3, 3, 100, 100))
    given = of_class(episode(), auxiliary=extra, prepared="earlier")
    (made,) = collate([given, given]).classes
    assert made.auxiliary.logits.shape == (2, 3, 3, 5, 5)
    assert made.auxiliary.thumbnails.shape == (2, 3, 3, 100, 100)
    assert made.prepared is None


@pytest.mark.parametrize("others", [[], [episode(), episode(k=3)]], ids=["none", "other shots"])
def test_episodes_that_do_not_fit_together_are_an_error(others):
    with pytest.raises(ValueError, match=r"at least one episode|same number of classes, supports"):
        collate(others)


def test_episodes_with_other_numbers_of_classes_are_an_error():
    two = replace(episode(), classes=episode().classes * 2)
    with pytest.raises(ValueError, match="same number of classes"):
        collate([episode(), two])


def test_some_shots_of_a_class_are_chosen_from_all_its_parts():
    (one,) = of_class(episode(k=3), prepared="earlier").classes
    made = one.only([2, 0])
    assert torch.equal(made.known, one.known[:, [2, 0]])
    assert torch.equal(made.unknown, one.unknown[:, [2, 0]])
    assert torch.equal(made.supports.logits, one.supports.logits[:, [2, 0]])
    assert all(torch.equal(a, b[:, [2, 0]]) for a, b in zip(made.supports.features, one.supports.features))
    assert made.prepared is None
    assert one.only([1]).marked.tolist() == [[True]]


class Named(NamedTuple):
    first: Tensor
    second: str


def test_a_change_reaches_tensors_in_tuples_named_tuples_and_dataclasses():
    given = (Named(torch.ones(1), "text"), episode(), None, 3, Named)
    named, changed, nothing, number, kind = map_tensors(given, lambda t: t * 2)
    assert isinstance(named, Named)
    assert (named.first.item(), named.second, nothing, number, kind) == (2, "text", None, 3, Named)
    assert torch.equal(changed.classes[0].known, 2 * given[1].classes[0].known)
