"""mini: one small convolutional trunk behind both contracts, trained by this project, shipped with it.

One pass over a picture gives two maps at stride 8: features for matching, and text evidence for a
vocabulary of concepts. A phrase is looked up in the vocabulary; there is no text tower.

The trunk follows MobileNetV4-Conv-S (Qin et al. 2024, arXiv:2404.10518): of the networks of its speed
on a laptop's cores it learns most in an hour. A feature pyramid brings stride 32 back to stride 8.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..weights import load_into, load_model
from .judge import Judge
from .pixels import to_tower
from .vocabulary import Vocabulary

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
STRIDE, MULTIPLE = 8, 32  # of the maps; of the side lengths that the trunk takes
JUDGE = ("presence.weight", "presence.bias")  # tensors of ``Judge`` beside the network's; may be absent


@dataclass(frozen=True)
class MiniConfig:
    """What the network is built from.

    Attributes:
        width: channels between trunk and heads.
        match_dim: channels of the matching features.
        text_dim: channels of the text evidence.
        logit_scale: turns cosines of cells and concepts into logits; 0 means "no more likely than not".
        concepts: how many concepts the vocabulary has.
    """

    width: int = 128
    match_dim: int = 96
    text_dim: int = 96
    logit_scale: float = 16.0
    concepts: int = 1


def conv(cin: int, cout: int, kernel: int = 1, *, stride: int = 1, groups: int = 1) -> nn.Sequential:
    """Convolution and batch norm, no activation."""
    return nn.Sequential(
        nn.Conv2d(cin, cout, kernel, stride, kernel // 2, groups=groups, bias=False), nn.BatchNorm2d(cout)
    )


def conv_relu(cin: int, cout: int, kernel: int = 1, *, stride: int = 1, groups: int = 1) -> nn.Sequential:
    """Convolution, batch norm, ReLU."""
    return nn.Sequential(*conv(cin, cout, kernel, stride=stride, groups=groups), nn.ReLU(inplace=True))


class InvertedBottleneck(nn.Module):
    """Depthwise (optional), expand, depthwise (optional), project; a skip where shapes allow.

    Args:
        before: kernel of the depthwise convolution before the expansion, 0 for none.
        middle: kernel of the one after it, 0 for none.
        stride: of the last depthwise convolution present, in the middle if there is one.
    """

    def __init__(self, cin: int, cout: int, *, before: int, middle: int, expand: int, stride: int = 1):
        super().__init__()
        inner = cin * expand
        layers: list[nn.Module] = []
        if before:
            layers.append(conv(cin, cin, before, stride=1 if middle else stride, groups=cin))
        layers.append(conv_relu(cin, inner))
        if middle:
            layers.append(conv_relu(inner, inner, middle, stride=stride, groups=inner))
        self.layers = nn.Sequential(*layers, conv(inner, cout))
        self.skip = stride == 1 and cin == cout

    def forward(self, x: Tensor) -> Tensor:
        """(B, cin, h, w) -> (B, cout, h / stride, w / stride)."""
        y = self.layers(x)
        return x + y if self.skip else y


class Trunk(nn.Module):
    """Pixels to features at strides 8, 16 and 32, with 64, 96 and 128 channels."""

    channels = (64, 96, 128)

    def __init__(self) -> None:
        super().__init__()
        block = InvertedBottleneck
        self.fine = nn.Sequential(
            conv_relu(3, 32, 3, stride=2),
            conv_relu(32, 32, 3, stride=2),
            conv_relu(32, 32),
            conv_relu(32, 96, 3, stride=2),
            conv_relu(96, 64),
        )
        self.middle = nn.Sequential(
            block(64, 96, before=5, middle=5, expand=3, stride=2),
            *(block(96, 96, before=0, middle=3, expand=2) for _ in range(4)),
            block(96, 96, before=3, middle=0, expand=4),
        )
        self.coarse = nn.Sequential(
            block(96, 128, before=3, middle=3, expand=6, stride=2),
            block(128, 128, before=5, middle=5, expand=4),
            block(128, 128, before=0, middle=5, expand=4),
            block(128, 128, before=0, middle=5, expand=3),
            block(128, 128, before=0, middle=3, expand=4),
            block(128, 128, before=0, middle=3, expand=4),
        )

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(B, 3, H, W), sides multiples of 32 -> (B, 64, H/8, W/8), (B, 96, H/16, ..), (B, 128, H/32, ..)."""
        fine = self.fine(x)
        middle = self.middle(fine)
        return fine, middle, self.coarse(middle)


class Neck(nn.Module):
    """A feature pyramid: what stride 32 knows, where stride 8 sees it."""

    def __init__(self, channels: Sequence[int], width: int):
        super().__init__()
        self.lateral = nn.ModuleList(conv(c, width) for c in channels)
        self.whole = nn.Linear(channels[-1], width)  # what the whole picture shows
        self.smooth = nn.ModuleList(
            nn.Sequential(conv_relu(width, width, 5, groups=width), conv_relu(width, width)) for _ in range(2)
        )

    def forward(self, levels: Sequence[Tensor]) -> Tensor:
        """Features from fine to coarse -> (B, width, h, w) at the finest one's size."""
        x = self.lateral[-1](levels[-1]) + self.whole(levels[-1].mean((2, 3)))[:, :, None, None]
        for level, lateral, smooth in zip(levels[-2::-1], self.lateral[-2::-1], self.smooth):
            x = F.interpolate(F.relu(x), level.shape[-2:], mode="bilinear", align_corners=False)
            y = lateral(level) + x
            x = y + smooth(y)
        return F.relu(x)


