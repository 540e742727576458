"""Supports once, queries many: from pictures and labels to masks and every map."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from .competition import compete
from .devices import pick_device
from .edges import to_pixels
from .errors import NoForeground, SupportError, WeightsMismatch
from .images import Image, resize_to
from .labels import Label, label_key
from .methods import THUMBNAIL_SIDE, Episode, EpisodeClass, Method, Pictures, Step, find_method
from .phrases import Phrases, choose_phrases
from .prepared import Prepared, small_pictures
from .presets import Encoders, Preset, find_preset
from .reasoning import MASK, PRESENCE, SCORE, Sizes, stages_of, to_stage
from .stages import Prediction, Stage
from .support import Support, shares_of_cells

_SHOWN_SIDE = 256  # pixels of a support's picture that is kept for people


class Encoded(NamedTuple):
    """A picture as the encoders see it; keep it to ask for other classes without encoding again.

    Attributes:
        dense: (1, D, h', w') cells of the text tower.
        levels: one (1, C_i, h_i, w_i) for each backbone level.
        thumbnail: (1, 3, 100, 100) in [0, 1].
    """

    dense: Tensor
    levels: tuple[Tensor, ...]
    thumbnail: Tensor


Query = Image | tuple[Image, Encoded]
ClassExamples = tuple[Label, Sequence[Support]]


class Predictor:
    """Weights and device; nothing of any request.

    ::

        predictor = Predictor.load("mini")
        prepared = predictor.prepare(parse_label("dog"), [Support(read_image("a.jpg"))])
        prediction = predictor.predict(prepared, read_image("b.jpg"))
    """

    def __init__(self, preset: Preset, encoders: Encoders, method: Method, device: str):
        self.preset, self.encoders, self.method, self.device = preset, encoders, method, device

    @classmethod
    def load(
        cls,
        preset: str | Preset = "mini",
        *,
        method: str = "lfss",
        device: str = "auto",
        models_dir: Path | None = None,
    ) -> Predictor:
        """Load a preset.

        Args:
            preset: a name of ``lfss.presets.PRESETS``, ``module:function``, or a Preset.
            method: a name of ``lfss.methods.METHODS``.
            device: ``auto``, ``cpu``, ``cuda``, ``mps``.
            models_dir: folder for weights put there by hand.

        Raises:
            UnknownName, WeightsError, InputError.
        """
        preset = find_preset(preset) if isinstance(preset, str) else preset
        kind, device = find_method(method), pick_device(device)
        encoders = preset.load(device, models_dir)
        built = kind.build(
            backbone=encoders.backbone.name,
            channels=encoders.backbone.channels,
            settings=preset.methods.get(method),
            weights=preset.weights_of.get(method),
            models_dir=models_dir,
        )
        return cls(preset, encoders, built.eval().requires_grad_(False).to(device), device)

    @torch.inference_mode()
    def encode(self, image: Image) -> Encoded:
        """The slow half of a prediction, the same for every class."""
        pixels = torch.from_numpy(resize_to(image, self.preset.size))[None].to(self.device)
        if self.encoders.encode is not None:
            dense, levels = self.encoders.encode(pixels)
        else:
            dense, levels = self.encoders.vlm.encode_dense(pixels), self.encoders.backbone(pixels)
        thumbnail = torch.from_numpy(resize_to(image, THUMBNAIL_SIDE))[None].to(self.device)
        return Encoded(dense, levels, thumbnail)

    def prepare(self, label: Label, supports: Sequence[Support], auxiliary: Sequence[Image] = ()) -> Prepared:
        """Encode the supports and the label of one class, once for any number of queries.

        Args:
            label: what to search for.
            supports: pictures that show it.
            auxiliary: more pictures that show it somewhere, for methods that use such pictures.

        Raises:
            SupportError: the supports are not what the method needs.
        """
        return self.prepare_classes([(label, supports)], [auxiliary])[0]

    def prepare_classes(
        self, classes: Sequence[ClassExamples], auxiliary: Sequence[Sequence[Image]] = ()
    ) -> list[Prepared]:
        """Encode several classes; a picture that several of them use is encoded once.

        Args:
            classes: label and supports of each.
            auxiliary: pictures only known to show the class, for each; none by default.

        Raises:
            SupportError: the supports of a class are not what the method needs.
        """
        auxiliary = auxiliary or [()] * len(classes)
        phrases = [choose_phrases(self.encoders.vlm, label) for label, _ in classes]
        for (label, supports), words, more in zip(classes, phrases, auxiliary, strict=True):
            self._check(label, supports, words, more)
        kept: dict[str, Encoded] = {}

        def encode(image: Image) -> Encoded:
            if image.digest not in kept:
                kept[image.digest] = self.encode(image)
            return kept[image.digest]

        return [
            self._prepare(label, words, supports, encode, more)
            for (label, supports), words, more in zip(classes, phrases, auxiliary)
        ]

    def steps(
        self, prepared: Prepared | Sequence[Prepared], query: Query, *, assume_present: bool = False
    ) -> Iterator[Step]:
        """The method's own steps, as tensors, for code that wants more than pictures."""
        steps = self.method.steps(self.episode(prepared, query, assume_present=assume_present))
        while True:
            # Entered anew for each step: a context held over a yield would leak into the caller.
            with torch.inference_mode():
                step = next(steps, None)  # type: ignore[arg-type]
            if step is None:
                return
            yield step

    def iterate(
        self,
        prepared: Prepared,
        query: Query,
        *,
        threshold: float = 0.5,
        assume_present: bool = False,
        snap: bool = True,
    ) -> Iterator[Stage]:
        """Yield every stage as it is made; ``score`` and ``prediction``, the last two, are at full size.

        Args:
            prepared: of this predictor's preset and method.
            query: the picture to segment, decoded, or also encoded.
            threshold: score from which a pixel belongs to the mask, in [0, 1].
            assume_present: the query is known to show the object: never an empty first mask, no
                presence check.
            snap: move the mask's border to the picture's edges.

        Raises:
            NoForeground: no support shows the object.
            WeightsMismatch: the class was prepared by another preset or method.
        """
        made = self.iterate_classes(
            [prepared], query, threshold=threshold, assume_present=assume_present, snap=snap
        )
        yield from (stage for _, stage in made if isinstance(stage, Stage))

    def predict(
        self,
        prepared: Prepared,
        query: Query,
        *,
        threshold: float = 0.5,
        assume_present: bool = False,
        snap: bool = True,
    ) -> Prediction:
        """Drain ``iterate``; same arguments and errors."""
        return self.predict_classes(
            [prepared], query, threshold=threshold, assume_present=assume_present, snap=snap
        )[0]

    def predict_classes(
        self,
        prepared: Sequence[Prepared],
        query: Query,
        *,
        overlaps: Collection[tuple[str, str]] = (),
        threshold: float = 0.5,
        assume_present: bool = False,
        snap: bool = True,
    ) -> list[Prediction]:
        """One prediction for each class, in the order given; the picture is encoded once.

        Where two classes claim a pixel, the one that is more probable there gets it (``lfss.competition``);
        each prediction says what it lost to whom.

        Args:
            prepared: of this predictor's preset and method.
            query: the picture to segment, decoded, or also encoded.
            overlaps: pairs of label names that may lie on each other, such as ("rider", "horse").
            threshold, assume_present, snap: see ``iterate``.

        Raises:
            NoForeground, WeightsMismatch: see ``iterate``.
        """
        made = self.iterate_classes(
            prepared,
            query,
            overlaps=overlaps,
            threshold=threshold,
            assume_present=assume_present,
            snap=snap,
        )
        return [prediction for _, prediction in made if isinstance(prediction, Prediction)]

    def iterate_classes(
        self,
        prepared: Sequence[Prepared],
        query: Query,
        *,
        overlaps: Collection[tuple[str, str]] = (),
        threshold: float = 0.5,
        assume_present: bool = False,
        snap: bool = True,
    ) -> Iterator[tuple[int, Stage | Prediction]]:
        """Yield every stage of every class as it is made, with the class's number, then the predictions.

        Arguments and errors are those of ``predict_classes``.
        """
        clock, image = _Clock(), _image_of(query)
        with clock:
            encoded = query[1] if isinstance(query, tuple) else self.encode(image)
        stages: list[list[Stage]] = [[] for _ in prepared]
        everything = range(len(prepared))
        together = [everything] if self.method.needs.several_classes else [[i] for i in everything]
        for numbers in together:
            group = [prepared[i] for i in numbers]
            found = self._stages(group, image, encoded, assume_present=assume_present, snap=snap)
            while (item := clock.next(found)) is not None:
                number, stage = numbers[item[0]], item[1]
                stages[number].append(stage)
                yield number, stage
        with clock:
            predictions = self._predictions(
                prepared, stages, overlaps=overlaps, threshold=threshold, assume_present=assume_present
            )
        for number, prediction in enumerate(predictions):
            yield number, prediction.stages[-1]
        for number, prediction in enumerate(predictions):
            yield number, replace(prediction, seconds=clock.seconds / len(predictions))

    @torch.inference_mode()
    def episode(
        self, prepared: Prepared | Sequence[Prepared], query: Query, *, assume_present: bool = False
    ) -> Episode:
        """The Episode of one query, B = 1, with one class or several.

        Raises:
            WeightsMismatch: a class was prepared by another preset or method.
        """
        classes = [prepared] if isinstance(prepared, Prepared) else prepared
        for one in classes:
            self._check_made_here(one)
        encoded = query[1] if isinstance(query, tuple) else self.encode(query)
        return Episode(
            query_features=encoded.levels,
            query_thumbnail=encoded.thumbnail,
            classes=tuple(
                replace(
                    one.encoded,
                    query_logits=self._logits(encoded.dense, one.text),
                    presence=self._presence(one, encoded.dense),
                    known_present=torch.tensor([assume_present], device=self.device),
                )
                for one in classes
            ),
        )

    def _stages(
        self, group: Sequence[Prepared], image: Image, encoded: Encoded, *, assume_present: bool, snap: bool
    ) -> Iterator[tuple[int, Stage]]:
        """The method's stages of some classes, then for each the presence and the score."""
        last = None
        masks = self.method.stage_of("refined_mask") or self.method.stage_of("first_mask")
        for last in self.steps(group, (image, encoded), assume_present=assume_present):
            for number, one in enumerate(group):
                if masks and masks.supports and masks.step == last.key:
                    _check_supports(one, last.supports(masks.supports)[number])
                sizes = Sizes(one.cells, image.size, one.sizes)
                for stage in stages_of(self.method.stages, last, number, sizes):
                    yield number, stage
        assert last is not None
        for number in range(len(group)):
            presence = last.query("presence")[0, number].float().cpu().numpy()
            yield number, to_stage(PRESENCE, query=presence)
            logits = last.query("logits")[0, number].float().cpu().numpy()
            yield number, to_stage(SCORE, query=to_pixels(logits, image.pixels, snap=snap))

    def _predictions(
        self,
        prepared: Sequence[Prepared],
        stages: Sequence[Sequence[Stage]],
        *,
        overlaps: Collection[tuple[str, str]],
        threshold: float,
        assume_present: bool,
    ) -> list[Prediction]:
        """What the classes claim, settled between them; each with its last stage, the mask."""
        scores = [_value(s, SCORE.key) for s in stages]
        presences = [float(_value(s, PRESENCE.key)) for s in stages]
        there = [assume_present or p >= self.preset.presence_threshold for p in presences]
        masks = [score >= (threshold if t else np.inf) for score, t in zip(scores, there)]
        lost: Sequence[dict[int, float]] = [{} for _ in prepared]
        if len(prepared) > 1:
            # That a pixel is of a class means that the class is there, and that this is its place.
            sure = [1.0 if assume_present else p for p in presences]
            probabilities = np.stack([score * np.float32(p) for score, p in zip(scores, sure)])
            pairs = _numbers_of(overlaps, [p.label for p in prepared])
            left, lost = compete(probabilities, np.stack(masks), may_overlap=pairs)
            masks = list(left)
        names = [p.label.text for p in prepared]
        return [
            Prediction.collect(
                [*stages[i], to_stage(MASK, query=masks[i])],
                label=one.label,
                preset=one.preset,
                method=one.method,
                threshold=threshold,
                seconds=0.0,
                lost={names[by]: share for by, share in lost[i].items()},
            )
            for i, one in enumerate(prepared)
        ]

    def _prepare(
        self,
        label: Label,
        phrases: Phrases,
        supports: Sequence[Support],
        encode: Callable[[Image], Encoded],
        auxiliary: Sequence[Image],
    ) -> Prepared:
        text = self.encoders.vlm.encode_text(phrases.words).to(self.device)
        encoded = [encode(support.image) for support in supports]
        thumbnails = tuple(_shrunk(s.image) for s in supports)
        pictures = self._pictures(encoded, text, small_pictures(thumbnails, self.device))
        cells = (pictures.features[0].shape[-2], pictures.features[0].shape[-1])
        shares = [shares_of_cells(s.known, cells) for s in supports]
        known, unknown = (torch.from_numpy(np.stack(x))[None].to(self.device) for x in zip(*shares))
        one = EpisodeClass(
            supports=pictures,
            known=known,
            unknown=unknown,
            phrase_roles=phrases.roles_tensor(self.device),
            text_trust=torch.tensor([phrases.trust], device=self.device),
            known_present=torch.tensor([False], device=self.device),
            auxiliary=self._pictures([encode(i) for i in auxiliary], text, None) if auxiliary else None,
        )
        marked = [e.dense for e, s in zip(encoded, supports) if s.known is not None]
        with torch.inference_mode():
            one = self.method.prepare(one)
        return Prepared(
            label=label,
            preset=self.preset.name,
            method=self.method.name,
            phrases=phrases,
            text=text,
            encoded=one,
            names=tuple(s.image.name for s in supports),
            digests=tuple(s.image.digest for s in supports),
            sizes=tuple(s.image.size for s in supports),
            thumbnails=thumbnails,
            presence_offset=self._presence_offset(phrases.own, marked),
        )

    def _pictures(self, encoded: Sequence[Encoded], text: Tensor, thumbnails: Tensor | None) -> Pictures:
        """P encoded pictures with the logits of some phrases."""
        return Pictures(
            tuple(torch.stack(level, 1) for level in zip(*(e.levels for e in encoded))),
            torch.stack([self._logits(e.dense, text) for e in encoded], 1),
            torch.stack([e.thumbnail for e in encoded], 1) if thumbnails is None else thumbnails,
        )

    def _check(
        self, label: Label, supports: Sequence[Support], phrases: Phrases, auxiliary: Sequence[Image]
    ) -> None:
        """Raise a SupportError unless the method can begin with what it is given."""
        needs, name = self.method.needs, self.method.name
        if not supports:
            raise SupportError("Add at least one support: a photo that shows the object.")
        unmarked = [s.image.name for s in supports if s.known is None]
        if needs.masks and unmarked:
            raise SupportError(
                f"The method '{name}' needs marks on every support, and '{unmarked[0]}' has none. Draw a "
                "mask, a box or a scribble on it, or leave it out."
            )
        if needs.auxiliary and not auxiliary:
            raise SupportError(
                f"The method '{name}' needs more pictures that show '{label.text}', without marks. Add some."
            )
        if phrases.trust == 0 and len(unmarked) == len(supports):
            raise SupportError(
                f"The preset '{self.preset.name}' does not know the word '{label.text}', so a photo alone "
                "does not tell what to look for. Draw a box, a scribble or a mask on one support, or "
                "add a known synonym after a comma."
            )

    def _check_made_here(self, prepared: Prepared) -> None:
        """Raise a WeightsMismatch unless this preset and this method prepared the class."""
        here = {"preset": (prepared.preset, self.preset.name), "method": (prepared.method, self.method.name)}
        for kind, (made_by, in_use) in here.items():
            if made_by != in_use:
                raise WeightsMismatch(
                    f"This class was prepared with the {kind} '{made_by}', the {kind} in use is "
                    f"'{in_use}'. Choose that {kind}, or prepare the class again."
                )

    def _presence(self, prepared: Prepared, dense: Tensor) -> Tensor | None:
        """(1,): the text tower's own judgement of the whole query, if it judges; shifted by the supports."""
        sure = self._judged(prepared.phrases.own, dense)
        return None if sure is None else (sure.logit(1e-4) + prepared.presence_offset).sigmoid()

    def _judged(self, phrases: Sequence[str], dense: Tensor) -> Tensor | None:
        """How sure the text tower is that pictures show the label, if it judges that itself: (B,) or None."""
        judge = getattr(self.encoders.vlm, "presence", None)
        return judge(phrases, dense.float()) if judge else None

    def _presence_offset(self, phrases: Sequence[str], marked: Iterable[Tensor]) -> float:
        """What brings marked supports to even odds on average; 0 if they are there, or if there is none.

        Whoever marked the object has seen it. On unmarked supports the judge may be right.
        """
        sure = [self._judged(phrases, dense) for dense in marked]
        logits = [float(s.logit(1e-4)) for s in sure if s is not None]
        return max(0.0, -sum(logits) / len(logits)) if logits else 0.0

    def _logits(self, dense: Tensor, text: Tensor) -> Tensor:
        """(1, D, h', w') and (V, D) -> (1, V, h', w')."""
        return torch.einsum("bdhw,vd->bvhw", dense.float(), text) * self.encoders.vlm.logit_scale


