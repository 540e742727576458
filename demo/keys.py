"""The keys of the page, and the sheet that ``?`` opens."""

from __future__ import annotations

import html

# Keys press the buttons of the Review tab, never while somebody types, and only while the tab is open.
KEYS = """() => {
  const keys = {a: 'accept', x: 'absent', Delete: 'reject', e: 'edit', j: 'next', k: 'previous',
                ArrowRight: 'next', ArrowLeft: 'previous', z: 'undo', y: 'redo'};
  const sheet = () => document.getElementById('lfss-keys');
  document.addEventListener('keydown', event => {
    const at = event.target;
    const typing = at.isContentEditable || ['INPUT', 'TEXTAREA', 'SELECT'].includes(at.tagName);
    if (typing || event.ctrlKey || event.metaKey || event.altKey) return;
    if (sheet()?.open) { if (event.key === '?') sheet().close(); return; }
    if (event.key === '?') { event.preventDefault(); sheet()?.showModal(); return; }
    const button = keys[event.key] && document.getElementById('review-' + keys[event.key]);
    if (button && button.offsetParent) { event.preventDefault(); button.click(); }
  });
  document.addEventListener('click', event => {
    if (event.target.closest?.('[data-keys]')) sheet()?.showModal();
    else if (event.target.closest?.('[data-close]') || event.target === sheet()) sheet()?.close();
  });
}"""

SHEET = {
    "Review": {
        "a": "accept the draft, go on",
        "x": "the object is absent, go on",
        "Delete": "reject it: neither a mask nor an absence is kept, go on",
        "e": "draw on the picture",
        "j, k, arrows": "next, previous draft",
        "z, y": "undo, do again; a change of many drafts is one step",
    },
    "On the picture": {
        "b, d": "brush, eraser",
        "p, l": "polygon, lasso",
        "c": "cut instead of add",
        "[ ]": "smaller, larger brush",
        ".": "ask the model with points and strokes",
        "Enter, Esc": "keep what the model answers or close the polygon; drop it",
        "a": "keep what the model answers and accept the draft",
        "Ctrl+Z, Ctrl+Y": "one stroke back, forward",
        "wheel, + - 0, space": "zoom, fit, move",
    },
    "Everywhere": {"?": "this sheet"},
}


def sheet() -> str:
    """The sheet of keys, closed, as HTML."""
    parts = []
    for title, keys in SHEET.items():
        rows = "".join(
            f"<tr><td><kbd>{html.escape(key)}</kbd></td><td>{html.escape(does)}</td></tr>"
            for key, does in keys.items()
        )
        parts.append(f"<section><h4>{title}</h4><table><tbody>{rows}</tbody></table></section>")
    return (
        '<dialog id="lfss-keys" aria-label="Keys">'
        f'<div class="lfss-keys">{"".join(parts)}</div>'
        '<button type="button" data-close>Close</button></dialog>'
    )
