"""What a method reads (Episode), what it yields (Step), and the one base class (Method)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from torch import Tensor, nn

from ..pipeline import SupportMasks


@dataclass(frozen=True, eq=False)
class SupportSide:
    """What a method makes of the supports alone, so that many queries need it made only once.

    Attributes:
        features: (B, K, C, h, w), all levels side by side.
        first: step 1.
        background: (B, K, h, w) cosine of each cell with the background of its own picture (Eq. 4).
    """

    features: Tensor
    first: SupportMasks
    background: Tensor


@dataclass(frozen=True, eq=False)
class Episode:
    """One batch of encoded tasks; methods never see pixels.

    B episodes, K shots, V phrases; (h, w) are the cells of the finest backbone level.

    Attributes:
        support_logits: (B, K, V, h', w') logit of every phrase at every cell of the text tower.
        query_logits: (B, V, h', w').
        foreground: the first so many phrases name the label, at least 1; the rest competes with them.
        support_features: one (B, K, C_i, h_i, w_i) for each backbone level.
        query_features: one (B, C_i, h_i, w_i) for each level.
        support_known: (B, K, h, w) share of each cell known to be object, in [0, 1].
        support_unknown: (B, K, h, w) share of each cell not known, in [0, 1]. All 1: label only;
            all 0: a full mask. Known background is ``1 - known - unknown``.
        text_trust: how far the text may be believed, in [0, 1]; 0 for a word the tower does not know.
        query_present: the query is known to show the object, so its first mask is never empty.
        query_picture: (B, 3, 100, 100) in [0, 1], for decoders that look at colours; else None.
        support_side: what the method made of these supports earlier; made anew if None.
        query_seen: (B,) how sure the text tower is that the query shows the label, in [0, 1], judged on
            the whole picture; None where it cannot: then the best cells of the first map decide.
    """

    support_logits: Tensor
    query_logits: Tensor
    foreground: int
    support_features: tuple[Tensor, ...]
    query_features: tuple[Tensor, ...]
    support_known: Tensor
    support_unknown: Tensor
    text_trust: float = 1.0
    query_present: bool = True
    query_picture: Tensor | None = None
    support_side: SupportSide | None = None
    query_seen: Tensor | None = None


@dataclass(frozen=True, eq=False)
class Step:
    """A named, differentiable intermediate result.

    Attributes:
        key: ``initial_mask``, ``refined_mask``, ``prototypes``, ``correlation`` or ``prediction``.
        tensors: what the step made, by name.
    """

    key: str
    tensors: dict[str, Tensor]


class Method(nn.Module):
    """Base of the methods. One generator serves training, evaluation and the app."""

    needs_mask: bool = False

    def steps(self, episode: Episode) -> Iterator[Step]:
        """Yield the steps in order; the last is ``prediction`` with ``logits`` (B, h, w)."""
        raise NotImplementedError

    def forward(self, episode: Episode) -> Tensor:
        """Logits of the query, (B, h, w): the steps, drained."""
        *_, last = self.steps(episode)
        return last.tensors["logits"]
