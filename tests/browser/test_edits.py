"""Editing in a real browser: what comes back is compared with the strokes, pixel for pixel."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from lfss import morphology
from tests.browser.steps import SHAPES, Canvas, Spot, choose, wait_text, wait_until

pytestmark = pytest.mark.browser


def drawn(canvas: Canvas, first: Spot, last: Spot) -> np.ndarray:
    """(H, W) bool: where a stroke of the brush between two places should lie."""
    mask = np.zeros(canvas.size, np.uint8)
    ends = [(round(spot.column), round(spot.row)) for spot in (first, last)]
    cv2.line(mask, *ends, 1, round(2 * canvas.radius))
    return mask.astype(bool)


def overlap(a: np.ndarray, b: np.ndarray) -> float:
    return float((a & b).sum() / max(1, (a | b).sum()))


def test_three_edits_in_a_row_on_every_shape_with_undo_and_redo(review_page):
    """Brush, then eraser, then a repair; then back and forth, by key and by button."""
    page, session = review_page
    for number, size in enumerate(SHAPES):
        name, digest = f"query{number}.png", choose(page, session, number)

        def mask(digest=digest) -> np.ndarray:
            return session.workspace.draft(digest, "red").mask

        def becomes(expected: np.ndarray, what: str, mask=mask) -> None:
            wait_until(page, lambda: np.array_equal(mask(), expected), what)

        states = [mask()]
        for edit, (start, end) in enumerate([((0.2, 0.5), (0.45, 0.5)), ((0.5, 0.42), (0.5, 0.58))]):
            canvas = Canvas(page, "#review-canvas", size, digest)
            canvas.choose("brush" if edit == 0 else "eraser")
            line = drawn(canvas, *canvas.stroke(start, end))
            wait_until(page, lambda: not np.array_equal(mask(), states[-1]), f"{name}: edit {edit}")  # noqa: B023
            states.append(mask())
            wait_text(page, "#review-canvas .lc-drawn", "edited · ")  # as it is now, not as it was sent
            changed = states[-1] ^ states[-2]
            expected = line & ~states[-2] if edit == 0 else line & states[-2]
            assert changed.shape == size
            assert (changed & states[-1]).any() == (edit == 0)  # the brush only adds,
            assert (changed & ~states[-1]).any() == (edit == 1)  # the eraser only takes away
            assert overlap(changed, expected) > 0.8, f"{name}: edit {edit}"
        page.click("#repair-fill-holes" if number == 0 else "#repair-grow")
        repaired = morphology.fill_holes(states[-1]) if number == 0 else morphology.grow(states[-1], 4)
        becomes(repaired, f"{name}: repair")
        states.append(repaired)
        if number == 0:
            assert np.array_equal(repaired, states[1])  # what was erased was a hole in the block
        if number == 0:
            back = [("key", "z"), ("button", "#review-undo"), ("key", "z")]
            forth = [("key", "y"), ("button", "#review-redo"), ("key", "y")]
            for (how, what), expected in zip([*back, *forth], [*states[2::-1], *states[1:]]):
                page.keyboard.press(what) if how == "key" else page.click(what)
                becomes(expected, f"{name}: {how} {what}")
        else:  # as fast as keys go
            for key, expected in (("z", states[0]), ("y", states[-1])):
                for _ in range(3):
                    page.keyboard.press(key)
                becomes(expected, f"{name}: {key} three times")
        assert session.workspace.draft(digest, "red").status == "edited"
    wait_text(page, "#review-counts", "3 of 3")
