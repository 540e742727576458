"""Presets: what is loaded under a name. One record each; nothing else knows the names."""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from torch import Tensor

from .encoders import Backbone, VisionLanguage
from .encoders.evidence import Evidence, guided
from .errors import InputError, UnknownName
from .methods.lfss import LfssConfig


class Encoders(NamedTuple):
    """Both towers of a preset, and one pass through both where they share a trunk."""

    vlm: VisionLanguage
    backbone: Backbone
    encode: Callable[[Tensor], tuple[Tensor, tuple[Tensor, ...]]] | None = None


@dataclass(frozen=True)
class Preset:
    """A model as a person chooses it.

    Attributes:
        name: what one types.
        summary: one line for people.
        licence: of the weights.
        load: (device, models_dir) -> Encoders.
        size: pictures are stretched to ``size x size`` pixels.
        methods: settings of each method by its name, where they are not the method's defaults.
        weights: where they come from, for people.
        local: a folder of the models folder that must exist, for presets that ship with the project.
        weights_of: trained weights of each method by its name: a folder, or its name in the models
            folder. A method that is not named here runs without.
        edges: weights of the network that corrects scores at pixels (``lfss.edge_network``): a folder, or its
            name in the models folder; without it the guided filter alone leads outlines along edges.
        presence_threshold: below it a query is said not to show the object.
    """

    name: str
    summary: str
    licence: str
    load: Callable[[str, Path | None], Encoders]
    size: int = 400
    methods: Mapping[str, Any] = field(default_factory=dict)
    weights: str = ""
    local: str | None = None
    weights_of: Mapping[str, str] = field(default_factory=dict)
    edges: str | None = None
    presence_threshold: float = 0.5

    def with_method(self, name: str, settings: Any, *, weights: str | None = None) -> Preset:
        """The same preset with other settings and weights of one method; without weights by default."""
        others = {key: value for key, value in self.weights_of.items() if key != name}
        return replace(
            self,
            methods={**self.methods, name: settings},
            weights_of=others if weights is None else {**others, name: weights},
        )


def cache_folder() -> Path:
    """Where what can be computed again is kept: LFSS_CACHE, else ``~/.cache/lfss``."""
    return Path(os.environ.get("LFSS_CACHE") or Path.home() / ".cache" / "lfss")


def _clip_and_backbone(
    device: str,
    models_dir: Path | None,
    *,
    clip: str,
    pretrained: str,
    backbone: str,
    revisions: Mapping[str, str] | None = None,
    evidence: Evidence | None = None,
) -> Encoders:
    """A CLIP and a timm backbone from the hub.

    Args:
        device, models_dir: as ``Preset.load``.
        clip, pretrained: as open_clip names architecture and weights.
        backbone: as timm names it.
        revisions: the commit of each repository, by ``owner/name``. Without it ``revisions.json`` of the
            models folder says which is meant, else it is the main branch.
        evidence: how the backbone leads the text evidence.
    """
    from .encoders.backbone import load_backbone
    from .encoders.vlm import load_vlm

    folder = cache_folder() / "text"
    where: dict[str, Any] = {"device": device, "models_dir": models_dir, "revisions": revisions}
    vlm = load_vlm(clip, pretrained=pretrained, cache_dir=folder, **where)
    cells = load_backbone(backbone, **where)
    return Encoders(vlm, cells, None if evidence is None else guided(vlm, cells, evidence))


def _talk2dino(
    device: str, models_dir: Path | None, *, revisions: Mapping[str, str] | None = None
) -> Encoders:
    from .encoders.talk2dino import load_talk2dino

    folder = cache_folder() / "text"
    return Encoders(
        *load_talk2dino(device=device, models_dir=models_dir, revisions=revisions, cache_dir=folder)
    )


def _mini(device: str, models_dir: Path | None) -> Encoders:
    from .encoders.mini import load_mini

    encoder = load_mini("mini", device=device, models_dir=models_dir)
    return Encoders(encoder.vlm, encoder.backbone, encoder.encode)


PRESETS: dict[str, Preset] = {
    preset.name: preset
    for preset in (
        Preset(
            name="mini",
            summary="small vision transformer, fine-tuned by this project; nothing to download",
            licence="Apache-2.0; fine-tuned on research data sets, see its card",
            load=_mini,
            size=384,
            # On VOC training photos that it was kept from (train.ablate --held-out --rule, 60 episodes, with
            # edges): label only 80.8, a mask 80.9; with the constants of the other presets 79.3 and 80.3.
            methods={"lfss": LfssConfig(sharpness=16.0, text_limit=6.0, roi=2.0)},
            weights="assets/models/mini",
            local="mini",
            weights_of={"lfss": "mini-decoder"},
            edges="edges",
            # On VOC training photos that it was kept from (train.evaluate --held-out --presence, 160
            # episodes), 96.9 % of the pictures with the object reach it, 86.9 % of the others do not.
            presence_threshold=0.1,
        ),
        Preset(
            name="paper-rn50",
            summary="the paper: MaskCLIP RN50 and ResNet-50",
            licence="CLIP: MIT; ResNet-50: BSD-3-Clause",
            load=partial(
                _clip_and_backbone, clip="RN50-quickgelu", pretrained="openai", backbone="resnet50.tv_in1k"
            ),
            weights="Hugging Face hub, on first use",
        ),
        Preset(
            name="paper-vgg16",
            summary="the paper: MaskCLIP RN50 and VGG-16",
            licence="CLIP: MIT; VGG-16: BSD-3-Clause",
            load=partial(
                _clip_and_backbone, clip="RN50-quickgelu", pretrained="openai", backbone="vgg16.tv_in1k"
            ),
            weights="Hugging Face hub, on first use",
        ),
        Preset(
            name="vit",
            summary="CLIP ViT-B/16 whose last attention is that of a DINO-family ViT, the backbone",
            licence="CLIP: MIT; DINOv2: Apache-2.0",
            load=partial(
                _clip_and_backbone,
                clip="ViT-B-16",
                pretrained="openai",
                backbone="vit_small_patch14_dinov2.lvd142m",
                evidence=Evidence(proxy=True),
            ),
            weights="Hugging Face hub, on first use",
        ),
        Preset(
            name="talk2dino",
            summary="Talk2DINO: one DINOv2 ViT-B for text and matching, words by CLIP's text side",
            licence="DINOv2: Apache-2.0; CLIP: MIT; Talk2DINO's projection: its authors' page on the hub "
            "(lorebianchi98/Talk2DINO-ViTB), whose terms nobody here could check",
            load=_talk2dino,
            size=448,  # as its projection was trained
            weights="Hugging Face hub, on first use",
        ),
    )
}


def find_preset(name: str) -> Preset:
    """The preset of that name; ``module:function`` calls a function that returns one.

    Raises:
        UnknownName: no such preset; lists the known ones.
        InputError: ``module:function`` cannot be imported.
    """
    if name in PRESETS:
        return PRESETS[name]
    module, colon, function = name.partition(":")
    if not colon:
        raise UnknownName("preset", name, PRESETS)
    try:
        preset = getattr(importlib.import_module(module), function)()
    except (ImportError, AttributeError, TypeError, ValueError) as error:
        raise InputError(f"The preset '{name}' cannot be loaded: {error}.") from error
    if not isinstance(preset, Preset):
        raise InputError(f"'{name}' is not a function that returns a preset.")
    return preset
