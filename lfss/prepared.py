"""A class ready to be searched for, and the file that keeps it."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from .atomic import write_atomically
from .class_file import check_parts, read_parts
from .errors import InputError
from .images import resize_to
from .labels import Label
from .methods import THUMBNAIL_SIDE, EpisodeClass, Pictures, map_tensors
from .phrases import Phrases
from .text import escaped

FORMAT = "lfss-class-2"
FORMER = "lfss-class-1"  # without method, roles and auxiliary pictures; LFSS was the only method


@dataclass(frozen=True, eq=False)
class Prepared:
    """A class ready to be searched for: encoded supports and the label's text.

    Attributes:
        label: what was typed.
        preset: name of the preset that encoded it.
        method: name of the method that prepared it.
        phrases: what the text tower is asked.
        text: (V, D) rows of these phrases.
        encoded: the class as methods read it, B = 1 and without a query.
        names, digests, sizes: of the support pictures; sizes are (H, W) in pixels.
        thumbnails: (h, w, 3) uint8 pictures of the supports, for people.
        presence_offset: added to the logit of the text tower's own presence, where it doubts even
            supports that a person has marked.
    """

    label: Label
    preset: str
    method: str
    phrases: Phrases
    text: Tensor
    encoded: EpisodeClass
    names: tuple[str, ...]
    digests: tuple[str, ...]
    sizes: tuple[tuple[int, int], ...]
    thumbnails: tuple[npt.NDArray[np.uint8], ...]
    presence_offset: float

    @property
    def text_trust(self) -> float:
        """How far the words may be trusted, in [0, 1]."""
        return float(self.encoded.text_trust[0])

    @property
    def cells(self) -> tuple[int, int]:
        """Rows and columns of the finest backbone level."""
        return self.encoded.known.shape[-2], self.encoded.known.shape[-1]

    @property
    def nbytes(self) -> int:
        """Bytes of memory that the class takes."""
        sizes: list[int] = [t.nbytes for t in self.thumbnails]

        def count(tensor: Tensor) -> Tensor:
            sizes.append(tensor.element_size() * tensor.nelement())
            return tensor

        map_tensors((self.text, self.encoded), count)
        return sum(sizes)

    def to(self, device: str | torch.device) -> Prepared:
        """The class with all its tensors on a device."""
        text, encoded = map_tensors((self.text, self.encoded), lambda t: t.to(device))
        return replace(self, text=text, encoded=encoded)

    def without_text(self) -> Prepared:
        """The class as if the text tower did not know its words."""
        trust = torch.zeros_like(self.encoded.text_trust)
        return replace(self, encoded=replace(self.encoded, text_trust=trust, prepared=None))

    def joined_with(self, other: Prepared) -> Prepared:
        """The class with the supports of another one of the same preset, method and phrases after its own.

        What the method has made of the supports is to be made anew (``Predictor.refreshed``).

        Raises:
            InputError: the other class is asked with other phrases.
        """
        if (self.preset, self.method, self.phrases) != (other.preset, other.method, other.phrases):
            raise InputError(
                f"The supports of '{self.label.text}' and '{other.label.text}' cannot be used together: they "
                "were prepared with other words or another model. Prepare both again."
            )
        mine, more = self.encoded, other.encoded
        one = replace(
            mine,
            supports=_side_by_side(mine.supports, more.supports),
            known=torch.cat((mine.known, more.known), 1),
            unknown=torch.cat((mine.unknown, more.unknown), 1),
            prepared=None,
        )
        return replace(
            self,
            encoded=one,
            names=self.names + other.names,
            digests=self.digests + other.digests,
            sizes=self.sizes + other.sizes,
            thumbnails=self.thumbnails + other.thumbnails,
            presence_offset=max(self.presence_offset, other.presence_offset),
        )

    def save(self, path: Path | str) -> Path:
        """Write a small safetensors file, atomically."""
        from safetensors.torch import save_file

        path, one = Path(path), self.encoded
        tensors = {"text": self.text, "known": one.known, "unknown": one.unknown}
        tensors |= {"logits": one.supports.logits}
        tensors |= {f"features.{i}": level for i, level in enumerate(one.supports.features)}
        if one.auxiliary is not None:
            tensors |= {"auxiliary.logits": one.auxiliary.logits}
            tensors |= {f"auxiliary.features.{i}": f for i, f in enumerate(one.auxiliary.features)}
            if one.auxiliary.thumbnails is not None:
                tensors |= {"auxiliary.thumbnails": one.auxiliary.thumbnails}
        tensors = {k: v.detach().half().cpu().contiguous() for k, v in tensors.items()}
        tensors |= {f"thumbnail.{i}": torch.from_numpy(t.copy()) for i, t in enumerate(self.thumbnails)}
        label = self.label
        about = {
            "format": FORMAT,
            "label": [label.text, label.synonyms, label.distractors],
            "preset": self.preset,
            "method": self.method,
            "phrases": self.phrases.words,
            "roles": self.phrases.roles,
            "text_trust": self.text_trust,
            "names": self.names,
            "digests": self.digests,
            "sizes": self.sizes,
            "presence_offset": self.presence_offset,
        }
        write_atomically(path, lambda part: save_file(tensors, part, metadata={"lfss": json.dumps(about)}))
        return path

    @classmethod
    def load(cls, path: Path | str, *, device: str | torch.device = "cpu") -> Prepared:
        """Read a file written by ``save``; the method prepares the supports anew where it is used.

        Raises:
            InputError: the file is missing, damaged, or not a saved class.
        """
        about, tensors = read_parts(path)
        if about.get("format") not in (FORMAT, FORMER):
            raise InputError(
                f"'{Path(path).name}' was not saved by this version of the program (its format is "
                f"'{str(about.get('format'))[:40]}'; '{FORMAT}' was expected). Save the class again."
            )
        try:
            about = _as_current(about)
            check_parts(about, tensors)
        except (LookupError, TypeError, ValueError, AttributeError, OverflowError) as error:
            problem = f"it has no {error}" if isinstance(error, KeyError) else error
            raise InputError(
                f"'{Path(path).name}' cannot be used as a saved class: {problem}. It is damaged or was "
                "changed; save the class again."
            ) from error
        return _read(about, {key: tensor.to(device) for key, tensor in tensors.items()})


def small_pictures(thumbnails: tuple[npt.NDArray[np.uint8], ...], device: str | torch.device) -> Tensor:
    """(1, P, 3, 100, 100) in [0, 1], as ``Pictures.thumbnails``."""
    pictures = [torch.from_numpy(resize_to(t, THUMBNAIL_SIDE)) for t in thumbnails]
    return torch.stack(pictures)[None].to(device)


def _side_by_side(one: Pictures, other: Pictures) -> Pictures:
    """The pictures of both, (B, P, ...) each."""
    thumbnails = None
    if one.thumbnails is not None and other.thumbnails is not None:
        thumbnails = torch.cat((one.thumbnails, other.thumbnails), 1)
    levels = zip(one.features, other.features, strict=True)
    return Pictures(
        tuple(torch.cat(pair, 1) for pair in levels), torch.cat((one.logits, other.logits), 1), thumbnails
    )


def _as_current(about: dict[str, Any]) -> dict[str, Any]:
    """What a file of the former format says, in the words of the current one."""
    if about["format"] == FORMAT:
        return about
    own = int(about["foreground"])
    roles = [1] * own + [-1] * (len(about["phrases"]) - own)
    return {**about, "method": "lfss", "roles": roles, "presence_offset": about.get("lift", 0.0)}


def _read(about: dict[str, Any], tensors: dict[str, Tensor]) -> Prepared:
    """A class from what a file holds; raises KeyError, TypeError or ValueError where something is missing."""
    text, synonyms, distractors = about["label"]
    trust = float(about["text_trust"])
    phrases = Phrases(tuple(about["phrases"]), tuple(int(role) for role in about["roles"]), trust)
    thumbnails = tuple(tensors[f"thumbnail.{i}"].cpu().numpy() for i in range(len(about["names"])))
    known = tensors["known"].float()
    device = known.device
    supports = Pictures(
        _levels(tensors, "features"), tensors["logits"].float(), small_pictures(thumbnails, device)
    )
    auxiliary = None
    if "auxiliary.logits" in tensors:
        shown = tensors.get("auxiliary.thumbnails")
        auxiliary = Pictures(
            _levels(tensors, "auxiliary.features"),
            tensors["auxiliary.logits"].float(),
            None if shown is None else shown.float(),
        )
    return Prepared(
        label=Label(text, tuple(synonyms), tuple(distractors)),
        preset=about["preset"],
        method=about["method"],
        phrases=phrases,
        text=tensors["text"].float(),
        encoded=EpisodeClass(
            supports=supports,
            known=known,
            unknown=tensors["unknown"].float(),
            phrase_roles=phrases.roles_tensor(device),
            text_trust=torch.tensor([trust], device=device),
            known_present=torch.tensor([False], device=device),
            auxiliary=auxiliary,
        ),
        names=tuple(map(escaped, about["names"])),
        digests=tuple(about["digests"]),
        sizes=tuple((int(h), int(w)) for h, w in about["sizes"]),
        thumbnails=thumbnails,
        presence_offset=float(about["presence_offset"]),
    )


def _levels(tensors: dict[str, Tensor], name: str) -> tuple[Tensor, ...]:
    count = max(1, sum(key.startswith(f"{name}.") for key in tensors))
    return tuple(tensors[f"{name}.{i}"].float() for i in range(count))
