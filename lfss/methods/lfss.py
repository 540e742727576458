"""LFSS: language-guided few-shot segmentation, wired as in the paper's figure 2."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import Tensor

from ..pipeline import (
    Decoder,
    Form,
    PortableDecoder,
    association_map,
    attention,
    background_similarity,
    cluster,
    correlation_maps,
    focused_prototype,
    initial_masks,
    never_empty,
    place_seeds,
    presence,
    read_out,
    refine,
    seed_count,
    shared_prototype,
    shift_seeds,
    support_masks,
)
from ..similarity import cosine_map, lengths, masked_average, resize_map
from .contract import Episode, Method, Step, SupportSide
from .portable import CELLS, NAMES, portable_maps


@dataclass(frozen=True)
class LfssConfig:
    """Every choice of the method; the defaults are the paper's, or explained where it is silent.

    Attributes:
        alpha: weight of the support in the shared prototype (Eq. 3).
        refine: off for the ablation "without mask refinement".
        refine_form, refine_temperature: the reading of Eq. 4.
        dps: off compares with one global prototype instead of local ones.
        seeds, window, sigma, radius, iterations: DPS (Eq. 6-11).
        ccm: off leaves FCM out.
        attention_temperature: Eq. 13.
        geometry: ``"literal"`` makes the association map on the support, as Eq. 12 is printed.
        cells: products of cells with cells pool one side to at most ``cells x cells``.
        decoder: ``"paper"``, ``"portable"`` (for words that are believed, ``text_trust`` above 0), or
            ``"none"`` (the training-free read-out).
        circle: segment the supports first and let the result replace their masks (Eq. 20).
        sharpness, text_limit, roi: the training-free read-out.
        keep_maps: put the portable decoder's maps into the last step, to train it on.
    """

    alpha: float = 0.5
    refine: bool = True
    refine_form: Form = "self-support"
    refine_temperature: float = 2.0
    dps: bool = True
    seeds: int = 5
    window: int = 3
    sigma: float = 4.0
    radius: float = 2.0
    iterations: int = 5
    ccm: bool = True
    attention_temperature: float = 1.0
    geometry: Literal["query", "literal"] = "query"
    cells: int = 16
    decoder: Literal["none", "paper", "portable"] = "none"
    circle: bool = False
    sharpness: float = 16.0
    text_limit: float = 6.0
    roi: float = 0.6
    keep_maps: bool = False


class Lfss(Method):
    """VLMD (steps 1 and 2), DPS (3), CCM (4) and a decoder or the training-free read-out (5).

    Args:
        channels: channels of each backbone level; all levels are laid side by side, each cell of each
            level with unit length, at the finest level's cells.
        config: the choices.
    """

    def __init__(self, channels: tuple[int, ...], config: LfssConfig | None = None):
        super().__init__()
        self.config = config or LfssConfig()
        kind = self.config.decoder
        self.decoder = Decoder(sum(channels)) if kind == "paper" else None
        self.portable = PortableDecoder(maps=len(NAMES)) if kind == "portable" else None

    def steps(self, episode: Episode) -> Iterator[Step]:
        """Yield the five steps of the paper."""
        c = self.config
        b, k = episode.support_known.shape[:2]
        side = episode.support_side or self.support_side(episode)
        query = side_by_side(episode.query_features)
        support = side.features.flatten(0, 1)
        cells = (query.shape[-2], query.shape[-1])

        # Step 1: what the text says, and what a person marked.
        first = initial_masks(
            side.first,
            query,
            resize_map(episode.query_logits, cells),
            episode.foreground,
            query_present=episode.query_present,
        )
        yield Step(
            "initial_mask",
            {
                "support_text": first.support_text,
                "query_text": first.query_text,
                "support": first.support_mask,
                "query": first.query_mask,
                "query_probability": first.query,
                "match_share": first.match_share,
                "presence": presence(first.query) if episode.query_seen is None else episode.query_seen,
            },
        )

        # Step 2: both masks, by one object prototype and a background for each cell.
        support_mask, query_mask = first.support_mask.flatten(0, 1), first.query_mask
        if c.refine:
            shared = shared_prototype(
                self._object(support, support_mask, b), masked_average(query, query_mask), c.alpha
            )
            support_mask = refine(
                support, support_mask, shared.repeat_interleave(k, 0), side.background.flatten(0, 1)
            )
            query_mask = refine(query, query_mask, shared, self._background(query, query_mask))
            decided = (episode.support_unknown < 0.5).flatten(0, 1)  # what a person said stays
            support_mask = torch.where(decided, first.support_mask.flatten(0, 1), support_mask)
        yield Step("refined_mask", {"support": support_mask.unflatten(0, (b, k)), "query": query_mask})

        # Step 3: local prototypes of the supports and their map.
        query_object = masked_average(query, query_mask)
        placed = place_seeds(support_mask, seed_count(support_mask, most=c.seeds), most=c.seeds)
        like_query = cosine_map(support, query_object.repeat_interleave(k, 0))
        shifted = shift_seeds(placed, support_mask, like_query, window=c.window)
        clusters = cluster(
            support, support_mask, shifted, sigma=c.sigma, radius=c.radius, iterations=c.iterations
        )
        centres, valid = clusters.centres.unflatten(0, (b, k)), shifted.valid.unflatten(0, (b, k))
        if not c.dps:
            centres = masked_average(support, support_mask).unflatten(0, (b, k))[:, :, None]
            valid = support_mask.flatten(1).any(1).unflatten(0, (b, k))[..., None]
        where = query if c.geometry == "query" else support.unflatten(0, (b, k))[:, 0]
        association = association_map(where, centres.flatten(1, 2), valid.flatten(1, 2))
        yield Step(
            "prototypes",
            {
                "seeds": placed.points.unflatten(0, (b, k)),
                "shifted": shifted.points.unflatten(0, (b, k)),
                "valid": shifted.valid.unflatten(0, (b, k)),
                "superpixels": clusters.superpixels.unflatten(0, (b, k)),
                "association": association,
            },
        )

        # Step 4: the focused prototype and its two maps.
        shots = support.unflatten(0, (b, k))
        weight = attention(
            query,
            query_mask,
            shots,
            support_mask.unflatten(0, (b, k)),
            temperature=c.attention_temperature,
            queries=c.cells,
        )
        rcm, fcm = correlation_maps(query, query_mask, focused_prototype(shots, weight))
        behind = (self._object(support, ~support_mask, b), masked_average(query, ~query_mask))
        background = cosine_map(query, torch.stack(behind, 1)).mean(1)
        yield Step("correlation", {"attention": weight, "rcm": rcm, "fcm": fcm, "background": background})

        # Step 5: logits.
        logits = read_out(
            first.query.logit(1e-4),
            query_mask,
            association,
            fcm if c.ccm else association,
            background,
            sharpness=c.sharpness,
            text_limit=c.text_limit,
            roi=c.roi,
        )
        made: dict[str, Tensor] = {}
        if self.decoder is not None:
            logits = self.decoder(
                level_cells(episode.query_features, cells),
                torch.stack((association, rcm, fcm if c.ccm else rcm), 1),
            )
        elif c.keep_maps or self.decodes(episode):
            made["maps"] = portable_maps(
                first=first,
                query=query,
                query_mask=query_mask,
                support=shots,
                support_mask=support_mask.unflatten(0, (b, k)),
                association=association,
                fcm=fcm if c.ccm else association,
                query_levels=episode.query_features,
                support_levels=episode.support_features,
                text_trust=episode.text_trust,
                marked=((episode.support_unknown < 0.5).flatten(2).any(2)).float().mean(1),
                cells=c.cells,
            )
            made["read_out"] = resize_map(logits, (CELLS, CELLS))
        if self.decodes(episode):
            logits = self.decode_maps(made, episode)
        yield Step("prediction", {"logits": logits, **made})

    def decodes(self, episode: Episode) -> bool:
        """Whether the portable decoder decides: where the word is believed.

        Without the word's evidence the fixed rule is better: on VOC training photos with masks in the
        supports and the word withheld, 53 to 60 for the rule, 46 to 51 for mini's decoder.
        """
        return self.portable is not None and episode.text_trust > 0

    def decode_maps(self, made: Mapping[str, Tensor], episode: Episode) -> Tensor:
        """Logits (B, PICTURE, PICTURE) of the portable decoder.

        Args:
            made: ``maps`` and ``read_out`` of the last step.
            episode: gives the picture.
        """
        assert self.portable is not None
        if episode.query_picture is None:
            raise ValueError("the portable decoder reads Episode.query_picture")
        return self.portable(made["maps"], made["read_out"], episode.query_picture)

    def support_side(self, episode: Episode) -> SupportSide:
        """What of steps 1 and 2 does not depend on the query."""
        b, k = episode.support_known.shape[:2]
        flat = side_by_side([f.flatten(0, 1) for f in episode.support_features])
        features = flat.unflatten(0, (b, k))
        first = support_masks(
            features,
            resize_map(episode.support_logits, (flat.shape[-2], flat.shape[-1])),
            episode.foreground,
            known=episode.support_known,
            unknown=episode.support_unknown,
            text_trust=episode.text_trust,
        )
        # A support whose every cell is known is not refined.
        needed = self.config.refine and bool((episode.support_unknown >= 0.5).any())
        background = (
            self._background(flat, first.mask.flatten(0, 1)) if needed else torch.zeros_like(flat[:, 0])
        )
        return SupportSide(features, first, background.unflatten(0, (b, k)))

    def circle(self, episode: Episode, pictures: Tensor | None = None) -> tuple[Episode, Tensor]:
        """Segment every support as if it were the query, supported by itself (Eq. 20, first pass).

        Args:
            episode: its supports; the query is not looked at.
            pictures: (B, K, 3, 100, 100), for decoders that look at colours.

        Returns:
            The episode with full support masks, cut at 0.5 and detached, what a person marked kept;
            and the logits (B, K, h, w) for the loss.
        """
        b, k = episode.support_known.shape[:2]
        alone = Episode(
            support_logits=episode.support_logits.flatten(0, 1)[:, None],
            query_logits=episode.support_logits.flatten(0, 1),
            foreground=episode.foreground,
            support_features=tuple(f.flatten(0, 1)[:, None] for f in episode.support_features),
            query_features=tuple(f.flatten(0, 1) for f in episode.support_features),
            support_known=episode.support_known.flatten(0, 1)[:, None],
            support_unknown=episode.support_unknown.flatten(0, 1)[:, None],
            text_trust=episode.text_trust,
            query_picture=None if pictures is None else pictures.flatten(0, 1),
        )
        cells = (episode.support_known.shape[-2], episode.support_known.shape[-1])
        logits = resize_map(self(alone), cells).unflatten(0, (b, k))
        mask = never_empty((logits > 0).flatten(0, 1), logits.flatten(0, 1)).view_as(logits)
        known = episode.support_known + episode.support_unknown * mask.detach()
        changed = replace(
            episode, support_known=known, support_unknown=torch.zeros_like(known), support_side=None
        )
        return changed, logits

    def _object(self, support: Tensor, mask: Tensor, b: int) -> Tensor:
        """Mean over shots of each support's masked average: (B*K, C, h, w) -> (B, C)."""
        return masked_average(support, mask).unflatten(0, (b, -1)).mean(1)

    def _background(self, features: Tensor, mask: Tensor) -> Tensor:
        c = self.config
        return background_similarity(
            features, mask, temperature=c.refine_temperature, keys=c.cells, form=c.refine_form
        )


def level_cells(levels: Sequence[Tensor], size: tuple[int, int]) -> Tensor:
    """What the paper's decoder reads of the query: (N, C_i, h_i, w_i) -> (N, sum C_i, h, w).

    Each cell of a level is scaled to the square root of its channels, so that entries are about 1 whatever
    the network: a few cells of a ViT are 25 times as long as the others, and would drown the maps.
    """
    parts = [resize_map(level, size) for level in levels]
    return torch.cat([part * (part.shape[1] ** 0.5 / lengths(part))[:, None] for part in parts], 1)


def side_by_side(levels: Sequence[Tensor]) -> Tensor:
    """All levels at the finest level's cells, each cell of each level scaled so that the whole has unit
    length: (N, C_i, h_i, w_i) -> (N, sum C_i, h, w)."""
    size = (levels[0].shape[-2], levels[0].shape[-1])
    share = len(levels) ** -0.5
    parts = [resize_map(level, size) for level in levels]
    parts = [part * (share / lengths(part))[:, None] for part in parts]
    return parts[0] if len(parts) == 1 else torch.cat(parts, 1)
