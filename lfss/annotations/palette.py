"""Colours for labels: those of Pascal VOC, which many tools know."""

from __future__ import annotations

Colour = tuple[int, int, int]


def colours() -> list[Colour]:
    """256 colours: 0 is black, and neighbours differ.

    Bits 0, 3 and 6 of a number become the top bits of red, bits 1, 4 and 7 those of green, bits 2 and
    5 those of blue.
    """
    table = []
    for number in range(256):
        channels = [0, 0, 0]
        for bit in range(8):
            channels[bit % 3] |= (number >> bit & 1) << (7 - bit // 3)
        table.append((channels[0], channels[1], channels[2]))
    return table


def colour_of(place: int) -> Colour:
    """The colour of the label at this place, from 0; never black. They repeat after 255 labels."""
    return colours()[place % 255 + 1]


def hexadecimal(colour: Colour) -> str:
    """``#rrggbb``."""
    return "#{:02x}{:02x}{:02x}".format(*colour)
