"""Training the paper's decoder: the loss is the paper's, written out once more as a loop."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from lfss.methods import Episode
from lfss.methods.lfss import Lfss, LfssConfig
from lfss.similarity import resize_map
from tests.masks import coin, noise
from tests.methods.made import a_class
from train.decoders.learning import Recipe
from train.decoders.paper import Example, PaperLearner

CHANNELS, H, W, S, K = (6, 4), 8, 9, 16, 2


def example() -> Example:
    """One episode with two supports, label only, and random truth with unknown pixels."""
    features = (noise(1, K, 6, H, W, seed=3), noise(1, K, 4, 4, 5, seed=4))
    unmarked = torch.zeros(1, K, H, W), torch.ones(1, K, H, W)
    episode = Episode(
        query_features=(noise(1, 6, H, W, seed=5), noise(1, 4, 4, 5, seed=6)),
        classes=(a_class(*unmarked, features, phrases=(1, 2), seed=-1),),
    )
    return Example(
        episode=episode,
        query=coin(1, S, S, seed=7, share=0.3).float(),
        query_valid=coin(1, S, S, seed=8, share=0.8).float(),
        supports=coin(K, S, S, seed=9, share=0.5).float(),
        supports_valid=coin(K, S, S, seed=10, share=0.9).float(),
        class_index=torch.tensor([0]),
    )


def learner(**recipe: object) -> PaperLearner:
    torch.manual_seed(0)
    return PaperLearner(replace(Recipe(decoder="paper", overlap=0.0), **recipe), ["cat"], CHANNELS)  # type: ignore[arg-type]


def cross_entropy(logits: Tensor, truth: Tensor, valid: Tensor) -> float:
    """Mean over the valid pixels, one pixel after the other."""
    total, count = 0.0, 0
    enlarged = resize_map(logits, (S, S))
    for picture, t, v in zip(enlarged.tolist(), truth.tolist(), valid.tolist()):
        for row, truth_row, valid_row in zip(picture, t, v):
            for x, y, known in zip(row, truth_row, valid_row):
                if known:
                    total += math.log1p(math.exp(-abs(x))) + max(x, 0) - x * y
                    count += 1
    return total / count


@pytest.mark.parametrize("beta", [0.0, 0.3, 0.5, 1.0])
def test_the_loss_of_circle_training_is_equation_20(beta: float) -> None:
    given, module = example(), learner(beta=beta)
    with torch.no_grad():
        loss, logits = module._losses(given)
        second, support_logits = module.method.circle(given.episode.classes[0])
        query_logits = module.method(replace(given.episode, classes=(second,)))[:, 0]
    supports = cross_entropy(support_logits[0], given.supports, given.supports_valid)
    query = cross_entropy(query_logits, given.query, given.query_valid)
    assert supports != pytest.approx(query, rel=1e-3)  # or beta could not matter
    assert float(loss) == pytest.approx(beta * supports + (1 - beta) * query, rel=1e-5)
    torch.testing.assert_close(logits, query_logits)


def test_without_circle_training_the_query_alone_counts() -> None:
    given, module = example(), learner(circle=False)
    with torch.no_grad():
        loss, logits = module._losses(given)
        alone = Lfss(CHANNELS, LfssConfig(decoder="paper"))
        alone.load_state_dict(module.method.state_dict())
        torch.testing.assert_close(logits, alone(given.episode)[:, 0])
    assert float(loss) == pytest.approx(cross_entropy(logits, given.query, given.query_valid), rel=1e-5)


def test_with_beta_one_the_second_pass_sends_no_gradient() -> None:  # T-A20
    given = example()
    both, first = learner(beta=1.0), learner(beta=1.0)
    both._losses(given)[0].backward()
    _, support_logits = first.method.circle(given.episode.classes[0])
    size = (S, S)
    enlarged = resize_map(support_logits[0], size)
    valid = given.supports_valid
    cross = torch.nn.functional.binary_cross_entropy_with_logits(enlarged, given.supports, reduction="none")
    ((cross * valid).sum() / valid.sum()).backward()
    for a, b in zip(both.method.parameters(), first.method.parameters()):
        torch.testing.assert_close(a.grad, b.grad)
