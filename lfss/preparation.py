"""From a label and its pictures to a class ready to be searched for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from .encoding import Encoded, phrase_logits, presence_offset
from .errors import SupportError
from .images import Image
from .labels import Label
from .methods import EpisodeClass, Method, Pictures
from .phrases import Phrases
from .prepared import Prepared, small_pictures
from .presets import Encoders
from .support import Support, shares_of_cells

_SHOWN_SIDE = 256  # pixels of a support's picture that is kept for people


@dataclass(frozen=True, eq=False)
class Preparation:
    """What classes are prepared with.

    Attributes:
        preset: its name.
        encoders: of the preset.
        method: on the device.
        device: where the classes lie.
    """

    preset: str
    encoders: Encoders
    method: Method
    device: str

    def check(
        self, label: Label, supports: Sequence[Support], phrases: Phrases, auxiliary: Sequence[Image]
    ) -> None:
        """Raise a SupportError unless the method can begin with what it is given.

        Args:
            label: what is searched for.
            supports: its pictures with their marks.
            phrases: its words, as the text tower takes them.
            auxiliary: pictures that are only known to show it.
        """
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
                f"The preset '{self.preset}' does not know the word '{label.text}', so a photo alone "
                "does not tell what to look for. Draw a box, a scribble or a mask on one support, or "
                "add a known synonym after a comma."
            )

    def prepare(
        self,
        label: Label,
        phrases: Phrases,
        supports: Sequence[Support],
        encode: Callable[[Image], Encoded],
        auxiliary: Sequence[Image],
    ) -> Prepared:
        """A class from its examples.

        Args:
            label: what was typed.
            phrases: what the text tower is asked for it.
            supports: pictures that show it.
            encode: a picture to its encoding, which may be kept from another class.
            auxiliary: pictures only known to show it.
        """
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
            preset=self.preset,
            method=self.method.name,
            phrases=phrases,
            text=text,
            encoded=one,
            names=tuple(s.image.name for s in supports),
            digests=tuple(s.image.digest for s in supports),
            sizes=tuple(s.image.size for s in supports),
            thumbnails=thumbnails,
            presence_offset=presence_offset(self.encoders.vlm, phrases.own, marked),
        )

    def _pictures(self, encoded: Sequence[Encoded], text: Tensor, thumbnails: Tensor | None) -> Pictures:
        """P encoded pictures with the logits of some phrases."""
        return Pictures(
            tuple(torch.stack(level, 1) for level in zip(*(e.levels for e in encoded))),
            torch.stack([phrase_logits(self.encoders.vlm, e.dense, text) for e in encoded], 1),
            torch.stack([e.thumbnail for e in encoded], 1) if thumbnails is None else thumbnails,
        )


def _shrunk(image: Image) -> npt.NDArray[np.uint8]:
    """The picture at 256 pixels on the long side, (h, w, 3) uint8."""
    height, width = image.size
    shrink = min(1.0, _SHOWN_SIDE / max(height, width))
    size = (max(1, round(width * shrink)), max(1, round(height * shrink)))
    return np.asarray(cv2.resize(image.pixels, size, interpolation=cv2.INTER_AREA), np.uint8)
