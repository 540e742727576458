"""A run into a workspace: what the model proposes becomes drafts, and what a person decided stays."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial

from .. import __version__
from ..doubt import confidence, doubt, warning
from ..drafts import Draft, Origin
from ..images import Image
from ..labels import label_key
from ..scoremap import settled_scores
from ..settings import Settings
from ..stages import Prediction
from ..storage.packed import PackedDraft, pack_draft
from ..storage.pictures import Stamp
from ..workspace import Workspace
from .loop import Outcome, Query


class IntoWorkspace:
    """A sink that keeps drafts in a workspace; all drafts of a picture are stored together.

    Args:
        workspace: where drafts go.
        supports: for each label of the run, in order: its name, and the digests of its supports.
        settings: of the run.
        again: make drafts again that nobody has checked; the old one stays in the history.
    """

    def __init__(
        self,
        workspace: Workspace,
        supports: Mapping[str, Sequence[str]],
        *,
        settings: Settings | None = None,
        again: bool = False,
    ):
        self.workspace, self.labels, self._again = workspace, tuple(supports), again
        self._make = partial(
            pack_predictions, supports=tuple(supports.values()), settings=settings or Settings()
        )

    def kept(self, query: Query, image: Image | None = None) -> list[Outcome] | None:
        """The outcomes of a picture whose drafts all stay; a further file of it is noted."""
        known = self.workspace.find_image(query.path) if image is None else None
        digest = image.digest if image else known.digest if known else None
        if digest is None or not all(self._stays(digest, label) for label in self.labels):
            return None
        copy_of = ""
        if image is not None:  # a copy, or a file that was moved
            copy_of = self._other_file(digest, query)
            self.workspace.add_image(image)
        return [Outcome(str(query.path), label, "kept", copy_of=copy_of) for label in self.labels]

    @property
    def make(self) -> Callable[[Query, Image, Sequence[Prediction], Stamp | None], list[PackedDraft]]:
        """Packs drafts, in a few kilobytes each."""
        return self._make

    def keep(self, query: Query, made: Sequence[PackedDraft]) -> list[Outcome]:
        """Store the drafts of a picture in one transaction."""
        copy_of = self._other_file(made[0].digest, query) if made else ""
        stored = self.workspace.put_packed(made, overwrite=self._again)
        return [
            _outcome(query, label, draft) if new else Outcome(str(query.path), label, "kept", copy_of=copy_of)
            for label, draft, new in zip(self.labels, made, stored)
        ]

    def fail(self, query: Query, message: str) -> list[Outcome]:
        """Note why a picture failed, until a draft of it is stored."""
        for label in self.labels:
            self.workspace.record_failure(label, query.path, message)
        return [Outcome(str(query.path), label, "failed", message=message) for label in self.labels]

    def _other_file(self, digest: str, query: Query) -> str:
        """The name of another file that holds a picture; empty where there is none."""
        if not self.workspace.has_image(digest):
            return ""
        known = self.workspace.image(digest)
        other = known.path is not None and known.path.is_file() and not known.path.samefile(query.path)
        return known.name if other else ""

    def _stays(self, digest: str, label: str) -> bool:
        """Whether a picture has a draft that this run leaves alone."""
        status = self.workspace.status(digest, label)
        return status is not None and not (self._again and status == "proposed")


def pack_predictions(
    query: Query,
    image: Image,
    predictions: Sequence[Prediction],
    stamp: Stamp | None,
    *,
    supports: Sequence[Sequence[str]],
    settings: Settings,
) -> list[PackedDraft]:
    """The drafts that propose the predictions of a picture, one for each label, with their score maps.

    Args:
        query: the file.
        image: the picture in it.
        predictions: one for each label, all of this picture.
        stamp: what the file looked like when it was read.
        supports: the digests of the supports of each label.
        settings: what the predictions were made with.
    """
    together = {frozenset(map(label_key, pair)) for pair in settings.overlaps}
    keys = [label_key(prediction.label.text) for prediction in predictions]
    scores = settled_scores(
        [prediction.mask for prediction in predictions],
        [prediction.score for prediction in predictions],
        lambda one, other: frozenset((keys[one], keys[other])) not in together,
    )
    packed = []
    for prediction, digests, score in zip(predictions, supports, scores, strict=True):
        if prediction.mask.shape != image.size:
            raise ValueError(f"mask {prediction.mask.shape} for a picture of {image.size}")
        draft = draft_of(prediction, image, supports=digests, settings=settings.provenance)
        packed.append(pack_draft(draft, score, stamp=stamp))
    return packed


def draft_of(
    prediction: Prediction,
    image: Image,
    *,
    supports: Sequence[str] = (),
    settings: Mapping[str, str] | None = None,
) -> Draft:
    """The draft that proposes a prediction.

    Args:
        prediction: of that picture.
        image: the picture.
        supports: digests of the supports.
        settings: further settings.
    """
    presence = min(max(prediction.presence, 0.0), 1.0)
    return Draft(
        image_name=image.name,
        image_digest=image.digest,
        label=prediction.label.text,
        mask=prediction.mask,
        score=confidence(prediction.score, prediction.mask, presence=presence),
        presence=presence,
        doubt=doubt(prediction),
        lost=dict(prediction.lost),
        image_path=image.path,
        origin=origin_of(prediction, supports=supports, settings=settings),
    )


def origin_of(
    prediction: Prediction, *, supports: Sequence[str] = (), settings: Mapping[str, str] | None = None
) -> Origin:
    """Who made a prediction, as drafts and records name it."""
    label = prediction.label
    words = ", ".join(label.phrases)
    if label.distractors:
        words += f" (not: {', '.join(label.distractors)})"
    return Origin(
        model=f"{prediction.preset} {__version__}",
        label=words,
        threshold=prediction.threshold,
        supports=tuple(supports),
        settings=dict(settings or {}),
        method=prediction.method,
    )


def _outcome(query: Query, label: str, draft: PackedDraft) -> Outcome:
    content = draft.content
    return Outcome(
        str(query.path),
        label,
        "done",
        area=draft.area,
        presence=content.presence,
        doubt=content.doubt,
        lost=content.lost,
        message=warning(draft.area, label),
    )
