"""Presets of frozen ImageNet networks, with which most tables in docs/measured.md were made.

    python -m lfss segment --preset train.teachers:vit --label dog --support a.jpg --query photos --out out

They let the method run on real photographs without CLIP. ViT-Ti is timm's, from the hub or from the models
folder; MobileNetV2 and ResNet-50 v2 lie in ``frozen`` of the models folder (see ``train.frozen.files``).
Which files were read is printed with their SHA-256.

Text evidence comes from ImageNet classifiers: the dense class scores of all ImageNet classes that a
label covers, spread along the ViT's self-similarity. They know names, not language: a label outside
their list has text trust 0.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lfss.presets import Encoders, Preset

from .frozen.mobilenet import MobileNet, load_mobilenet
from .frozen.resnet import ResNet, load_resnet
from .frozen.vit import Vit, load_vit
from .mini.concepts import imagenet_names

# Names of the label sets that the classifiers can be asked for, beside the 1,000 ImageNet names.
SPELLINGS = {
    "airplane": "aeroplane", "plane": "aeroplane", "bike": "bicycle", "couch": "sofa", "tv": "tv monitor",
    "tvmonitor": "tv monitor", "diningtable": "dining table", "pottedplant": "potted plant",
    "motorcycle": "motorbike", "puppy": "dog", "kitten": "cat", "cattle": "cow", "people": "person",
}  # fmt: skip


# Numbers of the ImageNet classes that show what a VOC label names; few for "person" and "cow".
SHOWN_BY = {
    "aeroplane": "404 895", "bicycle": "444 671", "bird": "7-24 80-100 127-146",
    "boat": "472 484 510 554 576 625 628 724 780 814 871 914", "bottle": "440 720 737 898 907",
    "bus": "654 779 874", "car": "407 436 468 511 609 627 656 661 717 734 751 817", "cat": "281-285",
    "chair": "423 559 765 857", "cow": "345-347", "dining table": "532", "dog": "151-268", "horse": "339",
    "motorbike": "665 670", "person": "981-983", "potted plant": "738", "sheep": "348-349", "sofa": "831",
    "train": "466 547 705 820 829", "tv monitor": "527 664 782 851",
}  # fmt: skip


Load = Callable[[Path | None], Vit | MobileNet | ResNet]


def class_groups(names: Sequence[str]) -> dict[str, list[int]]:
    """ImageNet class numbers by label: those of ``SHOWN_BY``, and every class under its own name."""
    groups: dict[str, list[int]] = {}
    for label, numbers in SHOWN_BY.items():
        bounds = [tuple(map(int, part.split("-"))) for part in numbers.split()]
        groups[label] = [number for pair in bounds for number in range(pair[0], pair[-1] + 1)]
    for number, name in enumerate(names):
        groups.setdefault(name.casefold(), []).append(number)
    return groups


class ClassifierText(nn.Module):
    """Dense evidence of two ImageNet classifiers, as a VisionLanguage tower.

    Channel g of a cell is the evidence for group g of ImageNet classes, in [-1, 1]: affinity-refined
    class scores, scaled to the picture's own range. A phrase's row is one-hot, a competitor that no
    classifier knows is a zero row with logit 0, so a label wins where its evidence is above the middle.
    """

    logit_scale = 6.0

    def __init__(self, vit: Vit, mobilenet: MobileNet, *, spread: bool = True) -> None:
        super().__init__()
        self.vit, self.mobilenet, self.spread = vit, mobilenet, spread
        self.name = "imagenet-classifiers" if spread else "imagenet-classifiers-raw"
        groups = class_groups(imagenet_names())
        self.merged = [classes for classes in groups.values() if len(classes) > 1]
        order = [c for c in groups.values() if len(c) > 1] + [c for c in groups.values() if len(c) == 1]
        self.single = [c[0] for c in order[len(self.merged) :]]
        self.groups = {name: order.index(classes) for name, classes in groups.items()}
        self.dim = len(order)

    def group(self, phrase: str) -> int | None:
        """The channel of a phrase, or None."""
        word = " ".join(phrase.casefold().split())
        word = SPELLINGS.get(word, word)
        for candidate in (word, word.removesuffix("s"), word.removesuffix("es")):
            if candidate in self.groups:
                return self.groups[candidate]
        return None

    def text_trust(self, phrase: str) -> float:
        """1 for a known name, 0 for any other."""
        return float(self.group(phrase) is not None)

    def competitors(self, phrases: Sequence[str]) -> tuple[str, ...]:
        """None: every map is scaled to its own range, so two of them cannot be compared."""
        return ()

    def encode_text(self, phrases: Sequence[str]) -> Tensor:
        """V phrases -> (V, D) one-hot rows; unknown ones are zero."""
        rows = torch.zeros(len(phrases), self.dim, device=next(self.vit.parameters()).device)
        for row, phrase in zip(rows, phrases):
            group = self.group(phrase)
            if group is not None:
                row[group] = 1
        return rows

    @torch.no_grad()
    def encode_dense(self, pixels: Tensor) -> Tensor:
        """(B, 3, H, W) -> (B, D, 28, 28) for square pictures."""
        score = self.vit.class_scores(resize_longest(pixels, 224))
        # log odds of the chosen classes against all others
        chosen = self._gather(score, torch.logsumexp)
        a = -(score.logsumexp(1, keepdim=True) - chosen).expm1().clamp_min(1e-6).log()
        logits = self.mobilenet.class_scores(resize_longest(pixels, 320))
        b = self._gather(logits, torch.amax)
        features = self.vit.features(resize_longest(pixels, 448))["block8"]
        size = (features.shape[-2], features.shape[-1])
        seed = _unit_range(_enlarge(a, size)) + _unit_range(_enlarge(b, size))
        refined = _spread(_unit_range(seed), features) if self.spread else seed
        return 2 * _unit_range(refined) - 1

    def _gather(self, score: Tensor, reduce: Callable[..., Tensor]) -> Tensor:
        """Class maps (B, 1000, h, w) -> group maps (B, D, h, w)."""
        merged = [reduce(score[:, classes], 1, keepdim=True) for classes in self.merged]
        return torch.cat([*merged, score[:, self.single]], 1)


class TeacherBackbone(nn.Module):
    """Chosen levels of a teacher, as a Backbone; frozen unless ``levels_of`` is called with a gradient."""

    def __init__(self, network: Vit | MobileNet | ResNet, name: str):
        super().__init__()
        self.network, self.name = network, name
        self.channels = tuple(channels for channels, _ in network.levels.values())

    @torch.no_grad()
    def forward(self, pixels: Tensor) -> tuple[Tensor, ...]:
        """(B, 3, H, W) in [0, 1] -> one (B, C_i, h_i, w_i) for each level."""
        return self.levels_of(pixels)

    def levels_of(self, pixels: Tensor) -> tuple[Tensor, ...]:
        """As ``forward``, with a gradient where one is asked for, so that the network can be trained."""
        features = self.network.features(pixels)
        return tuple(features[level] for level in self.network.levels)


def resize_longest(pixels: Tensor, longest: int) -> Tensor:
    """(B, 3, H, W) with its longer side near ``longest`` pixels; both sides become multiples of 32."""
    scale = longest / max(pixels.shape[-2:])
    height, width = (max(1, round(n * scale / 32)) * 32 for n in pixels.shape[-2:])
    made = F.interpolate(pixels, (height, width), mode="bicubic", align_corners=False, antialias=True)
    return made.clamp(0, 1)


def _enlarge(maps: Tensor, size: tuple[int, int]) -> Tensor:
    return F.interpolate(maps, size, mode="bilinear", align_corners=False)


def _unit_range(maps: Tensor) -> Tensor:
    low = maps.amin((2, 3), keepdim=True)
    return (maps - low) / (maps.amax((2, 3), keepdim=True) - low + 1e-6)


def _spread(maps: Tensor, features: Tensor, power: float = 4, steps: int = 2) -> Tensor:
    """Average maps (B, G, h, w) over cells that look alike, ``steps`` times."""
    f = features.flatten(2)
    f = F.normalize(f - f.mean(2, keepdim=True), dim=1)
    affinity = (f.transpose(1, 2) @ f).clamp_min(0) ** power
    affinity = affinity / affinity.sum(2, keepdim=True)
    x = maps.flatten(2).transpose(1, 2)
    for _ in range(steps):
        x = affinity @ x
    return x.transpose(1, 2).unflatten(2, features.shape[-2:])


def _preset(name: str, load_backbone: Load, backbone: str, *, spread: bool = True) -> Preset:
    def load(device: str, models_dir: Path | None) -> Encoders:
        text = ClassifierText(load_vit(models_dir), load_mobilenet(models_dir, stride=16), spread=spread)
        network = TeacherBackbone(load_backbone(models_dir), backbone)
        return Encoders(text.to(device), network.eval().to(device))

    return Preset(
        name=name,
        summary=f"for measuring: ImageNet classifiers as text, {backbone} as backbone",
        licence="Apache-2.0",
        size=400,
        load=load,
        weights="ViT-Ti from the hub; the others are put into the models folder by hand",
    )


def vit() -> Preset:
    """ViT-Ti/16 tokens: the best matcher among them."""
    return _preset("teachers-vit", load_vit, "vit_tiny16")


def vit_raw() -> Preset:
    """As ``vit``, the text evidence as rough as the classifiers give it, like MaskCLIP's."""
    return _preset("teachers-vit-raw", load_vit, "vit_tiny16", spread=False)


def resnet50() -> Preset:
    """ResNet-50 v2, layers 2 and 3."""
    return _preset("teachers-resnet50", load_resnet, "resnet50v2_l3")


def mobilenet() -> Preset:
    """MobileNetV2, blocks 5 and 12."""
    return _preset("teachers-mobilenet", load_mobilenet, "mobilenetv2")
