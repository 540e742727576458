"""About: what this is, what it cannot do, and which models there are."""

from __future__ import annotations

import html

import gradio as gr

from lfss import __version__

from .handlers import LIGHT, guarded
from .service import Service

TEXT = f"""
### What this is
LFSS Studio {__version__} finds things in many pictures. You give it one or several **labels**, each with a
few **supports**, photos that show the object; no masks are needed where the model knows the word. It marks
the object in every other picture and shows each step of its reasoning. You correct what is wrong, and
what you corrected can teach the next run.

### What it cannot do
- It marks all objects of a kind at once. Parts that do not touch are counted as objects; those that touch
  are told apart only where you split them ("Objects" on the review tab).
- Parts of a thing, such as the hair or the shoes of a person, mostly come out as the whole thing.
- Position words do nothing: "the left dog" is "dog".
- Very small or thin objects are often missed, since the model looks at a reduced copy of the picture.
- It is often wrong. Every mask is a **draft** until somebody has looked at it; the review tab begins with
  the most doubtful ones.

### Where your pictures are
On the machine that runs this app, in a temporary folder that is removed after six hours without use, or
in the workspace folder named when it was started. Nothing is sent elsewhere.
"""


def models(service: Service) -> str:
    """The presets as a table, and the words that the one in use knows, as HTML."""
    from lfss.presets import PRESETS

    rows = "".join(
        f"<tr><td><code>{html.escape(p.name)}</code></td><td>{html.escape(p.summary)}</td>"
        f"<td>{html.escape(p.licence)}</td><td>{html.escape(p.weights)}</td></tr>"
        for p in PRESETS.values()
    )
    table = (
        '<div class="lfss-table"><table><thead><tr><th>Model</th><th>What it is</th><th>Licence</th>'
        f"<th>Where the weights come from</th></tr></thead><tbody>{rows}</tbody></table></div>"
    )
    words = service.known_words()
    if not words:
        return table
    listed = html.escape(", ".join(sorted(words)))
    return (
        f"{table}<details><summary>The model in use knows {len(words)} kinds of things by name; all else "
        f"is found through a box, scribble or mask on a support</summary><p>{listed}</p></details>"
    )


def build_about(service: Service) -> None:
    """Lay out and wire the tab."""
    with gr.Tab("About", id="about") as tab:
        gr.Markdown(TEXT, elem_classes="lfss-read")
        gr.Markdown("### Models", elem_classes="lfss-read")
        shown = gr.HTML(elem_id="models", padding=False)

        @guarded
        def refresh() -> str:
            return models(service)

        tab.select(refresh, None, shown, **LIGHT)
