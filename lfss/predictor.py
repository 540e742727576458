"""Supports once, queries many: from pictures and a label to masks and every map."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from .atomic import write_atomically
from .decoders import load_decoder
from .edges import to_pixels
from .encoders import VisionLanguage
from .errors import InputError, NoForeground, SupportError, WeightsMismatch
from .images import Image, resize_to
from .labels import Label, competitors
from .methods import PICTURE, Episode, Lfss, Step, SupportSide
from .presets import Encoders, Preset, find_preset
from .reasoning import make_stage, stages_of
from .stages import Prediction, Stage

THUMBNAIL = 256
FORMAT = "lfss-class-1"


@dataclass(frozen=True, eq=False)
class Support:
    """A picture that shows the object, and what a person marked in it.

    Attributes:
        image: the picture.
        known: (H, W) int8 at the picture's size: 1 object, 0 not object, -1 unknown. None: nothing is
            marked, the label alone speaks.

    Raises:
        SupportError: the marks do not fit the picture, or mark nothing.
    """

    image: Image
    known: npt.NDArray[np.int8] | None = None

    def __post_init__(self) -> None:
        if self.known is None:
            return
        if self.known.shape != self.image.size:
            raise SupportError(
                f"The marks for '{self.image.name}' are {self.known.shape}, the picture is "
                f"{self.image.size} (rows, columns). Make them at the picture's own size."
            )
        if not (self.known == 1).any() and not ((self.known == 0).any() and (self.known == -1).any()):
            raise SupportError(
                f"The marks for '{self.image.name}' show no object. Mark some of it, or give the label only."
            )

    @classmethod
    def from_mask(cls, image: Image, mask: npt.NDArray[np.bool_]) -> Support:
        """Every pixel is known. ``mask`` (H, W) bool."""
        return cls(image, np.asarray(mask, bool).astype(np.int8))

    @classmethod
    def from_box(cls, image: Image, box: tuple[float, float, float, float]) -> Support:
        """The object lies inside ``(x0, y0, x1, y1)``, in pixels; outside is not object.

        Raises:
            SupportError: the box has no area inside the picture.
        """
        height, width = image.size
        x0, x1 = (round(min(max(v, 0), width)) for v in (min(box[0], box[2]), max(box[0], box[2])))
        y0, y1 = (round(min(max(v, 0), height)) for v in (min(box[1], box[3]), max(box[1], box[3])))
        if x0 >= x1 or y0 >= y1:
            raise SupportError(
                f"The box {tuple(box)} has no area inside '{image.name}' ({width} x {height} pixels). "
                "Give x0,y0,x1,y1 in pixels."
            )
        known = np.zeros(image.size, np.int8)
        known[y0:y1, x0:x1] = -1
        if not (known == 0).any():  # a box around everything says nothing about the background
            return cls(image)
        return cls(image, known)

    @classmethod
    def from_scribbles(
        cls, image: Image, object: npt.NDArray[np.bool_], background: npt.NDArray[np.bool_] | None = None
    ) -> Support:
        """Strokes on the object and, optionally, on the background; the rest is unknown. (H, W) bool."""
        known = np.where(np.asarray(object, bool), 1, -1).astype(np.int8)
        if background is not None:
            known[np.asarray(background, bool)] = 0
        return cls(image, known)


@dataclass(frozen=True, eq=False)
class Prepared:
    """A class ready to be searched for: encoded supports and the label's text.

    Attributes:
        label: what was typed.
        preset: name of the preset that encoded it.
        text: (V, D) rows of the phrases; the first ``foreground`` name the label.
        phrases: those phrases.
        text_trust: how far the text may be believed, in [0, 1].
        logits, features, known, unknown: the support side of an Episode with B = 1.
        names, digests, sizes: of the support pictures; sizes are (H, W) in pixels.
        thumbnails: (h, w, 3) uint8 pictures of the supports, for people.
        lift: added to the logit of the text tower's own presence, where it doubts even marked supports.
        side: what the method makes of the supports alone; not saved, made again after loading.
    """

    label: Label
    preset: str
    text: Tensor
    phrases: tuple[str, ...]
    foreground: int
    text_trust: float
    logits: Tensor
    features: tuple[Tensor, ...]
    known: Tensor
    unknown: Tensor
    names: tuple[str, ...]
    digests: tuple[str, ...]
    sizes: tuple[tuple[int, int], ...]
    thumbnails: tuple[npt.NDArray[np.uint8], ...]
    lift: float = 0.0
    side: SupportSide | None = None

    def picture(self, index: int) -> Tensor:
        """(1, 3, 100, 100) in [0, 1] of one support, as ``Episode.query_picture`` wants it."""
        return torch.from_numpy(resize_to(self.thumbnails[index], PICTURE))[None].to(self.known.device)

    def save(self, path: Path | str) -> Path:
        """Write a small safetensors file, atomically."""
        from safetensors.torch import save_file

        path = Path(path)
        tensors = {"text": self.text, "logits": self.logits, "known": self.known, "unknown": self.unknown}
        tensors |= {f"features.{i}": f for i, f in enumerate(self.features)}
        tensors = {k: v.detach().half().cpu().contiguous() for k, v in tensors.items()}
        tensors |= {f"thumbnail.{i}": torch.from_numpy(t.copy()) for i, t in enumerate(self.thumbnails)}
        label = self.label
        about = {
            "format": FORMAT,
            "label": [label.text, label.synonyms, label.distractors],
            "preset": self.preset,
            "phrases": self.phrases,
            "foreground": self.foreground,
            "text_trust": self.text_trust,
            "names": self.names,
            "digests": self.digests,
            "sizes": self.sizes,
            "lift": self.lift,
        }
        write_atomically(path, lambda part: save_file(tensors, part, metadata={"lfss": json.dumps(about)}))
        return path

    @classmethod
    def load(cls, path: Path | str, *, device: str | torch.device = "cpu") -> Prepared:
        """Read a file written by ``save``.

        Raises:
            InputError: the file is missing, damaged, or not a saved class.
        """
        from safetensors import SafetensorError, safe_open

        try:
            with safe_open(str(path), "pt", device=str(device)) as file:
                about = json.loads((file.metadata() or {}).get("lfss", "{}"))
                tensors = {k: file.get_tensor(k) for k in file.keys()}  # noqa: SIM118
            if not isinstance(about, dict) or about.get("format") != FORMAT:
                raise InputError(f"'{path}' is not a class saved by this program.")
            count = max(1, sum(k.startswith("features.") for k in tensors))
            text, synonyms, distractors = about["label"]
            return cls(
                label=Label(text, tuple(synonyms), tuple(distractors)),
                preset=about["preset"],
                text=tensors["text"].float(),
                phrases=tuple(about["phrases"]),
                foreground=int(about["foreground"]),
                text_trust=float(about["text_trust"]),
                logits=tensors["logits"].float(),
                features=tuple(tensors[f"features.{i}"].float() for i in range(count)),
                known=tensors["known"].float(),
                unknown=tensors["unknown"].float(),
                names=tuple(about["names"]),
                digests=tuple(about["digests"]),
                sizes=tuple((int(h), int(w)) for h, w in about["sizes"]),
                thumbnails=tuple(tensors[f"thumbnail.{i}"].cpu().numpy() for i in range(len(about["names"]))),
                lift=float(about.get("lift", 0.0)),
            )
        except (OSError, SafetensorError, KeyError, TypeError, ValueError) as error:
            if isinstance(error, InputError):
                raise
            raise InputError(f"'{path}' cannot be read as a saved class: {error}.") from error


class Predictor:
    """Weights and device; nothing of any request.

    ::

        predictor = Predictor.load("mini")
        prepared = predictor.prepare(parse_label("dog"), [Support(read_image("a.jpg"))])
        prediction = predictor.predict(prepared, read_image("b.jpg"))
    """

    def __init__(self, preset: Preset, encoders: Encoders, method: Lfss, device: str):
        self.preset, self.encoders, self.method, self.device = preset, encoders, method, device

    @classmethod
    def load(
        cls, preset: str | Preset = "mini", *, device: str = "auto", models_dir: Path | None = None
    ) -> Predictor:
        """Load a preset.

        Args:
            preset: a name of ``lfss.presets.PRESETS``, ``module:function``, or a Preset.
            device: ``auto``, ``cpu``, ``cuda``, ``mps``.
            models_dir: folder for weights put there by hand.

        Raises:
            UnknownName, WeightsError, InputError.
        """
        preset = find_preset(preset) if isinstance(preset, str) else preset
        device = pick_device(device)
        encoders = preset.load(device, models_dir)
        if preset.decoder is None:
            method = Lfss(encoders.backbone.channels, preset.method).eval().requires_grad_(False).to(device)
        else:
            method = load_decoder(
                preset.decoder, encoders.backbone, preset.method, device=device, models_dir=models_dir
            )
        return cls(preset, encoders, method, device)

    def prepare(self, label: Label, supports: Sequence[Support]) -> Prepared:
        """Encode the supports and the label, once for any number of queries.

        Raises:
            SupportError: no support; or the label is unknown and nothing is marked.
        """
        if not supports:
            raise SupportError("Add at least one support: a photo that shows the object.")
        text, phrases, foreground, trust = self._text(label)
        marked = [s for s in supports if s.known is not None]
        if trust == 0 and not marked:
            raise SupportError(
                f"The preset '{self.preset.name}' does not know the word '{label.text}', so a photo alone "
                "does not tell what to look for. Draw a box, a scribble or a mask on one support, or "
                "add a known synonym after a comma."
            )
        encoded = [self._encode(s.image) for s in supports]
        features = tuple(torch.stack(level, 1) for level in zip(*(f for _, f in encoded)))
        cells = features[0].shape[-2:]
        shares = [_cell_shares(s.known, (cells[0], cells[1])) for s in supports]
        known, unknown = (torch.from_numpy(np.stack(x))[None].to(self.device) for x in zip(*shares))
        prepared = Prepared(
            label=label,
            preset=self.preset.name,
            text=text,
            phrases=phrases,
            foreground=foreground,
            text_trust=trust,
            logits=torch.stack([self._logits(dense, text) for dense, _ in encoded], 1),
            features=features,
            known=known,
            unknown=unknown,
            names=tuple(s.image.name for s in supports),
            digests=tuple(s.image.digest for s in supports),
            sizes=tuple(s.image.size for s in supports),
            thumbnails=tuple(_thumbnail(s.image) for s in supports),
            lift=self._lift(
                phrases[:foreground], [d for (d, _), s in zip(encoded, supports) if s.known is not None]
            ),
        )
        with torch.inference_mode():
            if self.method.config.circle:
                alone = self._support_episode(prepared)
                pictures = torch.stack([prepared.picture(i) for i in range(len(supports))], 1)
                alone, _ = self.method.circle(alone, pictures)
                prepared = replace(prepared, known=alone.support_known, unknown=alone.support_unknown)
            return replace(prepared, side=self.method.support_side(self._support_episode(prepared)))

    def steps(self, prepared: Prepared, query: Image, *, assume_present: bool = False) -> Iterator[Step]:
        """The method's own steps, as tensors, for code that wants more than pictures."""
        episode = self.episode(prepared, query, assume_present=assume_present)
        steps = self.method.steps(episode)
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
        query: Image,
        *,
        threshold: float = 0.5,
        assume_present: bool = False,
        snap: bool = True,
    ) -> Iterator[Stage]:
        """Yield every stage as it is made; the last two, ``score`` and ``prediction``, are at full size.

        Args:
            prepared: of this predictor's preset.
            query: the picture to segment.
            threshold: score from which a pixel belongs to the mask, in [0, 1].
            assume_present: the query is known to show the object: never an empty first mask, no
                presence check.
            snap: move the mask's border to the picture's edges.

        Raises:
            NoForeground: no support shows the object.
            WeightsMismatch: the class was prepared by another preset.
        """
        present = True
        logits = None
        for step in self.steps(prepared, query, assume_present=assume_present):
            if step.key == "initial_mask" and not assume_present:
                present = float(step.tensors["presence"][0]) >= self.preset.presence_threshold
            if step.key == "refined_mask" and not step.tensors["support"].any():
                raise NoForeground("No support shows the object. Add another support, or mark the object.")
            if step.key == "prediction":
                logits = step.tensors["logits"][0].float().cpu().numpy()
            else:
                yield from stages_of(step, query_size=query.size, support_sizes=prepared.sizes)
        assert logits is not None
        score = to_pixels(logits, query.pixels, snap=snap)
        yield make_stage("score", query=score)
        yield make_stage("prediction", query=score >= (threshold if present else np.inf))

    def predict(
        self,
        prepared: Prepared,
        query: Image,
        *,
        threshold: float = 0.5,
        assume_present: bool = False,
        snap: bool = True,
    ) -> Prediction:
        """Drain ``iterate``; same arguments and errors."""
        start = time.perf_counter()
        stages = tuple(
            self.iterate(prepared, query, threshold=threshold, assume_present=assume_present, snap=snap)
        )
        return Prediction.collect(
            stages,
            label=prepared.label,
            preset=prepared.preset,
            threshold=threshold,
            seconds=time.perf_counter() - start,
        )

    @torch.inference_mode()
    def episode(self, prepared: Prepared, query: Image, *, assume_present: bool = False) -> Episode:
        """The Episode of one query, B = 1."""
        if prepared.preset != self.preset.name:
            raise WeightsMismatch(
                f"This class was prepared with the preset '{prepared.preset}', the model in use is "
                f"'{self.preset.name}'. Choose that preset, or prepare the class again."
            )
        dense, features = self._encode(query)
        seen = self._seen(prepared.phrases[: prepared.foreground], dense)
        return replace(
            self._support_episode(prepared),
            query_seen=None if seen is None else (seen.logit(1e-4) + prepared.lift).sigmoid(),
            query_logits=self._logits(dense, prepared.text),
            query_features=features,
            query_present=assume_present,
            query_picture=torch.from_numpy(resize_to(query, PICTURE))[None].to(self.device),
        )

    def _support_episode(self, prepared: Prepared) -> Episode:
        """The support side of an Episode; the first support stands in for the query."""
        return Episode(
            support_logits=prepared.logits,
            query_logits=prepared.logits[:, 0],
            foreground=prepared.foreground,
            support_features=prepared.features,
            query_features=tuple(f[:, 0] for f in prepared.features),
            support_known=prepared.known,
            support_unknown=prepared.unknown,
            text_trust=prepared.text_trust,
            support_side=prepared.side,
        )

    @torch.inference_mode()
    def _encode(self, image: Image) -> tuple[Tensor, tuple[Tensor, ...]]:
        pixels = torch.from_numpy(resize_to(image, self.preset.size))[None].to(self.device)
        if self.encoders.encode is not None:
            return self.encoders.encode(pixels)
        return self.encoders.vlm.encode_dense(pixels), self.encoders.backbone(pixels)

    def _seen(self, phrases: Sequence[str], dense: Tensor) -> Tensor | None:
        """How sure the text tower is that pictures show the label, if it judges that itself: (B,) or None."""
        judge = getattr(self.encoders.vlm, "presence", None)
        return judge(phrases, dense.float()) if judge else None

    def _lift(self, phrases: Sequence[str], supports: Sequence[Tensor]) -> float:
        """What brings marked supports to even odds on average; 0 if they are there, or if there is none.

        Whoever marked the object has seen it. On unmarked supports the judge may be right.
        """
        seen = [self._seen(phrases, dense) for dense in supports]
        logits = [float(s.logit(1e-4)) for s in seen if s is not None]
        return max(0.0, -sum(logits) / len(logits)) if logits else 0.0

    def _text(self, label: Label) -> tuple[Tensor, tuple[str, ...], int, float]:
        """Rows of the phrases the tower knows, the label's first; how many name it; their trust."""
        vlm = self.encoders.vlm
        own = [p for p in label.phrases if vlm.familiarity(p) > 0]
        trust = max((vlm.familiarity(p) for p in own), default=0.0)
        own = own or [label.text]
        rivals = [p for p in _competitors(vlm, label) if vlm.familiarity(p) > 0 and p not in own]
        phrases = (*own, *rivals)
        return vlm.encode_text(phrases).to(self.device), phrases, len(own), trust

    def _logits(self, dense: Tensor, text: Tensor) -> Tensor:
        return torch.einsum("bdhw,vd->bvhw", dense.float(), text) * self.encoders.vlm.logit_scale


