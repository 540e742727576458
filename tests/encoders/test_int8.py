"""Weights stored as int8: close to the original, and exact where they say so."""

from __future__ import annotations

import torch

from lfss.encoders.int8 import SCALE, float_state, quantise, quantised_state


def test_every_weight_is_within_half_a_step_of_its_channel() -> None:
    weight = torch.randn(5, 40, generator=torch.Generator().manual_seed(0)) * torch.tensor(
        [[1.0], [0.01], [30.0], [1.0], [0.0]]
    )
    small, scale = quantise(weight)
    assert small.dtype == torch.int8
    error = (small.float() * scale[:, None] - weight).abs().amax(1)
    assert (error <= scale / 2 + 1e-6).all()
    assert int(small.abs().max()) == 127


def test_a_state_comes_back_with_the_same_names_and_shapes() -> None:
    state = {"a.weight": torch.randn(3, 4), "a.bias": torch.randn(3), "count": torch.tensor(7)}
    stored = quantised_state(state, {"a.weight"})
    assert stored["a.weight"].dtype == torch.int8
    assert stored["a.bias"].dtype == torch.float16
    assert stored["a.weight" + SCALE].shape == (3,)
    back = float_state(stored)
    assert set(back) == set(state)
    assert all(back[name].dtype == torch.float32 and back[name].shape == state[name].shape for name in state)
    torch.testing.assert_close(back["a.weight"], state["a.weight"], atol=0.02, rtol=0)
