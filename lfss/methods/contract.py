"""What a method reads (Episode), yields (Step) and says of itself (StageInfo, Needs), and its base class.

A method never sees pixels, files or words: only features of encoded pictures, logits of phrases, and marks.
Everything is given for each item of a batch, so a batch may hold tasks with different labels. Letters of the
shapes: B episodes, N classes of an episode, K supports of a class, P pictures, V phrases of a class,
(h, w) cells of the finest backbone level, (h', w') cells of the text tower.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, Self

from torch import Tensor, nn

from ..errors import WeightsMismatch
from ..stages import Kind, Role

THUMBNAIL_SIDE = 100  # pixels of the small square picture that a method may look at


@dataclass(frozen=True, eq=False)
class Pictures:
    """Encoded pictures of one class, P for each episode of a batch.

    Attributes:
        features: one (B, P, C_i, h_i, w_i) for each backbone level, finest first.
        logits: (B, P, V, h', w') logit of each phrase at each cell of the text tower.
        thumbnails: (B, P, 3, 100, 100) in [0, 1], for decoders that look at colours; or None.
    """

    features: tuple[Tensor, ...]
    logits: Tensor
    thumbnails: Tensor | None = None

    def only(self, places: Sequence[int]) -> Pictures:
        """Some of the P pictures."""
        chosen = list(places)
        return Pictures(
            tuple(level[:, chosen] for level in self.features),
            self.logits[:, chosen],
            None if self.thumbnails is None else self.thumbnails[:, chosen],
        )


@dataclass(frozen=True, eq=False)
class EpisodeClass:
    """One class of a batch of episodes: what is known of it, and what its words say of the query.

    Attributes:
        supports: its K support pictures.
        known: (B, K, h, w) share of each cell known to be object, in [0, 1].
        unknown: (B, K, h, w) share of each cell not known, in [0, 1]. All 1: label only; all 0: a full
            mask. Known background is ``1 - known - unknown``.
        phrase_roles: (B, V) int8: 1 names the class, -1 competes with it, 0 is padding.
        text_trust: (B,) how far the words may be trusted, in [0, 1]; 0 where the tower does not know them.
        known_present: (B,) bool: the query is known to show the class, so its first mask is never empty.
        query_logits: (B, V, h', w') of the query; None as long as there is no query.
        presence: (B,) how sure the text tower is that the query shows the class, judged on the whole
            picture, in [0, 1]; not a number for items that it cannot judge, None where it judges none.
        auxiliary: pictures that are only known to show the class (image-level labels), or None.
        prepared: what the method has made of the supports earlier; it makes it anew where this is None.
    """

    supports: Pictures
    known: Tensor
    unknown: Tensor
    phrase_roles: Tensor
    text_trust: Tensor
    known_present: Tensor
    query_logits: Tensor | None = None
    presence: Tensor | None = None
    auxiliary: Pictures | None = None
    prepared: Any = None

    @property
    def marked(self) -> Tensor:
        """(B, K) bool: a person has marked something on this support."""
        return (self.unknown < 0.5).flatten(2).any(2)

    def only(self, shots: Sequence[int]) -> EpisodeClass:
        """The class with some of its K supports."""
        chosen = list(shots)
        return replace(
            self,
            supports=self.supports.only(chosen),
            known=self.known[:, chosen],
            unknown=self.unknown[:, chosen],
            prepared=None,
        )


@dataclass(frozen=True, eq=False)
class Episode:
    """A batch of B tasks, each with the same number N of classes.

    Attributes:
        query_features: one (B, C_i, h_i, w_i) for each backbone level, finest first.
        classes: the N classes; each may have its own number of supports and phrases.
        query_thumbnail: (B, 3, 100, 100) in [0, 1], for decoders that look at colours; or None.
    """

    query_features: tuple[Tensor, ...]
    classes: tuple[EpisodeClass, ...]
    query_thumbnail: Tensor | None = None


@dataclass(frozen=True, eq=False)
class Step:
    """A named, differentiable intermediate result.

    Attributes:
        key: its name within the method; the last step of every method is ``prediction``.
        tensors: what the step made, by name. What belongs to the query is one tensor (B, N, ...); what
            belongs to the supports is a tuple over the N classes of (B, K_n, ...).
    """

    key: str
    tensors: dict[str, Tensor | tuple[Tensor, ...]]

    def query(self, name: str) -> Tensor:
        """A tensor of the query, (B, N, ...)."""
        found = self.tensors[name]
        assert isinstance(found, Tensor)
        return found

    def supports(self, name: str) -> tuple[Tensor, ...]:
        """The tensors of the supports, one (B, K_n, ...) for each class."""
        found = self.tensors[name]
        assert isinstance(found, tuple)
        return found


@dataclass(frozen=True)
class StageInfo:
    """How a method describes one of its own results for people.

    Attributes:
        key: stable name for programs, unique within the method.
        title: name for people, as in the paper.
        kind: how to draw it: a ``mask``, a ``map``, ``regions`` (whole numbers, -1 for none), ``points``
            or a ``number``. Points are (B, K, P, 2) row and column in cells of the finest backbone level
            (on the query (B, N, P, 2)); points that do not exist are negative.
        step: key of the step that makes it.
        how_to_read: one sentence.
        query: name of its tensor for the query, or None.
        supports: name of its tensor for the supports, or None.
        low, high: range of a map's colours; None and None take the picture's own range.
        role: what it is to those who do not know the method: ``first_mask`` and ``refined_mask`` are the
            masks before and after refinement. Empty for all other stages.
    """

    key: str
    title: str
    kind: Kind
    step: str
    how_to_read: str
    query: str | None = None
    supports: str | None = None
    low: float | None = 0.0
    high: float | None = 1.0
    role: Role = ""


@dataclass(frozen=True)
class Needs:
    """What a method must be given.

    Attributes:
        text: it looks for the word where nothing is marked.
        masks: a person must have marked every support.
        auxiliary: it needs pictures that are only known to show the class.
        several_classes: it compares the classes of a run, so it is given all of them in one episode;
            other methods are given one class at a time.
    """

    text: bool = False
    masks: bool = False
    auxiliary: bool = False
    several_classes: bool = False


class Method(nn.Module):
    """Base of the methods. One generator serves training, evaluation and the app.

    Attributes:
        name: its name in ``METHODS``, in saved classes and in the origin of drafts.
        needs: what it must be given.
        stages: how its results are shown to people, in order.
    """

    name: ClassVar[str]
    needs: ClassVar[Needs] = Needs()
    stages: ClassVar[tuple[StageInfo, ...]] = ()

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
        """The method for the encoders of a preset; this one has neither settings nor weights.

        Args:
            backbone: name of the network whose features it will read.
            channels: of each level of these features.
            settings: the method's own configuration; None for its defaults.
            weights: trained weights: a folder, or its name in the models folder; None for none.
            models_dir: the models folder, if not the usual one.

        Raises:
            WeightsError: the weights are missing, damaged or made for something else.
        """
        if weights is not None:
            raise WeightsMismatch(f"The method '{cls.name}' has no weights to load from '{weights}'.")
        return cls()

    def prepare(self, one: EpisodeClass) -> EpisodeClass:
        """What the supports alone decide, so that many queries need it only once.

        Args:
            one: a class without a query.

        Returns:
            The class with ``prepared``, and with other marks where the method makes them better.
        """
        return one

    def steps(self, episode: Episode) -> Iterator[Step]:
        """Yield the steps in order.

        The last step is ``prediction``, with ``logits`` (B, N, h, w) and ``presence`` (B, N) in [0, 1]. An
        earlier step may have ``presence`` too, for those who want nothing else.
        """
        raise NotImplementedError

    def forward(self, episode: Episode) -> Tensor:
        """Logits of the query, (B, N, h, w): the last step."""
        *_, last = self.steps(episode)
        return last.query("logits")

    @classmethod
    def stage_of(cls, role: Role) -> StageInfo | None:
        """The stage that plays a role; None where the method has none."""
        return next((stage for stage in cls.stages if stage.role == role), None)
