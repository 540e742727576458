"""The edge network: what it starts from, what it reads, and where its correction goes."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch
from torch import nn

from lfss import edge_network
from lfss.edge_network import (
    AGAIN,
    LIMIT,
    SHARE,
    SIDE,
    EdgeNetwork,
    load_edge_network,
    logits_of,
    score_at_pixels,
)
from lfss.edges import to_pixels
from lfss.errors import WeightsMismatch
from lfss.weights import save_model
from tests.masks import coin, noise

RNG = np.random.default_rng(0)


def network(width: int = 3, *, moved: bool = True) -> EdgeNetwork:
    torch.manual_seed(0)
    made = EdgeNetwork(width).eval().requires_grad_(False)
    if moved:
        nn.init.normal_(made.head.weight)
    return made


def pixels(height: int, width: int) -> np.ndarray:
    return RNG.integers(0, 255, (height, width, 3), np.uint8)


def test_an_untrained_network_leaves_the_filters_score_but_for_the_second_filter():
    photo, logits = pixels(60, 90), 3 * RNG.standard_normal((6, 6)).astype(np.float32)
    made = score_at_pixels(logits, photo, network(moved=False))
    assert made.shape == (60, 90)
    square = cv2.resize(photo, (SIDE, SIDE), interpolation=cv2.INTER_AREA)
    again = to_pixels(logits_of(to_pixels(logits, square)), photo, radius=AGAIN)
    np.testing.assert_allclose(made, again, atol=1e-6)


def test_without_a_network_or_without_edges_the_score_is_that_of_the_filter_or_enlarged():
    photo, logits = pixels(40, 50), RNG.standard_normal((4, 4)).astype(np.float32)
    np.testing.assert_array_equal(score_at_pixels(logits, photo), to_pixels(logits, photo))
    plain = score_at_pixels(logits, photo, network(), snap=False)
    np.testing.assert_array_equal(plain, to_pixels(logits, photo, snap=False))


class Fixed(EdgeNetwork):
    """Adds a fixed map, and keeps what it was given."""

    def __init__(self, correction: np.ndarray):
        super().__init__(3)
        self.correction = torch.from_numpy(correction)[None]

    def forward(self, picture: torch.Tensor, score: torch.Tensor, cells: torch.Tensor) -> torch.Tensor:
        self.given = (picture, score, cells)
        return self.correction


@pytest.mark.parametrize("size", [(64, 96), (SIDE, SIDE), (700, 500)])
def test_half_of_the_correction_is_added_where_it_belongs(size):
    """On grey pictures the filters change nothing: the left half alone moves, at every size and aspect."""
    step = np.zeros((SIDE, SIDE), np.float32)
    step[:, : SIDE // 2] = 4.0
    photo, logits = np.full((*size, 3), 90, np.uint8), np.full((5, 5), -1.0, np.float32)
    made = score_at_pixels(logits, photo, Fixed(step))
    margin = size[1] // 4
    left, right = made[:, :margin], made[:, -margin:]
    np.testing.assert_allclose(left, 1 / (1 + np.exp(1 - SHARE * 4)), atol=2e-3)
    np.testing.assert_allclose(right, 1 / (1 + np.exp(1)), atol=2e-3)


def test_it_reads_the_picture_the_score_and_the_cells_at_its_own_size():
    fixed = Fixed(np.zeros((SIDE, SIDE), np.float32))
    photo, logits = pixels(640, 960), RNG.standard_normal((5, 7)).astype(np.float32)
    score_at_pixels(logits, photo, fixed)
    picture, score, cells = fixed.given
    assert picture.shape == (1, 3, SIDE, SIDE)
    blocks = photo.astype(np.float32).reshape(SIDE, 2, SIDE, 3, 3).mean((1, 3)) / 255
    np.testing.assert_allclose(picture[0].permute(1, 2, 0).numpy(), blocks, atol=0.02)
    assert score.shape == (1, SIDE, SIDE)
    assert score.abs().max() <= LIMIT + 1e-4
    np.testing.assert_array_equal(cells[0].numpy(), logits)


def test_logits_of_a_score_undo_the_sigmoid_and_stay_within_the_limit():
    values = np.linspace(-5.5, 5.5, 23, dtype=np.float32)
    np.testing.assert_allclose(logits_of(1 / (1 + np.exp(-values))), values, atol=1e-3)
    np.testing.assert_allclose(logits_of(np.array([0.0, 1.0])), [-LIMIT, LIMIT], atol=1e-3)


@pytest.mark.parametrize("which", [0, 1, 2])
def test_each_of_its_three_inputs_matters(which):
    made = network()
    given = [noise(1, 3, 32, 48).sigmoid(), noise(1, 32, 48, seed=1), noise(1, 4, 6, seed=2)]
    before = made(*given)
    assert before.shape == (1, 32, 48)
    given[which] = given[which].flip(-1)
    assert (made(*given) - before).abs().max() > 1e-3


def test_grey_is_nothing_and_what_lies_beyond_the_limits_is_as_the_limit():
    made = network()
    for name, parameter in made.named_parameters():
        if name.endswith("bias"):
            nn.init.zeros_(parameter)
    grey, none = torch.full((1, 3, 32, 48), 0.5), torch.zeros(1, 32, 48)
    assert not made(grey, none, torch.zeros(1, 4, 6)).any()
    for sign in (-1, 1):
        cells = torch.full((1, 4, 6), 30.0 * sign)
        torch.testing.assert_close(made(grey, none, 2 * cells), made(grey, none, cells))
        torch.testing.assert_close(made(grey, none + 9 * sign, cells), made(grey, none + LIMIT * sign, cells))


def test_every_parameter_learns_once_the_head_has_moved():
    made = network().requires_grad_(True)
    out = made(noise(2, 3, 32, 32).sigmoid(), noise(2, 32, 32, seed=1), noise(2, 4, 4, seed=2))
    nn.functional.binary_cross_entropy_with_logits(out, coin(2, 32, 32).float()).backward()
    for name, parameter in made.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().max() > 0, name


def test_it_is_loaded_from_a_folder_and_refuses_other_weights(tmp_path):
    made = network(6)
    save_model(tmp_path / "edges", made.state_dict(), {"width": 6})
    loaded = load_edge_network(tmp_path / "edges")
    given = (noise(1, 3, 32, 32).sigmoid(), noise(1, 32, 32, seed=1), noise(1, 4, 4, seed=2))
    torch.testing.assert_close(loaded(*given), made(*given))
    save_model(tmp_path / "other", network(3).state_dict(), {"width": 6})
    with pytest.raises(WeightsMismatch, match="EdgeNetwork"):
        load_edge_network(tmp_path / "other")


@pytest.mark.parametrize("config", [{}, {"width": "6"}, {"width": 0}, {"width": 10**9}])
def test_a_folder_that_says_no_sensible_width_is_refused_before_anything_is_built(tmp_path, config):
    save_model(tmp_path / "edges", network(3).state_dict(), config)
    with pytest.raises(WeightsMismatch, match="its width is"):
        load_edge_network(tmp_path / "edges")


def test_the_default_model_ships_with_one(monkeypatch):
    """What the app and the command line use; its weights are in the repository."""
    from lfss.presets import find_preset

    loaded = load_edge_network(str(find_preset("mini").edges))
    assert loaded.width >= 8
    assert loaded.head.weight.abs().max() > 0
    assert edge_network.SIDE == 320
    # With another wiring than that of the training the same weights would ask for something else.
    down, across = torch.meshgrid(torch.linspace(-1, 1, 64), torch.linspace(-1, 1, 64), indexing="ij")
    disc = (down**2 + across**2 < 0.4).float()
    made = loaded(disc.expand(1, 3, 64, 64), 3 * (0.6 - down.abs())[None], 4 * (disc - 0.5)[None])
    torch.testing.assert_close(
        made[0, 32, [2, 20, 32, 44]], torch.tensor([-0.625, 1.416, 1.08, 0.244]), atol=2e-3, rtol=0
    )
