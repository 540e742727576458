"""mini: one small vision transformer behind both contracts, shipped with this project.

One pass over a picture gives two maps at stride 16: features for matching, and the log odds of every concept
of a vocabulary. A phrase is looked up in the vocabulary; there is no text tower. The network itself is in
``mini_network``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import torch
from torch import Tensor

from ..errors import WeightsMismatch
from ..labels import WEAK
from ..weights import load_into, load_model
from .int8 import float_state
from .judge import Judge
from .mini_network import Maps, Mini, MiniConfig, log_odds
from .vocabulary import Vocabulary

JUDGE = ("presence.weight", "presence.bias")  # tensors of ``Judge`` beside the network's; may be absent


class MiniText:
    """The text side of mini: a VisionLanguage tower.

    A dense cell holds the log odds of the V concepts, and behind them the class token of the whole picture.
    No phrase asks for the latter: rows of text are zero there. The judge of presence reads it.
    """

    name = "mini"
    logit_scale = 1.0  # the inner product of a row and a cell is a logit already

    def __init__(self, network: Mini, vocabulary: Vocabulary, judge: Judge | None = None):
        self.network, self.vocabulary, self.judge = network, vocabulary, judge
        self.concepts = network.config.concepts
        self.dim = self.concepts + network.config.dim

    def encode_text(self, phrases: Sequence[str]) -> Tensor:
        """V phrases -> (V, D): one at the concept's place, and zero rows (logit 0) for unknown words."""
        rows = torch.zeros(len(phrases), self.dim, device=self.network.shown.weight.device)
        for row, phrase in zip(rows, phrases):
            match = self.vocabulary.resolve(phrase)
            if match is not None:
                row[match.index] = 1
        return rows

    @torch.no_grad()
    def encode_dense(self, pixels: Tensor) -> Tensor:
        """(B, 3, H, W) in [0, 1] -> (B, D, H/16, W/16)."""
        return self.cells(self.network(pixels))

    def cells(self, maps: Maps) -> Tensor:
        """What a pass through the network gives as dense cells.

        Returns:
            (B, V + dim, h, w): log odds of each concept in each cell, raised as far as the judge of presence
            asks for, and the class token of the whole picture behind them.
        """
        h, w = maps.concepts.shape[-2:]
        odds = log_odds(maps.concepts)  # (B, V, h, w)
        if self.judge is not None:
            odds = self.judge.raise_cells(self.network.shown(maps.whole), odds)
        whole = maps.whole[:, :, None, None].expand(-1, -1, h, w)  # (B, dim, h, w)
        return torch.cat((odds, whole), 1)

    def text_trust(self, phrase: str) -> float:
        """The concept's trust; less for a kind of it ("beagle" for dog); 0 for an unknown word."""
        match = self.vocabulary.resolve(phrase)
        return 0.0 if match is None else match.trust

    @torch.no_grad()
    def presence(self, phrases: Sequence[str], dense: Tensor) -> Tensor | None:
        """How sure the picture as a whole makes one that it shows the label; None if no word is trusted.

        Args:
            phrases: names of one label; the surest counts.
            dense: (B, D, h, w) of ``encode_dense``.

        Returns:
            (B,) in [0, 1].
        """
        found = [self.vocabulary.resolve(phrase) for phrase in phrases]
        # A word that is not trusted is searched for by its marks, so its judge has no say either.
        trust = {match.index: match.trust for match in found if match and match.trust > 0}  # of each concept
        judge = self.judge
        if judge is None or not trust or not all(judge.has_learnt(c) for c in trust):
            return None
        whole = self.network.shown(dense[:, self.concepts :, 0, 0])  # (B, V)
        judged = {c: judge(whole[:, c], dense[:, c], c) for c in trust}  # (B,) each
        return torch.stack([_less_careful(p) if trust[c] < WEAK else p for c, p in judged.items()]).amax(0)

    def competitors(self, phrases: Sequence[str]) -> tuple[str, ...]:
        """None: a concept's log odds are against all others of the vocabulary already."""
        return ()


def _less_careful(presence: Tensor) -> Tensor:
    """(B,) twice the odds, for words whose judge rests on other words.

    Such a judge is too careful: of held-out training photos with cats and cows, which the network had not
    learnt, it kept 80 % at the limit of 0.1. With twice the odds it keeps 93 %, and empties 91 % of others.
    """
    return 2 * presence / (1 + presence)


class MiniFeatures:
    """The matching side of mini: a Backbone."""

    name = "mini"

    def __init__(self, network: Mini):
        self.network = network
        self.channels = (network.config.match_dim,)

    @torch.no_grad()
    def __call__(self, pixels: Tensor) -> tuple[Tensor, ...]:
        """(B, 3, H, W) in [0, 1] -> one (B, match_dim, H/16, W/16), unit per cell."""
        return (self.network(pixels).match,)


class MiniEncoder:
    """Both sides of mini, from one pass.

    Attributes:
        vlm: the VisionLanguage contract.
        backbone: the Backbone contract.
        vocabulary: names and what they mean.
    """

    def __init__(self, network: Mini, vocabulary: Vocabulary, judge: Judge | None = None):
        self.network = network.eval().requires_grad_(False)
        self.vocabulary = vocabulary
        self.vlm = MiniText(self.network, vocabulary, judge)
        self.backbone = MiniFeatures(self.network)

    @torch.no_grad()
    def encode(self, pixels: Tensor) -> tuple[Tensor, tuple[Tensor, ...]]:
        """What ``vlm.encode_dense`` and ``backbone`` give, in one pass.

        Args:
            pixels: (B, 3, H, W) in [0, 1].

        Returns:
            (B, D, h, w) and one (B, match_dim, h, w), at stride 16.
        """
        maps = self.network(pixels)
        return self.vlm.cells(maps), (maps.match,)


def mini_config(network: Mini, vocabulary: Vocabulary) -> dict[str, object]:
    """What ``config.json`` holds beside the weights."""
    return {
        "network": asdict(network.config),
        "concepts": [asdict(c) for c in vocabulary.concepts],
        "near": dict(vocabulary.near),
    }


def load_mini(
    folder: Path | str = "mini", *, device: str | torch.device = "cpu", models_dir: Path | str | None = None
) -> MiniEncoder:
    """Load mini from a folder with ``config.json`` and ``model.safetensors``.

    Args:
        folder: a folder, or the name of one in the models folder.
        device: where it runs.
        models_dir: the models folder, if not ``assets/models``.

    Raises:
        WeightsUnavailable: the folder is missing or its files cannot be read.
        WeightsMismatch: the weights are not this network's.
    """
    config, state = load_model(folder, models_dir=models_dir)
    vocabulary = Vocabulary.from_json(config["concepts"], config.get("near"))
    try:
        network = Mini(MiniConfig(**config["network"]))
    except (TypeError, KeyError) as error:
        raise WeightsMismatch(
            f"The model '{folder}' was made for another version of mini ({error}). Get this version's."
        ) from error
    weight, bias = (state.pop(name, None) for name in JUDGE)
    load_into(network, float_state(state), source="mini")
    judge = None
    if weight is not None and bias is not None:
        judge = Judge(weight.float().to(device), bias.float().to(device))
    return MiniEncoder(network.to(device), vocabulary, judge)
