"""The masks of ten episodes stay what they are, whatever is built around the method."""

from __future__ import annotations

import numpy as np
import pytest

from lfss.predictor import Predictor
from lfss.stages import Prediction
from tests.golden.episodes import COUNT, FILE, KINDS, SIZE, predictions, small

NAMES = [f"{number}.{kind}" for number in range(COUNT) for kind in KINDS]


@pytest.fixture(scope="module")
def made() -> dict[str, Prediction]:
    return dict(predictions(Predictor.load("tests.fakes:preset", device="cpu")))


@pytest.fixture(scope="module")
def stored() -> dict[str, np.ndarray]:
    with np.load(FILE, allow_pickle=False) as file:
        return dict(file)


@pytest.mark.parametrize("name", NAMES)
def test_an_episode_gives_the_stored_mask_score_and_presence(name, made, stored):
    mask = np.unpackbits(stored[f"{name}.mask"])[: SIZE[0] * SIZE[1]].reshape(SIZE).astype(bool)
    assert np.array_equal(made[name].mask, mask)
    np.testing.assert_allclose(small(made[name].score), stored[f"{name}.score"], atol=1e-5)
    assert made[name].presence == pytest.approx(float(stored[f"{name}.presence"]), abs=1e-5)


def test_the_stored_masks_are_neither_empty_nor_full(stored):
    shares = [np.unpackbits(stored[f"{name}.mask"]).mean() for name in NAMES]
    assert min(shares) > 0.02
    assert max(shares) < 0.5
