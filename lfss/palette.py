"""The colours of labels: people tell them apart also where they see red and green, or blue, as one.

Each was chosen to be as far as possible, in CIELAB and in the worst of four kinds of colour vision, from
those before it; pink comes first, since photos of the world hold least of it. Exports carry the colours
that other tools expect instead (``lfss.annotations.palette``).
"""

from __future__ import annotations

import colorsys
from collections.abc import Collection

LABEL_COLOURS = ("#ff2d96", "#7fff2a", "#5e3bff", "#004d40", "#ddcc77", "#56b4e9", "#332288", "#d55e00")

_GOLDEN = 0.61803398875  # a step around the colour circle that never comes back near a used hue


def free_colour(used: Collection[str]) -> str:
    """A colour that is not in use, ``#rrggbb``: the first of ``LABEL_COLOURS``, then hues far apart."""
    for colour in LABEL_COLOURS:
        if colour not in used:
            return colour
    step = len(used)
    while True:
        red, green, blue = colorsys.hsv_to_rgb((0.95 + step * _GOLDEN) % 1, 0.75, (0.9, 0.7)[step % 2])
        colour = "#" + "".join(f"{round(255 * c):02x}" for c in (red, green, blue))
        if colour not in used:
            return colour
        step += 1


def rgb(colour: str) -> tuple[int, int, int]:
    """``#rrggbb`` as three numbers from 0 to 255."""
    return int(colour[1:3], 16), int(colour[3:5], 16), int(colour[5:7], 16)