def pick_device(device: str) -> str:
    """``auto`` is CUDA, else Apple's GPU, else the CPU.

    Raises:
        InputError: the device is not known or not here.
    """
    if device == "auto":
        if torch.cuda.is_available():
            return "cuda"
        return "mps" if torch.backends.mps.is_available() else "cpu"
    try:
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError) as error:
        raise InputError(f"The device '{device}' cannot be used here. Use 'auto' or 'cpu'.") from error
    return device


def _competitors(vlm: VisionLanguage, label: Label) -> tuple[str, ...]:
    """The label's "not" words, then what the tower proposes, else the common background words."""
    propose = getattr(vlm, "competitors", None)
    if propose is None:
        return competitors(label)
    return tuple(dict.fromkeys((*label.distractors, *propose(label.phrases))))


def _cell_shares(
    known: npt.NDArray[np.int8] | None, cells: tuple[int, int]
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Share of each cell that is known to be object, and that is not known."""
    if known is None:
        return np.zeros(cells, np.float32), np.ones(cells, np.float32)
    size = (cells[1], cells[0])
    shares = [
        cv2.resize((known == value).astype(np.float32), size, interpolation=cv2.INTER_AREA)
        for value in (1, 0)
    ]
    if not (known == -1).any():
        return shares[0], np.zeros(cells, np.float32)
    # A stroke is thinner than a cell: a cell it crosses is known by what the stroke says.
    total = shares[0] + shares[1]
    touched = total > 0.05
    obj = np.where(touched, shares[0] / np.maximum(total, 1e-6), 0.0).astype(np.float32)
    box_like = (known == 1).sum() == 0
    if box_like:  # a border cell of a box is partly unknown, not background
        unknown = np.where(total > 0.5, 0.0, 1.0).astype(np.float32)
        return np.zeros(cells, np.float32), unknown
    return obj, (~touched).astype(np.float32)


def _thumbnail(image: Image) -> npt.NDArray[np.uint8]:
    height, width = image.size
    shrink = min(1.0, THUMBNAIL / max(height, width))
    size = (max(1, round(width * shrink)), max(1, round(height * shrink)))
    return np.asarray(cv2.resize(image.pixels, size, interpolation=cv2.INTER_AREA), np.uint8)