class _Clock:
    """Adds up the seconds of blocks and of the items of generators, without the time between them."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def __enter__(self) -> None:
        self._start = time.perf_counter()

    def __exit__(self, *_: object) -> None:
        self.seconds += time.perf_counter() - self._start

    def next(self, items: Iterator[tuple[int, Stage]]) -> tuple[int, Stage] | None:
        """The next item; None at the end."""
        with self:
            return next(items, None)


def _image_of(query: Query) -> Image:
    return query[0] if isinstance(query, tuple) else query


def _check_supports(prepared: Prepared, masks: Tensor) -> None:
    if not masks.any():
        label = prepared.label.text
        raise NoForeground(
            f"No support shows the object '{label}'. Add another support, or mark the object.", label=label
        )


def _value(stages: Sequence[Stage], key: str) -> npt.NDArray:
    """The query's array of a stage."""
    value = {s.key: s.query for s in stages}[key]
    assert value is not None
    return value


def _numbers_of(pairs: Collection[tuple[str, str]], labels: Sequence[Label]) -> list[tuple[int, int]]:
    """Pairs of label names as pairs of their numbers; pairs of which one is not in this run are left out."""
    place = {label_key(label.text): number for number, label in enumerate(labels)}
    numbers = [(place.get(label_key(a)), place.get(label_key(b))) for a, b in pairs]
    return [(a, b) for a, b in numbers if a is not None and b is not None]


def _shrunk(image: Image) -> npt.NDArray[np.uint8]:
    """The picture at 256 pixels on the long side, (h, w, 3) uint8."""
    height, width = image.size
    shrink = min(1.0, _SHOWN_SIDE / max(height, width))
    size = (max(1, round(width * shrink)), max(1, round(height * shrink)))
    return np.asarray(cv2.resize(image.pixels, size, interpolation=cv2.INTER_AREA), np.uint8)
