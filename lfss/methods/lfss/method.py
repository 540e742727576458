"""LFSS: language-guided few-shot segmentation, wired as in the paper's figure 2."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple, Self

import torch
from torch import Tensor

from ...labels import WEAK
from ...similarity import concat_levels, cosine_map, lengths, masked_average, resize_map
from ..contract import Episode, EpisodeClass, Method, Needs, Step
from .classes import ClassStep, each_alone, join_classes
from .config import LfssConfig
from .portable import MAP_NAMES, MAP_SIDE, portable_maps
from .stages import STAGES
from .step1_initial_mask import (
    InitialMasks,
    SupportMasks,
    initial_masks,
    never_empty,
    presence,
    support_masks,
)
from .step2_refine import background_similarity, refine, shared_prototype
from .step3_prototypes import association_map, cluster, place_seeds, seed_count, shift_seeds
from .step4_correlation import attention, correlation_maps, focused_prototype
from .step5_segment import Decoder, PortableDecoder, training_free_logits


@dataclass(frozen=True, eq=False)
class PreparedSupports:
    """What LFSS makes of the supports of a class alone, so that many queries need it made only once.

    Attributes:
        features: (B, K, C, h, w), all levels one after the other.
        masks: step 1.
        background: (B, K, h, w) cosine of each cell with the background of its own picture (Eq. 4).
        settled: (B, K, h, w) bool: cells whose place in the mask step 2 leaves as it is, because a person
            marked them or the circle pass decided them.
    """

    features: Tensor
    masks: SupportMasks
    background: Tensor
    settled: Tensor


class _Maps(NamedTuple):
    """Maps of steps 3 and 4, (B, h, w) each; ``fcm`` is None where it is left out."""

    association: Tensor
    rcm: Tensor
    fcm: Tensor | None
    background: Tensor


class Lfss(Method):
    """VLMD (steps 1 and 2), DPS (3), CCM (4) and a decoder or the training-free rule (5).

    Args:
        channels: channels of each backbone level; all levels are concatenated, each cell of each level
            with unit length, at the finest level's cells.
        config: the choices.
    """

    name = "lfss"
    needs = Needs(text=True)
    stages = STAGES

    def __init__(self, channels: tuple[int, ...], config: LfssConfig | None = None):
        super().__init__()
        self.config = config or LfssConfig()
        kind = self.config.decoder
        width = self.config.decoder_width
        self.decoder = Decoder(sum(channels), width=width) if kind == "paper" else None
        self.portable = PortableDecoder(maps=len(MAP_NAMES)) if kind == "portable" else None

    @classmethod
    def build(
        cls,
        *,
        backbone: str,
        channels: tuple[int, ...],
        settings: Any = None,
        weights: str | None = None,
        models_dir: Path | None = None,
    ) -> Self:
        """The method for a backbone; settings are an ``LfssConfig``, weights a trained decoder.

        Args and errors are those of ``Method.build``.
        """
        if weights is None:
            return cls(channels, settings)
        from .decoder_weights import load_decoder  # it builds an Lfss itself

        return load_decoder(
            cls, weights, backbone=backbone, channels=channels, config=settings, models_dir=models_dir
        )

    def prepare(self, one: EpisodeClass) -> EpisodeClass:
        """Make the supports' masks, after a circle pass (Eq. 20) where it is chosen."""
        if self.config.circle:
            return self.circle(one)[0]
        return replace(one, prepared=self.prepare_supports(one))

    def prepare_supports(self, one: EpisodeClass) -> PreparedSupports:
        """What of steps 1 and 2 does not depend on the query."""
        b, k = one.known.shape[:2]
        flat = concat_levels([f.flatten(0, 1) for f in one.supports.features])  # (B*K, C, h, w)
        features = flat.unflatten(0, (b, k))  # (B, K, C, h, w)
        masks = support_masks(
            features,
            resize_map(one.supports.logits, (flat.shape[-2], flat.shape[-1])),  # (B, K, V, h, w)
            one.phrase_roles,
            known=one.known,
            unknown=one.unknown,
            text_trust=one.text_trust,
        )
        # A support whose every cell is known is not refined.
        needed = self.config.refine and bool((one.unknown >= 0.5).any())
        background = (
            self._background(flat, masks.mask.flatten(0, 1)) if needed else torch.zeros_like(flat[:, 0])
        )  # (B*K, h, w)
        return PreparedSupports(features, masks, background.unflatten(0, (b, k)), one.unknown < 0.5)

    def steps(self, episode: Episode) -> Iterator[Step]:
        """Yield the five steps of the paper, each for all classes."""
        query = concat_levels(episode.query_features)  # (B, C, h, w)
        classes = [self._steps_of(one, query, episode) for one in episode.classes]
        for made in zip(*classes, strict=True):
            yield join_classes(made)

    def _steps_of(self, one: EpisodeClass, query: Tensor, episode: Episode) -> Iterator[ClassStep]:
        """The five steps for one class; query: (B, C, h, w)."""
        assert one.query_logits is not None
        c = self.config
        cells = (query.shape[-2], query.shape[-1])
        prepared: PreparedSupports = one.prepared or self.prepare(one).prepared
        shots = prepared.features  # (B, K, C, h, w)

        # Step 1: what the text says, and what a person marked.
        first = initial_masks(
            prepared.masks,
            query,
            resize_map(one.query_logits, cells),  # (B, V, h, w)
            one.phrase_roles,
            known_present=one.known_present,
        )
        sure = _presence(one, first)  # (B,)
        yield ClassStep(
            "initial_mask",
            {
                "query_text": first.query_text,
                "query": first.query_mask,
                "query_probability": first.query,
                "match_share": first.match_share,
                "presence": sure,
            },
            {"support_text": first.support_text, "support": first.support_mask},
        )

        # Step 2: both masks, by one object prototype and a background for each cell.
        support_mask, query_mask = first.support_mask, first.query_mask  # (B, K, h, w), (B, h, w)
        if c.refine:
            support_mask, query_mask = self._refined(prepared, query, first)
        yield ClassStep("refined_mask", {"query": query_mask}, {"support": support_mask})

        # Step 3: local prototypes of the supports and their map.
        prototypes = self._prototypes(shots, support_mask, query, query_mask)
        yield prototypes

        # Step 4: the focused prototype and its two maps.
        weight = attention(
            query, query_mask, shots, support_mask, temperature=c.attention_temperature, queries=c.cells
        )  # (B, K, h, w)
        rcm, fcm = correlation_maps(query, query_mask, focused_prototype(shots, weight))  # (B, h, w)
        behind = torch.stack((_mean_over_shots(shots, ~support_mask), masked_average(query, ~query_mask)), 1)
        background = cosine_map(query, behind).mean(1)  # (B, h, w)
        yield ClassStep(
            "correlation", {"rcm": rcm, "fcm": fcm, "background": background}, {"attention": weight}
        )

        # Step 5: logits.
        maps = _Maps(prototypes.query["association"], rcm, fcm if c.ccm else None, background)
        logits, read = self._logits(one, prepared, episode, query, first, (query_mask, support_mask), maps)
        yield ClassStep("prediction", {"logits": logits, "presence": sure, **read}, {})

    def _prototypes(self, shots: Tensor, shots_mask: Tensor, query: Tensor, query_mask: Tensor) -> ClassStep:
        """Step 3: shots (B, K, C, h, w) and query (B, C, h, w) with their masks."""
        c = self.config
        b, k = shots_mask.shape[:2]
        support, mask = shots.flatten(0, 1), shots_mask.flatten(0, 1)  # (B*K, C, h, w), (B*K, h, w)
        query_object = masked_average(query, query_mask)  # (B, C)
        placed = place_seeds(mask, seed_count(mask, most=c.seeds), most=c.seeds)  # (B*K, P, 2)
        like_query = cosine_map(support, query_object.repeat_interleave(k, 0))  # (B*K, h, w)
        shifted = shift_seeds(placed, mask, like_query, window=c.window)  # (B*K, P, 2)
        clusters = cluster(support, mask, shifted, sigma=c.sigma, radius=c.radius, iterations=c.iterations)
        centres, valid = clusters.centres, shifted.valid  # (B*K, P, C), (B*K, P)
        if not c.dps:
            centres, valid = masked_average(support, mask)[:, None], mask.flatten(1).any(1)[:, None]
        centres = centres.unflatten(0, (b, k)).flatten(1, 2)  # (B, K*P, C)
        valid = valid.unflatten(0, (b, k)).flatten(1, 2)  # (B, K*P)
        where = query if c.geometry == "query" else shots[:, 0]  # (B, C, h, w)
        missing = ~shifted.valid[..., None]
        return ClassStep(
            "prototypes",
            {"association": association_map(where, centres, valid)},  # (B, h, w)
            {
                "seeds": placed.points.masked_fill(missing, -1).unflatten(0, (b, k)),  # (B, K, P, 2)
                "shifted": shifted.points.masked_fill(missing, -1).unflatten(0, (b, k)),
                "superpixels": clusters.superpixels.unflatten(0, (b, k)),  # (B, K, h, w)
            },
        )

    def _logits(
        self,
        one: EpisodeClass,
        prepared: PreparedSupports,
        episode: Episode,
        query: Tensor,
        first: InitialMasks,
        refined: tuple[Tensor, Tensor],
        maps: _Maps,
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Step 5: logits (B, h, w), and what the portable decoder read of them, if it was made.

        Args:
            one, prepared, episode, query: as in the other steps.
            first: step 1.
            refined: step 2, the query's mask (B, h, w) and those of the supports (B, K, h, w).
            maps: steps 3 and 4.
        """
        c, (query_mask, support_mask) = self.config, refined
        fcm = maps.association if maps.fcm is None else maps.fcm
        logits = training_free_logits(
            first.query.logit(1e-4), query_mask, maps.association, fcm, maps.background,
            sharpness=c.sharpness, text_limit=c.text_limit, roi=c.roi,
        )  # (B, h, w)  # fmt: skip
        if self.decoder is not None:
            stack = torch.stack((maps.association, maps.rcm, maps.rcm if maps.fcm is None else maps.fcm), 1)
            cells = (query.shape[-2], query.shape[-1])
            return self.decoder(decoder_features(episode.query_features, cells), stack), {}
        decides = self.decides(one)
        if not c.keep_maps and (self.portable is None or not bool(decides.any())):
            return logits, {}
        portable = portable_maps(
            first=first,
            query=query,
            query_mask=query_mask,
            support=prepared.features,
            support_mask=support_mask,
            association=maps.association,
            fcm=fcm,
            query_levels=episode.query_features,
            support_levels=one.supports.features,
            text_trust=one.text_trust,
            marked=one.marked.float().mean(1),
            cells=c.cells,
        )  # (B, M, 50, 50)
        read = {"maps": portable, "training_free": resize_map(logits, (MAP_SIDE, MAP_SIDE))}
        return self.decode(logits, read, decides, episode.query_thumbnail), read

    def decides(self, one: EpisodeClass) -> Tensor:
        """(B,) bool: where the portable decoder takes the place of the training-free rule.

        It decides where nothing is marked and the word is not weak. On held-out VOC training photos it has
        75.5 there and the rule 71.5. With a mask in the support both have 67, and the rule's outlines are
        better; for weak words (the network kept from cats and cows) the rule has 76 and the decoder 72 to 74.
        """
        return (one.text_trust >= WEAK) & ~one.marked.any(1)

    def decode(
        self, logits: Tensor, made: dict[str, Tensor], decides: Tensor, thumbnail: Tensor | None
    ) -> Tensor:
        """The portable decoder's logits where it decides, those of the training-free rule elsewhere.

        Args:
            logits: (B, h, w) of the rule.
            made: ``maps`` (B, M, 50, 50) and ``training_free`` (B, 50, 50); may be empty where it decides
                nowhere.
            decides: (B,) bool, of ``decides``.
            thumbnail: (B, 3, 100, 100).

        Returns:
            (B, 100, 100), or the logits as they are where the decoder decides nowhere in the batch.
        """
        if self.portable is None or not bool(decides.any()):
            return logits
        if thumbnail is None:
            raise ValueError("The portable decoder reads Episode.query_thumbnail, which is None.")
        decoded = self.portable(made["maps"], made["training_free"], thumbnail)  # (B, 100, 100)
        if bool(decides.all()):
            return decoded
        rule = resize_map(logits, (decoded.shape[-2], decoded.shape[-1]))
        return torch.where(decides[:, None, None], decoded, rule)

    def circle(self, one: EpisodeClass) -> tuple[EpisodeClass, Tensor]:
        """Segment every support as if it were the query, supported by itself (Eq. 20, first pass).

        The masks that this makes take the place of the supports' first masks. They are not marks: how far the
        query's first mask comes from matching still depends on what a person marked alone.

        Returns:
            The class with these masks prepared, cut at 0.5 and detached, what a person marked kept; and the
            logits (B, K, h, w) for the loss.
        """
        b, k = one.known.shape[:2]
        cells = (one.known.shape[-2], one.known.shape[-1])
        alone = each_alone(one)
        (single,) = alone.classes
        alone = replace(alone, classes=(replace(single, prepared=self.prepare_supports(single)),))
        logits = resize_map(self(alone)[:, 0], cells).unflatten(0, (b, k))  # (B, K, h, w)
        made = never_empty((logits > 0).flatten(0, 1), logits.flatten(0, 1)).view_as(logits)
        before = self.prepare_supports(one)
        mask = torch.where(before.settled, before.masks.mask, made)  # (B, K, h, w)
        prepared = replace(
            before, masks=before.masks._replace(mask=mask), settled=torch.ones_like(before.settled)
        )
        return replace(one, prepared=prepared), logits

    def _refined(
        self, prepared: PreparedSupports, query: Tensor, first: InitialMasks
    ) -> tuple[Tensor, Tensor]:
        """Step 2: refined masks of the supports (B, K, h, w) and of the query (B, h, w)."""
        b, k = first.support_mask.shape[:2]
        shared = shared_prototype(
            _mean_over_shots(prepared.features, first.support_mask),
            masked_average(query, first.query_mask),
            self.config.alpha,
        )  # (B, C)
        support_mask = refine(
            prepared.features.flatten(0, 1),
            first.support_mask.flatten(0, 1),
            shared.repeat_interleave(k, 0),
            prepared.background.flatten(0, 1),
        ).unflatten(0, (b, k))  # (B, K, h, w)
        support_mask = torch.where(prepared.settled, first.support_mask, support_mask)
        # Refinement may leave object only where a person has said that there is none, outside a box.
        nothing = ~support_mask.flatten(2).any(2)  # (B, K)
        support_mask = torch.where(nothing[..., None, None], first.support_mask, support_mask)
        query_mask = refine(query, first.query_mask, shared, self._background(query, first.query_mask))
        return support_mask, query_mask

    def _background(self, features: Tensor, mask: Tensor) -> Tensor:
        """Cosine with the own background: (N, C, h, w), (N, h, w) -> (N, h, w)."""
        c = self.config
        return background_similarity(
            features, mask, temperature=c.refine_temperature, keys=c.cells, form=c.refine_form
        )


def decoder_features(levels: Sequence[Tensor], size: tuple[int, int]) -> Tensor:
    """What the paper's decoder reads of the query: (N, C_i, h_i, w_i) -> (N, sum C_i, h, w).

    Each cell of a level is scaled to the square root of its channels, so that entries are about 1 whatever
    the network: a few cells of a ViT are 25 times as long as the others, and would drown the maps.
    """
    parts = [resize_map(level, size) for level in levels]  # (N, C_i, h, w)
    return torch.cat([part * (part.shape[1] ** 0.5 / lengths(part))[:, None] for part in parts], 1)


def _mean_over_shots(shots: Tensor, mask: Tensor) -> Tensor:
    """Mean of each support's masked average: (B, K, C, h, w), (B, K, h, w) -> (B, C)."""
    return masked_average(shots.flatten(0, 1), mask.flatten(0, 1)).unflatten(0, (shots.shape[0], -1)).mean(1)


def _presence(one: EpisodeClass, first: InitialMasks) -> Tensor:
    """(B,): the text tower's own judgement; where it has none, the best cells of the first map."""
    if one.presence is None:
        return presence(first.query)
    return torch.where(one.presence.isnan(), presence(first.query), one.presence)
