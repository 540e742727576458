"""A data set's own class names as the vocabulary of a text tower, spelled as CLIP knows them.

The paper labels every cell with one of the data set's 20 or 80 names and has no word for the background. A
tower wrapped in ``ClassNames`` does that: the other names compete with the label, and nothing else does. The
names of the classes that are tested are then among the competitors, as in the paper: whoever compares figures
says so.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from torch import Tensor

from lfss.encoders import VisionLanguage

# Names of VOC and COCO that are no English words, or are usually spelled otherwise.
SPELLED = {
    "aeroplane": "airplane",
    "diningtable": "dining table",
    "hair drier": "hair dryer",
    "motorbike": "motorcycle",
    "pottedplant": "potted plant",
    "tvmonitor": "tv monitor",
}


def spelled(name: str) -> str:
    """A class name as a text tower should read it."""
    return SPELLED.get(name, name)


class ClassNames:
    """A text tower whose words are the class names of one data set.

    Args:
        vlm: the tower.
        names: all class names of the data set.
    """

    def __init__(self, vlm: VisionLanguage, names: Iterable[str]):
        self._vlm, self._names = vlm, tuple(names)
        self.name: str = vlm.name
        self.dim: int = vlm.dim
        self.logit_scale: float = vlm.logit_scale

    def __getattr__(self, name: str) -> Any:
        # What a tower may have beyond the contract, such as a judge of presence.
        return getattr(self.__dict__["_vlm"], name)

    def encode_text(self, phrases: Sequence[str]) -> Tensor:
        """V phrases -> (V, D), each by its usual spelling."""
        return self._vlm.encode_text([spelled(phrase) for phrase in phrases])

    def encode_dense(self, pixels: Tensor) -> Tensor:
        """(B, 3, H, W) in [0, 1] -> (B, D, h, w), as the tower does."""
        return self._vlm.encode_dense(pixels)

    def text_trust(self, phrase: str) -> float:
        """How well the tower knows the phrase by its usual spelling."""
        return self._vlm.text_trust(spelled(phrase))

    def competitors(self, phrases: Sequence[str]) -> tuple[str, ...]:
        """All other class names."""
        return tuple(name for name in self._names if name not in phrases)
