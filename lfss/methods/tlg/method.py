"""TLG (Ma, Xie, Zhao, Li: *Through the Looking Glass*), wired from its description.

Two branches of one network look at each other: the query reads the support through correlations, a transport
plan and text, and the support reads the query. Pseudo masks come from steps 1 and 2 of LFSS.

The published implementation differs from its description. ``TlgConfig.published`` brings back, for parity
studies, what can be told apart in the output or in the gradients:

- correlations are not masked, so the support's mask never reaches the query;
- each branch merges the pair encoding of the *other* picture's grid;
- the query's residual comes from the support picture;
- a branch transports from its own tokens, not from the other picture's;
- aggregation, transport and text receive no gradient.

Not brought back: tokens of whole rows of cells, the plan computed outside the graph, and a penalty on the
norm of all parameters, frozen ones included.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple, Self

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ...similarity import resize_map
from ..contract import Episode, EpisodeClass, Method, Needs, Step
from ..lfss import Lfss, LfssConfig
from .aggregation import Aggregation, PooledResidual, query_levels, support_levels
from .config import TlgConfig
from .correlation import PairEncoder, correlate, swapped
from .decoder import MaskFusion, SharedDecoder
from .stages import STAGES
from .text import TextPlanes, class_map, surroundings_map
from .transport import Transport


class PseudoMasks(NamedTuple):
    """The masks that the network starts from.

    Attributes:
        query: (B, h, w) bool; None where it is not used.
        support: (B, K, h, w) bool.
        presence: (B,) in [0, 1], how sure it is that the query shows the class.
    """

    query: Tensor | None
    support: Tensor
    presence: Tensor


class Branches(NamedTuple):
    """What the network makes of one class; N = B * K pairs of a query and a support.

    Attributes:
        query, support: (N, 2h, 2w) logits of the two branches.
        query_mask: (B, h, w) bool pseudo mask of the query; None where it is not used.
        support_mask: (B, K, h, w) bool pseudo masks.
        likeness: (N, q, q') correlation of each query cell with its best cell of the support, the mean over
            the levels.
        plan: (N, g^2, g^2) transport plan of the query's tokens.
        query_residual, support_residual: (N, h, w) mean over the channels.
        query_plane, support_plane: (N, p, p) text planes.
        presence: (B,) in [0, 1].
    """

    query: Tensor
    support: Tensor
    query_mask: Tensor | None
    support_mask: Tensor
    likeness: Tensor
    plan: Tensor
    query_residual: Tensor
    support_residual: Tensor
    query_plane: Tensor
    support_plane: Tensor
    presence: Tensor


class Tlg(Method):
    """Homologous but heterogeneous: two branches that share a decoder and differ in everything else.

    Args:
        channels: of each backbone level, finest first.
        config: the choices.
    """

    name = "tlg"
    needs = Needs(text=True)
    stages = STAGES

    def __init__(self, channels: tuple[int, ...], config: TlgConfig | None = None):
        super().__init__()
        c = self.config = config or TlgConfig()
        all_levels = tuple(range(len(channels)))
        self.of_query = query_levels(len(channels)) if c.aggregation else all_levels
        self.of_support = support_levels(len(channels)) if c.aggregation else all_levels
        self.aggregate_query = Aggregation([channels[i] for i in self.of_query], c.width)
        self.aggregate_support = Aggregation([channels[i] for i in self.of_support], c.width)
        self.pairs = PairEncoder(len(channels), (c.width // 8, c.width // 2, c.width))
        self.merge = nn.Conv2d(2 * c.width, c.width, 1)
        self.residual_query = PooledResidual(channels[self.of_query[-1]], c.width, pooling="mean")
        self.residual_support = PooledResidual(channels[self.of_support[-1]], c.width, pooling="max")
        self.transport = Transport(
            c.width, grid=c.tokens, heads=c.heads, regularisation=c.regularisation, steps=c.sinkhorn_steps
        )
        self.text_query = TextPlanes(texts=2)
        self.text_support = TextPlanes(texts=1)
        self.decoder = SharedDecoder(c.width)
        self.fusion = MaskFusion()
        self.pseudo = Lfss(channels, LfssConfig())  # without a decoder it has no parameters

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
        """The method for a backbone; TLG cannot work without trained weights.

        Args and errors are those of ``Method.build``; without ``weights`` they are looked for in the models
        folder (see ``load_tlg``).
        """
        from .weights import load_tlg  # it builds a Tlg itself

        return load_tlg(cls, weights, backbone=backbone, channels=channels, models_dir=models_dir)

    def prepare(self, one: EpisodeClass) -> EpisodeClass:
        """Make the supports' pseudo masks of step 1."""
        return replace(one, prepared=self.pseudo.prepare_supports(one))

    def steps(self, episode: Episode) -> Iterator[Step]:
        """Yield pseudo masks, correlation, transport, residuals, text, prediction, each for all classes."""
        made = [self.branches(one, episode) for one in episode.classes]
        shots = [one.known.shape[1] for one in episode.classes]
        g = self.config.tokens

        def over_shots(name: str) -> Tensor:
            """(B * K, ...) of each class -> (B, N, ...), the mean over its shots."""
            each = [getattr(m, name).float().unflatten(0, (-1, k)).mean(1) for m, k in zip(made, shots)]
            return torch.stack(each, 1)

        def of_supports(name: str) -> tuple[Tensor, ...]:
            """(B * K, ...) of each class -> (B, K, ...)."""
            return tuple(getattr(m, name).unflatten(0, (-1, k)) for m, k in zip(made, shots))

        masks: dict[str, Tensor | tuple[Tensor, ...]] = {"support": tuple(m.support_mask for m in made)}
        query_masks = [m.query_mask for m in made if m.query_mask is not None]
        if query_masks:
            masks["query"] = torch.stack(query_masks, 1)  # (B, N, h, w)
        presence = torch.stack([m.presence for m in made], 1)  # (B, N)
        yield Step("pseudo_masks", {**masks, "presence": presence})
        yield Step("correlation", {"likeness": over_shots("likeness")})
        received = over_shots("plan").amax(-1)  # (B, N, g^2), largest where one support token is preferred
        yield Step("transport", {"preference": received.unflatten(-1, (g, g)) * g**4})
        yield Step(
            "residual", {"query": over_shots("query_residual"), "support": of_supports("support_residual")}
        )
        yield Step("text", {"query": over_shots("query_plane"), "support": of_supports("support_plane")})
        yield Step("prediction", {"logits": over_shots("query"), "presence": presence})

    def branches(self, one: EpisodeClass, episode: Episode, pseudo: PseudoMasks | None = None) -> Branches:
        """Both branches for one class, each of its K supports paired with the query.

        Args:
            one: a class of the episode.
            episode: gives the query.
            pseudo: made earlier, or elsewhere; None makes them.
        """
        c = self.config
        k = one.known.shape[1]
        query_mask, support_mask, presence = pseudo or self.pseudo_masks(one, episode)
        query = [level.repeat_interleave(k, 0) for level in episode.query_features]  # (N, C_i, h_i, w_i)
        support = [level.flatten(0, 1) for level in one.supports.features]  # (N, C_i, h_i, w_i)
        cells = (query[0].shape[-2], query[0].shape[-1])
        learnt = torch.no_grad() if c.published else nullcontext()

        # Heterogeneous aggregation: each picture at its own depths.
        with learnt:
            own_q = self.aggregate_query([query[i] for i in self.of_query], cells)  # (N, width, h, w)
            own_s = self.aggregate_support([support[i] for i in self.of_support], cells)  # (N, width, h, w)

        # Pairs of cells, seen from either picture.
        mask = None if c.published else support_mask.flatten(0, 1)  # (N, h, w)
        correlation = correlate(query, support, mask, cells=c.cells)  # (N, L, q, q', s, s')
        pairs_q = self.pairs(correlation, cells)  # (N, width, h, w)
        pairs_s = self.pairs(swapped(correlation), cells)  # (N, width, h, w)
        likeness = correlation.flatten(4).amax(-1).mean(1)  # (N, q, q')

        with learnt:
            first, second = (pairs_s, pairs_q) if c.published else (pairs_q, pairs_s)
            merged_q = self.merge(torch.cat((own_q, first), 1))  # (N, width, h, w)
            merged_s = self.merge(torch.cat((own_s, second), 1))  # (N, width, h, w)
            mid_s = support[self.of_support[-1]]
            residual_s = self.residual_support(mid_s, cells)  # (N, width, h, w)
            residual_q = (
                self.residual_support(mid_s, cells)
                if c.published
                else self.residual_query(query[self.of_query[-1]], cells)
            )  # (N, width, h, w)
            told_q, told_s, plan = self._transported(merged_q, merged_s, residual_q, residual_s)
            told_q, told_s, plane_q, plane_s = self._with_text(one, told_q, told_s)

        logits_q = self.decoder(told_q + pairs_q)  # (N, 2h, 2w)
        logits_s = self.decoder(told_s + pairs_s)  # (N, 2h, 2w)
        size = (logits_q.shape[-2], logits_q.shape[-1])
        logits_s = self.fusion(logits_s, resize_map(support_mask.flatten(0, 1).float(), size))
        if query_mask is not None:
            fine = resize_map(query_mask.float(), size).repeat_interleave(k, 0)  # (N, 2h, 2w)
            logits_q = self.fusion(logits_q, fine)
        return Branches(
            logits_q, logits_s, query_mask, support_mask, likeness, plan,
            residual_q.mean(1), residual_s.mean(1), plane_q, plane_s, presence,
        )  # fmt: skip

    def pseudo_masks(self, one: EpisodeClass, episode: Episode) -> PseudoMasks:
        """The masks of LFSS's first two steps for one class of an episode, without gradient."""
        with torch.no_grad():
            steps = self.pseudo.steps(replace(episode, classes=(one,)))
            initial, refined = next(steps), next(steps)
        query = refined.query("query")[:, 0] if self.config.use_query_mask else None
        return PseudoMasks(query, refined.supports("support")[0], initial.query("presence")[:, 0])

    def _transported(
        self, merged_q: Tensor, merged_s: Tensor, residual_q: Tensor, residual_s: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Heterogeneous transport: features (N, width, h, w) of query and support, the query's plan."""
        c = self.config
        if not c.transport:
            tokens = c.tokens**2
            uniform = merged_q.new_full((merged_q.shape[0], tokens, tokens), 1 / tokens**2)
            return F.relu(merged_q + residual_q), F.relu(merged_s + residual_s), uniform
        read_q, read_s = (merged_q, merged_s) if c.published else (merged_s, merged_q)
        told_q, plan = self.transport(merged_q, read_q, residual_q)
        told_s, _ = self.transport(merged_s, read_s, residual_s)
        return told_q, told_s, plan

    def _with_text(
        self, one: EpisodeClass, query: Tensor, support: Tensor
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Heterogeneous text: both features with their planes applied, and the planes."""
        assert one.query_logits is not None
        k = one.known.shape[1]
        roles = one.phrase_roles.repeat_interleave(k, 0)  # (N, V)
        trust = one.text_trust.repeat_interleave(k, 0)[:, None, None, None]  # (N, 1, 1, 1)
        of_query = one.query_logits.repeat_interleave(k, 0)  # (N, V, h', w')
        of_support = one.supports.logits.flatten(0, 1)  # (N, V, h', w')
        maps_q = torch.stack((class_map(of_query, roles), surroundings_map(of_query, roles)), 1)
        maps_s = class_map(of_support, roles)[:, None]  # (N, 1, h', w')
        told_q, plane_q = self.text_query(query, maps_q * trust)
        told_s, plane_s = self.text_support(support, maps_s * trust)
        return (told_q, told_s, plane_q, plane_s) if self.config.text else (query, support, plane_q, plane_s)
