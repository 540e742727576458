"""Development equipment: frozen networks from outside the project, behind the two contracts.

The folder that holds them (``teachers.py`` and its weight files) is named by the environment variable
``LFSS_SHARED``, or is ``../shared`` beside the repository. The product never needs it. It lets the
method run on real photographs where neither CLIP nor an ImageNet backbone can be downloaded::

    python -m lfss segment --preset train.teachers:vit --label dog --support a.jpg --query photos --out out

Text evidence comes from ImageNet classifiers: the dense class scores of all ImageNet classes that a
label covers, spread along the ViT's self-similarity. They know names, not language: a label outside
their list has familiarity 0.
"""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from types import ModuleType

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lfss.errors import WeightsUnavailable
from lfss.presets import Encoders, Preset

# Names of the label sets that the classifiers can be asked for, beside the 1,000 ImageNet names.
SPELLINGS = {
    "airplane": "aeroplane", "plane": "aeroplane", "bike": "bicycle", "couch": "sofa", "tv": "tv monitor",
    "tvmonitor": "tv monitor", "diningtable": "dining table", "pottedplant": "potted plant",
    "motorcycle": "motorbike", "puppy": "dog", "kitten": "cat", "cattle": "cow", "people": "person",
}  # fmt: skip


def shared_folder() -> Path:
    """Where the frozen networks lie; raises WeightsUnavailable with the places tried."""
    tried = [Path(os.environ["LFSS_SHARED"])] if "LFSS_SHARED" in os.environ else []
    tried.append(Path(__file__).resolve().parents[2] / "shared")
    for folder in tried:
        if (folder / "weights" / "teachers.py").is_file():
            return folder
    raise WeightsUnavailable(
        f"The development networks are not here (looked in {', '.join(map(str, tried))}). "
        "Set LFSS_SHARED to the folder that holds weights/teachers.py, or use another preset."
    )


@cache
def teachers_module() -> ModuleType:
    """The loader module that lies beside the weights."""
    path = shared_folder() / "weights" / "teachers.py"
    spec = importlib.util.spec_from_file_location("lfss_teachers", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class ClassifierText(nn.Module):
    """Dense evidence of two ImageNet classifiers, as a VisionLanguage tower.

    Channel g of a cell is the evidence for group g of ImageNet classes, in [-1, 1]: affinity-refined
    class scores, scaled to the picture's own range. A phrase's row is one-hot, a competitor that no
    classifier knows is a zero row with logit 0, so a label wins where its evidence is above the middle.
    """

    logit_scale = 6.0

    def __init__(self, *, spread: bool = True) -> None:
        super().__init__()
        self.spread = spread
        self.name = "imagenet-classifiers" if spread else "imagenet-classifiers-raw"
        t = teachers_module()
        self.vit = t.load_teacher("vit_tiny16")
        self.mobilenet = t.load_teacher("mobilenetv2", output_stride=16)
        names = t.imagenet_classes()
        groups = dict(t.VOC_TO_IMAGENET)
        for i, name in enumerate(names):
            groups.setdefault(name.casefold(), []).append(i)
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

    def familiarity(self, phrase: str) -> float:
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
        t = teachers_module()
        score = self.vit.class_scores(t.resize_longest(pixels, 224))
        # log odds of the chosen classes against all others
        chosen = self._gather(score, torch.logsumexp)
        a = -(score.logsumexp(1, keepdim=True) - chosen).expm1().clamp_min(1e-6).log()
        logits = self.mobilenet.class_scores(t.resize_longest(pixels, 320))
        b = self._gather(logits, torch.amax)
        features = self.vit.features(t.resize_longest(pixels, 448))["block8"]
        size = features.shape[-2:]
        seed = _unit_range(_enlarge(a, size)) + _unit_range(_enlarge(b, size))
        refined = _spread(_unit_range(seed), features) if self.spread else seed
        return 2 * _unit_range(refined) - 1

    def _gather(self, score: Tensor, reduce: Callable[..., Tensor]) -> Tensor:
        """Class maps (B, 1000, h, w) -> group maps (B, D, h, w)."""
        merged = [reduce(score[:, classes], 1, keepdim=True) for classes in self.merged]
        return torch.cat([*merged, score[:, self.single]], 1)


class TeacherBackbone(nn.Module):
    """Chosen levels of a frozen teacher, as a Backbone."""

    def __init__(self, name: str, levels: tuple[str, ...]):
        super().__init__()
        self.name, self.levels = name, levels
        self.net = teachers_module().load_teacher(name)
        with torch.no_grad():
            probe = self.net.features(torch.zeros(1, 3, 64, 64))
        self.channels = tuple(probe[level].shape[1] for level in levels)
        self.strides = tuple(64 // probe[level].shape[-1] for level in levels)

    @torch.no_grad()
    def forward(self, pixels: Tensor) -> tuple[Tensor, ...]:
        """(B, 3, H, W) in [0, 1] -> one (B, C_i, h_i, w_i) for each level."""
        features = self.net.features(pixels)
        return tuple(features[level] for level in self.levels)


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


def _preset(name: str, backbone: str, levels: tuple[str, ...], *, spread: bool = True) -> Preset:
    def load(device: str, models_dir: Path | None) -> Encoders:
        text = ClassifierText(spread=spread).to(device)
        return Encoders(text, TeacherBackbone(backbone, levels).eval().to(device))

    return Preset(
        name=name,
        summary=f"development: ImageNet classifiers as text, {backbone} as backbone",
        licence="see the weights' own folder",
        size=400,
        load=load,
    )


def vit() -> Preset:
    """ViT-Ti/16 tokens: the best matcher among the teachers."""
    return _preset("teachers-vit", "vit_tiny16", ("block8", "block11"))


def vit_raw() -> Preset:
    """As ``vit``, the text evidence as rough as the classifiers give it, like MaskCLIP's."""
    return _preset("teachers-vit-raw", "vit_tiny16", ("block8", "block11"), spread=False)


def resnet50() -> Preset:
    """ResNet-50 v2, layers 2 and 3."""
    return _preset("teachers-resnet50", "resnet50v2_l3", ("layer2", "layer3"))


def mobilenet() -> Preset:
    """MobileNetV2, blocks 5 and 12."""
    return _preset("teachers-mobilenet", "mobilenetv2", ("block5", "block12"))


def squeezenet() -> Preset:
    """SqueezeNet 1.1, fire5 and fire9."""
    return _preset("teachers-squeezenet", "squeezenet11", ("fire5", "fire9"))
