"""The phrases that a class is searched with, and those that compete with it, in one text tower."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from .encoders import VisionLanguage
from .labels import Label, competitors


@dataclass(frozen=True)
class Phrases:
    """What is asked of the text tower for one label.

    Attributes:
        words: V phrases that the tower knows, or the label itself where it knows none of its words.
        roles: for each of them, 1 if it names the label and -1 if it competes with it.
        trust: how far the label's words may be trusted, in [0, 1]; 0 where the tower knows none of them.
    """

    words: tuple[str, ...]
    roles: tuple[int, ...]
    trust: float

    @property
    def own(self) -> tuple[str, ...]:
        """The phrases that name the label."""
        return tuple(word for word, role in zip(self.words, self.roles) if role == 1)

    def roles_tensor(self, device: torch.device | str) -> Tensor:
        """(1, V) int8, as ``EpisodeClass.phrase_roles``."""
        return torch.tensor([self.roles], dtype=torch.int8, device=device)


def choose_phrases(vlm: VisionLanguage, label: Label) -> Phrases:
    """The words of a label that the tower knows, then the known words that compete with them."""
    own = [word for word in label.phrases if vlm.text_trust(word) > 0]
    trust = max((vlm.text_trust(word) for word in own), default=0.0)
    own = own or [label.text]
    rivals = [w for w in _competitors(vlm, label) if vlm.text_trust(w) > 0 and w not in own]
    return Phrases((*own, *rivals), (1,) * len(own) + (-1,) * len(rivals), trust)


def _competitors(vlm: VisionLanguage, label: Label) -> tuple[str, ...]:
    """The label's "not" words, then what the tower proposes, else the common background words."""
    propose = getattr(vlm, "competitors", None)
    if propose is None:
        return competitors(label)
    return tuple(dict.fromkeys((*label.distractors, *propose(label.phrases))))
