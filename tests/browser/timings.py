"""How long the page lets a person wait: measured inside the page, from what was done to what was seen."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tests.browser.steps import Canvas

# From a press on Run to the first mask that is on the page, in milliseconds.
FIRST_MASK = """() => {
  const start = performance.now();
  window.firstMask = null;
  const seen = () => {
    const image = document.querySelector('#result img');
    if (window.firstMask === null && image && image.src !== before && image.complete && image.naturalWidth)
      window.firstMask = performance.now() - start;
    if (window.firstMask === null) requestAnimationFrame(seen);
  };
  const before = document.querySelector('#result img')?.src || '';
  document.querySelector('#run').click();
  seen();
}"""

# Each piece of a stroke: from the pointer's event to the frame in which it is drawn, in milliseconds.
WATCH_STROKE = """() => {
  const view = document.querySelector('#review-canvas .lc-view');
  window.drawn = [];
  view.addEventListener('pointermove', event => {
    if (!event.buttons) return;
    const at = event.timeStamp;
    requestAnimationFrame(() => window.drawn.push(performance.now() - at));
  });
}"""

# From the end of a stroke to a line under the picture, in milliseconds.
WATCH_NOTE = """wanted => {
  const note = document.querySelector('#review-canvas .lc-note');
  const view = document.querySelector('#review-canvas .lc-view');
  window.told = null;
  view.addEventListener('pointerup', event => {
    const at = event.timeStamp;
    const seen = new MutationObserver(() => {
      if (!wanted.some(text => note.innerText.includes(text))) return;
      window.told = performance.now() - at;
      seen.disconnect();
    });
    seen.observe(note, {childList: true, characterData: true, subtree: true});
  }, {once: true});
}"""

# The longest time between two frames, in milliseconds, while the list of drafts is scrolled to its end.
SCROLL = """async () => {
  const list = document.querySelector('#review-strip .ls-list');
  let last = performance.now(), longest = 0, frames = 0;
  const step = Math.max(20, (list.scrollHeight - list.clientHeight) / 60);
  const more = () => list.scrollTop + list.clientHeight + 1 < list.scrollHeight && frames < 200;
  for (list.scrollTop = 0; more(); frames++) {
    list.scrollTop += step;
    await new Promise(requestAnimationFrame);
    const now = performance.now();
    longest = Math.max(longest, now - last);
    last = now;
  }
  return {longest, frames, pictures: list.querySelectorAll('li').length};
}"""


def first_mask(page: Any) -> float:
    """Press Run; milliseconds until the first mask is on the page."""
    page.evaluate(FIRST_MASK)
    page.wait_for_function("() => window.firstMask !== null", timeout=120_000)
    return float(page.evaluate("window.firstMask"))


def strokes(page: Any, canvas: Canvas, count: int = 10) -> dict[str, float]:
    """Medians of ``count`` strokes of the brush: to the screen, and to where they are kept; milliseconds."""
    canvas.choose("brush")
    page.evaluate(WATCH_STROKE)
    kept = []
    for number in range(count):
        down = 0.1 + 0.8 * number / count
        first, last = canvas.spot(down, 0.2), canvas.spot(down, 0.4)
        page.mouse.move(first.x, first.y)
        page.mouse.down()
        page.mouse.move(last.x, last.y, steps=12)
        page.evaluate(WATCH_NOTE, ["Saved"])
        page.mouse.up()
        page.wait_for_function("() => window.told !== null")
        kept.append(page.evaluate("window.told"))
    drawn = page.evaluate("window.drawn")
    return {"stroke to pixels": float(np.median(drawn)), "stroke to saved": float(np.median(kept))}


def points(page: Any, canvas: Canvas, count: int = 10) -> float:
    """Median milliseconds from a point to the model's answer on the page."""
    canvas.choose("point")
    times = []
    for number in range(count):
        spot = canvas.spot(0.3 + 0.04 * number, 0.5)
        page.evaluate(WATCH_NOTE, ["Stripes", "would change nothing"])
        page.mouse.click(spot.x, spot.y)
        page.wait_for_function("() => window.told !== null")
        times.append(page.evaluate("window.told"))
        page.keyboard.press("Escape")
    return float(np.median(times))


def timed(page: Any, act: Callable[[], object], seen: str) -> float:
    """Milliseconds from an action to a condition of the page."""
    start = page.evaluate("performance.now()")
    act()
    page.wait_for_function(seen)
    return float(page.evaluate("performance.now()")) - float(start)
