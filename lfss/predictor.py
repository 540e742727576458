"""Supports once, queries many: from pictures and labels to masks and every map."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from .devices import pick_device
from .edge_network import EdgeNetwork, load_edge_network, score_at_pixels
from .edges import Floats
from .encoding import Encoded, encode_picture, judged_presence, phrase_logits
from .errors import NoForeground, WeightsMismatch
from .images import Image
from .labels import Label
from .methods import Episode, Method, Step, find_method
from .phrases import choose_phrases
from .predictions import settle
from .preparation import Preparation
from .prepared import Prepared
from .presets import Encoders, Preset, find_preset
from .reasoning import CLOSER, PRESENCE, SCORE, Sizes, stages_of, to_stage
from .second_look import Window, blend, in_place, window_around
from .stages import Prediction, Stage
from .support import Support

Query = Image | tuple[Image, Encoded]
ClassExamples = tuple[Label, Sequence[Support]]


class Predictor:
    """Weights and device; nothing of any request.

    ``seen`` is called with every picture that is encoded and with what was made of it, so that a pass over
    the same pictures need not encode them again.

    ::

        predictor = Predictor.load("mini")
        prepared = predictor.prepare(parse_label("dog"), [Support(read_image("a.jpg"))])
        prediction = predictor.predict(prepared, read_image("b.jpg"))
    """

    def __init__(
        self,
        preset: Preset,
        encoders: Encoders,
        method: Method,
        device: str,
        edges: EdgeNetwork | None = None,
    ):
        self.preset, self.encoders, self.method, self.device = preset, encoders, method, device
        self.seen: Callable[[Image, Encoded], object] = lambda image, encoded: None
        self.edges = edges

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
        edges = (
            load_edge_network(preset.edges, device=device, models_dir=models_dir) if preset.edges else None
        )
        return cls(preset, encoders, built.eval().requires_grad_(False).to(device), device, edges)

    @torch.inference_mode()
    def encode(self, image: Image) -> Encoded:
        """The slow half of a prediction, the same for every class."""
        encoded = encode_picture(self.encoders, image, size=self.preset.size, device=self.device)
        self.seen(image, encoded)
        return encoded

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
        self,
        classes: Sequence[ClassExamples],
        auxiliary: Sequence[Sequence[Image]] = (),
        *,
        kept: Mapping[str, Encoded] | None = None,
    ) -> list[Prepared]:
        """Encode several classes; a picture that several of them use is encoded once.

        Args:
            classes: label and supports of each.
            auxiliary: pictures only known to show the class, for each; none by default.
            kept: pictures that ``encode`` has encoded before, by their digest.

        Raises:
            SupportError: the supports of a class are not what the method needs.
        """
        auxiliary = auxiliary or [()] * len(classes)
        preparation = Preparation(self.preset.name, self.encoders, self.method, self.device)
        phrases = [choose_phrases(self.encoders.vlm, label) for label, _ in classes]
        for (label, supports), words, more in zip(classes, phrases, auxiliary, strict=True):
            preparation.check(label, supports, words, more)
        known = dict(kept or {})

        def encode(image: Image) -> Encoded:
            if image.digest not in known:
                known[image.digest] = self.encode(image)
            return known[image.digest]

        return [
            preparation.prepare(label, words, supports, encode, more)
            for (label, supports), words, more in zip(classes, phrases, auxiliary)
        ]

    @torch.inference_mode()
    def refreshed(self, prepared: Prepared) -> Prepared:
        """The class with what the method makes of its supports made anew, after they have changed."""
        return replace(prepared, encoded=self.method.prepare(replace(prepared.encoded, prepared=None)))

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
        second_look: bool = False,
    ) -> Iterator[Stage]:
        """Yield every stage as it is made; ``score`` and ``prediction``, the last two, are at full size.

        Args:
            prepared: of this predictor's preset and method.
            query: the picture to segment, decoded, or also encoded.
            threshold: score from which a pixel belongs to the mask, in [0, 1].
            assume_present: the query is known to show the object: never an empty first mask, no
                presence check.
            snap: move the mask's border to the picture's edges.
            second_look: read the part around a small object again (``lfss.second_look``).

        Raises:
            NoForeground: no support shows the object.
            WeightsMismatch: the class was prepared by another preset or method.
        """
        made = self.iterate_classes(
            [prepared],
            query,
            threshold=threshold,
            assume_present=assume_present,
            snap=snap,
            second_look=second_look,
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
        second_look: bool = False,
    ) -> Prediction:
        """The mask of a query; drains ``iterate``, with the same errors.

        Args:
            prepared: of this predictor's preset and method.
            query: the picture to segment, decoded, or also encoded.
            threshold: score from which a pixel belongs to the mask, in [0, 1].
            assume_present: the query is known to show the object.
            snap: move the mask's border to the picture's edges.
            second_look: read the part around a small object again (``lfss.second_look``).
        """
        return self.predict_classes(
            [prepared],
            query,
            threshold=threshold,
            assume_present=assume_present,
            snap=snap,
            second_look=second_look,
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
        second_look: bool = False,
    ) -> list[Prediction]:
        """One prediction for each class, in the order given; the picture is encoded once.

        Where two classes claim a pixel, the one that is more probable there gets it (``lfss.competition``);
        each prediction says what it lost to whom.

        Args:
            prepared: of this predictor's preset and method.
            query: the picture to segment, decoded, or also encoded.
            overlaps: pairs of label names that may lie on each other, such as ("rider", "horse").
            threshold, assume_present, snap, second_look: see ``iterate``.

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
            second_look=second_look,
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
        second_look: bool = False,
    ) -> Iterator[tuple[int, Stage | Prediction]]:
        """Yield every stage of every class as it is made, with the class's number, then the predictions.

        Args and errors are those of ``predict_classes``.
        """
        clock, image = _Clock(), _image_of(query)
        with clock:
            encoded = query[1] if isinstance(query, tuple) else self.encode(image)
        stages: list[list[Stage]] = [[] for _ in prepared]
        everything = range(len(prepared))
        together = [everything] if self.method.needs.several_classes else [[i] for i in everything]
        # An object that is judged absent is not looked for again.
        least = 0.0 if assume_present else self.preset.presence_threshold
        again = least if second_look else None
        for numbers in together:
            group = [prepared[i] for i in numbers]
            found = self._stages(group, image, encoded, assume_present=assume_present, snap=snap, again=again)
            while (item := clock.next(found)) is not None:
                number, stage = numbers[item[0]], item[1]
                stages[number].append(stage)
                yield number, stage
        with clock:
            predictions = settle(
                prepared,
                stages,
                overlaps=overlaps,
                threshold=threshold,
                presence_threshold=None if assume_present else self.preset.presence_threshold,
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
                    query_logits=phrase_logits(self.encoders.vlm, encoded.dense, one.text),
                    presence=self._presence(one, encoded.dense),
                    known_present=torch.tensor([assume_present], device=self.device),
                )
                for one in classes
            ),
        )

    def _stages(
        self,
        group: Sequence[Prepared],
        image: Image,
        encoded: Encoded,
        *,
        assume_present: bool,
        snap: bool,
        again: float | None,
    ) -> Iterator[tuple[int, Stage]]:
        """The method's stages of some classes, then for each the presence and the score.

        ``again`` is the presence from which small objects are looked at a second time; None for never.
        """
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
            score = self._score(last, number, image, snap=snap)
            window = window_around(score) if again is not None and presence >= again else None
            if window is not None:
                closer = self.look_again(group, number, image, window, snap=snap)
                yield number, to_stage(CLOSER, query=in_place(closer, window, image.size))
                score = blend(score, closer, window)
            yield number, to_stage(SCORE, query=score)

    def look_again(
        self, group: Sequence[Prepared], number: int, image: Image, window: Window, *, snap: bool = True
    ) -> Floats:
        """The score of one class in a part of a picture, read as a picture of its own.

        Args:
            group: classes that the method reads together.
            number: of the class in the group.
            image: the whole picture, H x W.
            window: the part, h x w pixels; it is known to show the object.
            snap: see ``iterate``.

        Returns:
            (h, w) in [0, 1].
        """
        part = Image(np.ascontiguousarray(image.pixels[window.place]), image.name)
        encoded = encode_picture(self.encoders, part, size=self.preset.size, device=self.device)
        *_, last = self.steps(group, (part, encoded), assume_present=True)
        return self._score(last, number, part, snap=snap)

    def _score(self, last: Step, number: int, image: Image, *, snap: bool) -> Floats:
        """(H, W) in [0, 1]: the score of one class at the picture's pixels, from a method's last step."""
        logits = last.query("logits")[0, number].float().cpu().numpy()
        return score_at_pixels(logits, image.pixels, self.edges, snap=snap)

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
        sure = judged_presence(self.encoders.vlm, prepared.phrases.own, dense)
        return None if sure is None else (sure.logit(1e-4) + prepared.presence_offset).sigmoid()


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
