"""Supports once, queries many: from pictures and labels to masks and every map."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Unpack

import torch
from torch import Tensor

from .devices import pick_device
from .edge_network import EdgeNetwork, load_edge_network
from .encoding import Encoded, encode_picture, judged_presence, phrase_logits
from .errors import WeightsMismatch
from .images import Image
from .labels import Label
from .methods import Episode, Method, Step, find_method
from .phrases import choose_phrases
from .predictions import settle
from .preparation import Preparation
from .prepared import Prepared
from .presets import Encoders, Preset, find_preset
from .query_stages import QueryStages
from .settings import Options, Settings
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
        encoded = self._encode(image)
        self.seen(image, encoded)
        return encoded

    def _encode(self, image: Image) -> Encoded:
        return encode_picture(self.encoders, image, size=self.preset.size, device=self.device)

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

    def iterate(self, prepared: Prepared, query: Query, **options: Unpack[Options]) -> Iterator[Stage]:
        """Yield every stage as it is made; ``score`` and ``prediction``, the last two, are at full size.

        Args and errors are those of ``predict_classes``, for one class.
        """
        made = self.iterate_classes([prepared], query, **options)
        yield from (stage for _, stage in made if isinstance(stage, Stage))

    def predict(self, prepared: Prepared, query: Query, **options: Unpack[Options]) -> Prediction:
        """The mask of a query; args and errors are those of ``predict_classes``, for one class."""
        return self.predict_classes([prepared], query, **options)[0]

    def predict_classes(
        self, prepared: Sequence[Prepared], query: Query, **options: Unpack[Options]
    ) -> list[Prediction]:
        """One prediction for each class, in the order given; the picture is encoded once.

        Where two classes claim a pixel, the one that is more probable there gets it (``lfss.competition``);
        each prediction says what it lost to whom.

        Args:
            prepared: of this predictor's preset and method.
            query: the picture to segment, decoded, or also encoded.
            options: ``threshold=0.5, assume_present=False, snap=True, second_look=False, overlaps=()``, as
                ``lfss.settings.Settings`` explains them.

        Raises:
            NoForeground: no support of a class shows the object.
            WeightsMismatch: a class was prepared by another preset or method.
        """
        made = self.iterate_classes(prepared, query, **options)
        return [prediction for _, prediction in made if isinstance(prediction, Prediction)]

    def iterate_classes(
        self, prepared: Sequence[Prepared], query: Query, **options: Unpack[Options]
    ) -> Iterator[tuple[int, Stage | Prediction]]:
        """Yield every stage of every class as it is made, with the class's number, then the predictions.

        Args and errors are those of ``predict_classes``.
        """
        settings, clock = Settings(**options), _Clock()
        image = query[0] if isinstance(query, tuple) else query
        with clock:
            encoded = query[1] if isinstance(query, tuple) else self.encode(image)
        stages: list[list[Stage]] = [[] for _ in prepared]
        everything = range(len(prepared))
        together = [everything] if self.method.needs.several_classes else [[i] for i in everything]
        for numbers in together:
            found = self._stages([prepared[i] for i in numbers], image, encoded, settings)
            while (item := clock.next(found)) is not None:
                number, stage = numbers[item[0]], item[1]
                stages[number].append(stage)
                yield number, stage
        with clock:
            predictions = settle(
                prepared,
                stages,
                overlaps=settings.overlaps,
                threshold=settings.threshold,
                presence_threshold=None if settings.assume_present else self.preset.presence_threshold,
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
        self, group: Sequence[Prepared], image: Image, encoded: Encoded, settings: Settings
    ) -> Iterator[tuple[int, Stage]]:
        """The stages of classes that the method reads together, each with its number in the group."""
        present = settings.assume_present
        stages = QueryStages(
            method=self.method,
            steps=lambda group, part, seen, sure: self.steps(group, (part, seen), assume_present=sure),
            encode=self._encode,
            edges=self.edges,
            snap=settings.snap,
            again=(0.0 if present else self.preset.presence_threshold) if settings.second_look else None,
        )
        return stages.make(group, image, encoded, present)

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