class Mini(nn.Module):
    """The network: trunk, neck, a head for matching, a head for text evidence, a table of concepts."""

    def __init__(self, config: MiniConfig):
        super().__init__()
        self.config = config
        self.trunk = Trunk()
        self.neck = Neck(Trunk.channels, config.width)
        self.match = nn.Conv2d(config.width, config.match_dim, 1)
        self.evidence = nn.Sequential(
            conv_relu(config.width, config.width, 3, groups=config.width),
            conv_relu(config.width, 2 * config.width),
            nn.Conv2d(2 * config.width, config.text_dim, 1),
        )
        self.table = nn.Parameter(F.normalize(torch.randn(config.concepts, config.text_dim), dim=1))

    def maps(self, pixels: Tensor) -> Tensor:
        """(B, 3, H, W) in [0, 1] -> (B, width, H/8, W/8), what both heads read."""
        device = self.table.device
        x = to_tower(pixels, multiple=MULTIPLE, mean=MEAN, std=STD, device=device)
        return self.neck(self.trunk(x.contiguous(memory_format=torch.channels_last)))

    def heads(self, maps: Tensor) -> tuple[Tensor, Tensor]:
        """(B, width, h, w) -> evidence (B, text_dim, h, w), features (B, match_dim, h, w), unit cells."""
        return F.normalize(self.evidence(maps), dim=1), F.normalize(self.match(maps), dim=1)

    def forward(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """(B, 3, H, W) in [0, 1] -> text evidence and features, unit vectors in each cell."""
        return self.heads(self.maps(pixels))

    def concept_logits(self, dense: Tensor) -> Tensor:
        """Text evidence (B, text_dim, h, w) -> logit of each concept (B, V, h, w)."""
        table = F.normalize(self.table, dim=1)
        return self.config.logit_scale * torch.einsum("bdhw,vd->bvhw", dense, table)


class MiniText:
    """The text side of mini: a VisionLanguage tower.

    A dense cell holds the text evidence, a unit vector, and behind it the maps that it was read from. No
    phrase asks for these: rows of text are zero there. The judge of presence reads them.
    """

    name = "mini"

    def __init__(self, network: Mini, vocabulary: Vocabulary, judge: Judge | None = None):
        self.network, self.vocabulary, self.judge = network, vocabulary, judge
        self.parts = network.config.text_dim, network.config.width
        self.dim = sum(self.parts)
        self.logit_scale = network.config.logit_scale

    def encode_text(self, phrases: Sequence[str]) -> Tensor:
        """V phrases -> (V, D): unit rows, and zero rows (logit 0) for words outside the vocabulary."""
        table = F.normalize(self.network.table.detach(), dim=1)
        rows = torch.zeros(len(phrases), self.dim, device=table.device)
        for row, phrase in zip(rows, phrases):
            match = self.vocabulary.resolve(phrase)
            if match is not None:
                row[: table.shape[1]] = table[match.index]
        return rows

    @torch.no_grad()
    def encode_dense(self, pixels: Tensor) -> Tensor:
        """(B, 3, H, W) in [0, 1] -> (B, D, H/8, W/8)."""
        maps = self.network.maps(pixels)
        return torch.cat((self.network.heads(maps)[0], maps), 1)

    def familiarity(self, phrase: str) -> float:
        """The concept's measured trust; less for a kind of it ("beagle" for dog); 0 for an unknown word."""
        match = self.vocabulary.resolve(phrase)
        return 0.0 if match is None else match.familiarity

    def presence(self, phrases: Sequence[str], dense: Tensor) -> Tensor | None:
        """How sure the picture as a whole makes one that it shows the label; None if no word is believed.

        Args:
            phrases: names of one label; the surest counts.
            dense: (B, D, h, w) of ``encode_dense``.

        Returns:
            (B,) in [0, 1].
        """
        found = [self.vocabulary.resolve(phrase) for phrase in phrases]
        # A word that is not believed is searched for by its marks, so its judge has no say either.
        concepts = {match.index for match in found if match and match.familiarity > 0}
        judge = self.judge
        if judge is None or not concepts or not all(judge.knows(c) for c in concepts):
            return None
        evidence, maps = dense.split(list(self.parts), 1)
        logits = self.network.concept_logits(evidence)
        return torch.stack([judge(maps, logits[:, c], c) for c in concepts]).amax(0)

    def competitors(self, phrases: Sequence[str]) -> tuple[str, ...]:
        """None by default: a concept's logit is trained to be 0 between "shown here" and "not", so it
        needs no rival. Two hundred others, each a little likely everywhere, would outvote it."""
        return ()


class MiniFeatures:
    """The matching side of mini: a Backbone."""

    name = "mini"
    strides = (STRIDE,)

    def __init__(self, network: Mini):
        self.network = network
        self.channels = (network.config.match_dim,)

    @torch.no_grad()
    def __call__(self, pixels: Tensor) -> tuple[Tensor, ...]:
        """(B, 3, H, W) in [0, 1] -> one (B, match_dim, H/8, W/8), unit per cell."""
        return (self.network(pixels)[1],)


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
            (B, D, h, w) and one (B, match_dim, h, w), at stride 8.
        """
        maps = self.network.maps(pixels)
        evidence, features = self.network.heads(maps)
        return torch.cat((evidence, maps), 1), (features,)


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
    network = Mini(MiniConfig(**config["network"]))
    state = {k: v.float() if v.is_floating_point() else v for k, v in state.items()}
    learnt = [state.pop(name, None) for name in JUDGE]
    load_into(network, state, source="mini")
    weight, bias = (None if t is None else t.to(device) for t in learnt)
    judge = None if weight is None or bias is None else Judge(weight, bias)
    return MiniEncoder(network.to(device), vocabulary, judge)
