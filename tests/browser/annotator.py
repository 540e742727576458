"""A person who corrects drafts, as a script: real clicks and keys in a real browser, each one counted.

The script knows the truth and does what somebody with good eyes would: a draft that is good enough is
accepted; in any other the largest wrong region is clicked on with the tool that asks the model, whose answer
is kept if it is better; if it is not, the region is drawn around by hand. Until the mask is good enough.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from demo.session import Session
from tests.browser.steps import Canvas

Mask = npt.NDArray[np.bool_]

GOOD = 0.8  # IoU from which a draft is used as it is
MAX_MARKS = 12  # marks and strokes on one draft, after which it is left as it is
RIM = 0.004  # of the longer side: what is thinner than twice this is no region to correct


@dataclass
class Work:
    """What one draft took.

    Attributes:
        name: of the picture.
        before, after: IoU with the truth.
        strokes: clicks and strokes on the picture.
        actions: all other presses of keys and buttons.
        seconds: until the next draft was shown, without any time to think.
        decision: what was said of it.
    """

    name: str
    before: float
    after: float = 0.0
    strokes: int = 0
    actions: int = 0
    seconds: float = 0.0
    decision: str = ""


@dataclass
class Answers:
    """The masks that the model has proposed, as a person sees them on the page."""

    latest: Mask | None = None
    count: int = 0

    def watched(self, ask: Any) -> Any:
        """The function that asks the model, with what it answers noted."""

        def asking(*sent: Any) -> Mask:
            mask = ask(*sent)
            self.latest, self.count = mask, self.count + 1
            return mask

        return asking


@dataclass
class Annotator:
    """Goes through the list of the Review tab.

    Attributes:
        page: of the browser, on the Review tab.
        session: of the page, to see which draft is shown.
        truth: mask and ignored pixels of each picture, by its name.
        answers: what the model proposes.
        label: of the drafts.
    """

    page: Any
    session: Session
    truth: dict[str, tuple[Mask, Mask]]
    answers: Answers
    label: str
    tool: str = "brush"
    work: list[Work] = field(default_factory=list)

    def all(self) -> list[Work]:
        """Decide on every draft of the list that is left to do."""
        for _ in range(len(self.session.workspace.overview(self.label, "proposed"))):
            self.work.append(self.one())
        return self.work

    def one(self) -> Work:
        """Correct the draft that is shown if it needs it, and decide on it."""
        start, digest = time.monotonic(), self.session.reviewed
        assert digest is not None
        draft = self.session.workspace.draft(digest, self.label)
        assert draft is not None
        truth, ignore = self.truth[draft.image_name]
        self.page.locator(f'#review-canvas .lc-view[data-key*="{digest}"]').wait_for()
        work = Work(draft.image_name, iou(draft.mask, truth, ignore))
        mask = draft.mask
        if truth.any():
            mask = self._correct(work, mask, truth, ignore)
            self._decide(work, "a", "accepted", digest)
            kept = self.session.workspace.draft(digest, self.label)
            assert kept is not None
            mask = kept.mask
        else:
            self._decide(work, "x", "absent", digest)
            mask = np.zeros_like(truth)
        work.after, work.seconds = iou(mask, truth, ignore), time.monotonic() - start
        return work

    def _correct(self, work: Work, mask: Mask, truth: Mask, ignore: Mask) -> Mask:
        quality, by_hand = work.before, False
        while quality < GOOD and work.strokes < MAX_MARKS:
            region = largest_error(mask, truth, ignore)
            if region is None:
                break
            better = None if by_hand else self._ask(work, region, mask, truth, ignore)
            if better is not None and iou(better, truth, ignore) >= GOOD:
                return better  # the key that accepts keeps it too
            if better is not None:
                self.page.keyboard.press("Enter")
                work.actions += 1
                better = self._saved(mask)
            else:  # drawing drops what was proposed
                by_hand = True
                better = self._draw(work, region, mask, truth)
            mask, quality = better, iou(better, truth, ignore)
        return mask

    def _ask(self, work: Work, region: Mask, mask: Mask, truth: Mask, ignore: Mask) -> Mask | None:
        """Click on a wrong region; the mask that the model answers, None if it is no better."""
        self._choose(work, ".", "point")
        row, column = inmost(region)
        missing = bool(truth[row, column])
        before, seen = iou(mask, truth, ignore), self.answers.count
        canvas = self._canvas(mask.shape)
        spot = canvas.spot((row + 0.5) / mask.shape[0], (column + 0.5) / mask.shape[1])
        self.page.mouse.click(spot.x, spot.y, button="left" if missing else "right")
        work.strokes += 1
        self._wait(lambda: self.answers.count > seen)
        self.page.wait_for_function(
            "() => !document.querySelector('#review-canvas .lc-note').innerText.includes('is asked')"
        )
        offered = self.page.locator("#review-canvas .lc-offers").count()
        found = self.answers.latest
        assert found is not None
        answer = cv2.resize(found.astype(np.uint8), mask.shape[::-1], interpolation=cv2.INTER_NEAREST) > 0
        better = bool(offered) and iou(answer, truth, ignore) > before + 0.01
        return answer if better else None

    def _draw(self, work: Work, region: Mask, mask: Mask, truth: Mask) -> Mask:
        """Draw around a wrong region with the lasso; the right button takes away."""
        self._choose(work, "l", "lasso")
        missing = bool((region & truth).sum() * 2 > region.sum())
        grown = cv2.dilate(region.astype(np.uint8), np.ones((3, 3), np.uint8))
        lines, _ = cv2.findContours(grown, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
        line = max(lines, key=cv2.contourArea)
        line = cv2.approxPolyDP(line, RIM * max(mask.shape), True)[:, 0]
        canvas = self._canvas(mask.shape)
        spots = [canvas.spot((y + 0.5) / mask.shape[0], (x + 0.5) / mask.shape[1]) for x, y in line]
        self.page.mouse.move(spots[0].x, spots[0].y)
        self.page.mouse.down(button="left" if missing else "right")
        for spot in [*spots[1:], spots[0]]:
            self.page.mouse.move(spot.x, spot.y)
        self.page.mouse.up(button="left" if missing else "right")
        work.strokes += 1
        return self._saved(mask)

    def _decide(self, work: Work, key: str, decision: str, digest: str) -> None:
        self.page.keyboard.press(key)
        work.actions += 1
        work.decision = decision

        def decided() -> bool:
            draft = self.session.workspace.draft(digest, self.label)
            return draft is not None and draft.status == decision

        self._wait(decided)

    def _choose(self, work: Work, key: str, name: str) -> None:
        if self.tool != name:
            self.page.locator("#review-canvas .lc-view").focus()  # a press on the picture does this too
            self.page.keyboard.press(key)
            work.actions += 1
            self.tool = name

    def _canvas(self, size: tuple[int, ...]) -> Canvas:
        assert self.session.reviewed is not None
        return Canvas(self.page, "#review-canvas", (size[0], size[1]), self.session.reviewed)

    def _saved(self, before: Mask) -> Mask:
        """The mask of the draft once something that was drawn on it is kept."""
        digest, found = self.session.reviewed or "", before

        def kept() -> bool:
            nonlocal found
            draft = self.session.workspace.draft(digest, self.label)
            assert draft is not None
            found = draft.mask
            return not np.array_equal(found, before)

        self._wait(kept, 10)
        self.page.wait_for_timeout(30)
        return found

    def _wait(self, true: Any, seconds: float = 60) -> None:
        end = time.monotonic() + seconds
        while not true() and time.monotonic() < end:
            self.page.wait_for_timeout(10)


def iou(mask: Mask, truth: Mask, ignore: Mask) -> float:
    """Intersection over union of (H, W) masks where somebody vouches for the truth; 1 for two empty ones."""
    either = int(((mask | truth) & ~ignore).sum())
    return int((mask & truth & ~ignore).sum()) / either if either else 1.0


def largest_error(mask: Mask, truth: Mask, ignore: Mask) -> Mask | None:
    """The largest region (H, W) that is missing or too much, rims left out; None if there is none."""
    wrong = (mask != truth) & ~ignore
    reach = max(1, round(RIM * max(mask.shape)))
    best, area = None, 0
    for kind in (wrong & truth, wrong & ~truth):
        opened = cv2.morphologyEx(
            kind.astype(np.uint8), cv2.MORPH_OPEN, np.ones((2 * reach + 1, 2 * reach + 1), np.uint8)
        )
        count, parts, stats, _ = cv2.connectedComponentsWithStats(opened)
        for number in range(1, count):
            if stats[number, cv2.CC_STAT_AREA] > area:
                best, area = parts == number, int(stats[number, cv2.CC_STAT_AREA])
    return best


def inmost(region: Mask) -> tuple[int, int]:
    """Row and column of the pixel of a region that is farthest from its border."""
    padded = np.pad(region.astype(np.uint8), 1)
    depth = cv2.distanceTransform(padded, cv2.DIST_L2, 5)[1:-1, 1:-1]
    row, column = np.unravel_index(int(depth.argmax()), depth.shape)
    return int(row), int(column)
