"""Stages as cards: pictures, colour bar with numbers, and how to read them. HTML, without a browser."""

from __future__ import annotations

import html
from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from lfss.figures import draw
from lfss.images import Image
from lfss.stages import Stage

from .views import data_url

SIDE = 360  # pixels of a picture on a card


class Picture(NamedTuple):
    """A picture for a card: a copy at the size of a screen, and (H, W) of the original."""

    image: Image
    size: tuple[int, int]


def stage_cards(
    stages: Sequence[Stage], query: Picture, supports: Sequence[Picture] = (), *, side: int = SIDE
) -> str:
    """One card for each stage, in order.

    Args:
        stages: of one query.
        query: its picture.
        supports: pictures for the support side, in upload order; fewer than the stage has are enough.
        side: longest side of each picture in pixels.
    """
    cards = [_card(number, stage, query, supports, side) for number, stage in enumerate(stages, start=1)]
    return f'<div class="lfss-cards">{"".join(cards)}</div>'


def _card(number: int, stage: Stage, query: Picture, supports: Sequence[Picture], side: int) -> str:
    pictures = []
    if stage.query is not None and stage.kind != "number":
        pictures.append(_shown(stage, query, None, side))
    pictures += [_shown(stage, p, i, side) for i, p in enumerate(supports[: len(stage.supports)])]
    return (
        f'<figure class="lfss-card"><h4>{number}. {html.escape(stage.title)}</h4>'
        f'<div class="lfss-pics">{"".join(pictures)}</div>{_numbers(stage)}'
        f"<figcaption>{html.escape(stage.how_to_read)}</figcaption></figure>"
    )


def _shown(stage: Stage, picture: Picture, support: int | None, side: int) -> str:
    if stage.kind == "points" and support is not None:  # they are in pixels of the original
        scale = np.asarray(picture.image.size) / np.asarray(picture.size)
        stage = replace(stage, supports=tuple(points * scale for points in stage.supports))
    pixels = draw(stage, picture.image, support=support, max_side=side)
    name = "query" if support is None else f"support {support + 1}"
    alt = html.escape(f"{stage.title} on {name}, {picture.image.name}", quote=True)
    return f'<div><img src="{data_url(pixels)}" alt="{alt}"><small>{name}</small></div>'


def _numbers(stage: Stage) -> str:
    """A colour bar with its ends for maps; a share or a count for the rest."""
    if stage.kind == "map" and stage.key != "superpixels":
        return (
            f'<div class="lfss-scale"><span>{stage.low:.2f}</span><i></i><span>{stage.high:.2f}</span></div>'
        )
    if stage.kind == "mask" and stage.query is not None:
        return f'<p class="lfss-fact">covers {np.mean(stage.query):.1%} of the query</p>'
    if stage.kind == "number" and stage.query is not None:
        return f'<p class="lfss-number">{float(stage.query):.2f}</p>'
    if stage.kind == "points":
        return f'<p class="lfss-fact">{" + ".join(str(len(s)) for s in stage.supports)} points</p>'
    return ""
