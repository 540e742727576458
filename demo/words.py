"""Words of ours that a person meets on the page, each explained where it stands, in one plain sentence.

In a line for people a word is written ``word("doubt")``; ``buttons`` makes a small button of it once the line
is HTML: the pointer over it, a press, a tap or Enter shows the sentence. What a stage of a method is stands
on its card (``StageInfo.how_to_read``).
"""

from __future__ import annotations

import html
import re

WORDS = {
    "doubt": "Doubt: how much of the mask could have gone either way, from 0 to 1. "
    "Look at large doubt first.",
    "presence": "Presence: how sure the model is that the picture shows the object at all. "
    "Where it is too low, the mask is empty.",
    "agreement": "Agreement: how well this support's object is found by means of the other supports. "
    "A low one shows something else, or is marked wrongly.",
}
# Private marks: they pass through html.escape, and in a name that somebody chose they do no harm.
_OPEN, _BETWEEN, _CLOSE = "\ue000", "\ue001", "\ue002"
_MARKED = re.compile(f"{_OPEN}([a-z]+){_BETWEEN}([^{_CLOSE}]*){_CLOSE}")

BUBBLE = '<div id="lfss-word" popover role="tooltip"></div>'

# A press, a tap or a key shows the sentence at the word; Esc, a press elsewhere or scrolling closes it.
EXPLAIN = """() => {
  document.addEventListener('click', event => {
    const word = event.target.closest?.('.lfss-word'), bubble = document.getElementById('lfss-word');
    if (!word || !bubble) return;
    bubble.textContent = word.title;
    bubble.showPopover();
    const at = word.getBoundingClientRect(), box = bubble.getBoundingClientRect();
    const below = at.bottom + 6 + box.height < innerHeight;
    bubble.style.left = Math.max(8, Math.min(at.left, innerWidth - box.width - 8)) + 'px';
    bubble.style.top = (below ? at.bottom + 6 : at.top - 6 - box.height) + 'px';
  });
  const close = () => document.querySelector('#lfss-word:popover-open')?.hidePopover();
  document.addEventListener('scroll', close, {capture: true, passive: true});
}"""


def word(key: str, shown: str = "") -> str:
    """A word of ``WORDS`` in a line for people, shown as itself or as something else."""
    return f"{_OPEN}{key}{_BETWEEN}{shown or key}{_CLOSE}"


def buttons(line: str) -> str:
    """A line that is HTML already, its words made buttons."""
    return _MARKED.sub(_button, line)


def _button(found: re.Match[str]) -> str:
    key, shown = found.groups()
    if key not in WORDS:
        return shown
    sentence = html.escape(WORDS[key], quote=True)
    return f'<button type="button" class="lfss-word" title="{sentence}">{shown}</button>'
