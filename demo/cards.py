"""Stages as cards: pictures, colour bar with numbers, and how to read them. HTML, without a browser."""

from __future__ import annotations

import html
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from lfss.doubt import EVERYTHING
from lfss.figures import draw
from lfss.stages import Stage

from .session import ScreenPicture
from .views import data_url

SIDE = 360  # pixels of a picture on a card


def stage_cards(
    stages: Sequence[Stage],
    query: ScreenPicture,
    supports: Sequence[ScreenPicture] = (),
    *,
    max_side: int = SIDE,
) -> str:
    """One card for each stage, in order.

    Args:
        stages: of one query.
        query: its picture.
        supports: pictures for the support side, in upload order; fewer than the stage has are enough.
        side: longest side of each picture in pixels.
    """
    stages = with_points_on(stages, supports, query)
    cards = [_card(number, stage, query, supports, max_side) for number, stage in enumerate(stages, start=1)]
    return f'<div class="lfss-cards">{"".join(cards)}</div>'


def with_points_on(
    stages: Sequence[Stage], supports: Sequence[ScreenPicture], query: ScreenPicture
) -> list[Stage]:
    """Stages whose points, in pixels of the original pictures, fit the pictures that are shown."""

    def fit(points: npt.NDArray, shown: ScreenPicture) -> npt.NDArray:
        return points * (np.asarray(shown.image.size) / np.asarray(shown.size))

    return [
        replace(
            stage,
            supports=tuple(fit(points, shown) for points, shown in zip(stage.supports, supports)),
            query=None if stage.query is None else fit(stage.query, query),
        )
        if stage.kind == "points"
        else stage
        for stage in stages
    ]


def _card(
    number: int, stage: Stage, query: ScreenPicture, supports: Sequence[ScreenPicture], max_side: int
) -> str:
    pictures = []
    if stage.query is not None and stage.kind != "number":
        pictures.append(_shown(stage, query, None, max_side))
    pictures += [_shown(stage, p, i, max_side) for i, p in enumerate(supports[: len(stage.supports)])]
    return (
        f'<figure class="lfss-card"><h4>{number}. {html.escape(stage.title)}</h4>'
        f'<div class="lfss-pics{" lfss-two" if len(pictures) > 1 else ""}">{"".join(pictures)}</div>'
        f"{_numbers(stage)}"
        f"<figcaption>{html.escape(stage.how_to_read)}</figcaption></figure>"
    )


def _shown(stage: Stage, picture: ScreenPicture, support: int | None, max_side: int) -> str:
    pixels = draw(stage, picture.image, support=support, max_side=max_side)
    name = "query" if support is None else f"support {support + 1}"
    alt = html.escape(f"{stage.title} on {name}, {picture.image.name}", quote=True)
    return f'<div><img src="{data_url(pixels)}" alt="{alt}"><small>{name}</small></div>'


def _numbers(stage: Stage) -> str:
    """A colour bar with its ends for maps; a share or a count for the rest."""
    if stage.kind == "map":
        return (
            f'<div class="lfss-scale"><span>{stage.low:.2f}</span><i></i><span>{stage.high:.2f}</span></div>'
        )
    if stage.kind == "mask" and stage.query is not None:
        share = float(np.mean(stage.query))
        apart = ": nothing set the object apart" if share >= EVERYTHING else ""
        return f'<p class="lfss-fact">covers {share:.1%} of the query{apart}</p>'
    if stage.kind == "number" and stage.query is not None:
        return f'<p class="lfss-number">{float(stage.query):.2f}</p>'
    if stage.kind == "points":
        sides = [*stage.supports, *([] if stage.query is None else [stage.query])]
        return f'<p class="lfss-fact">{" + ".join(str(len(s)) for s in sides)} points</p>'
    return ""
