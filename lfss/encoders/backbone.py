"""Frozen picture networks from timm, seen as a few levels of features.

Where the paper is silent: it names ImageNet networks and no layers. Matching uses two middle levels
at stride 8, as most few-shot work does: ``layer2`` and ``layer3`` of ResNet-50, ``conv4_3`` and
``conv5_3`` of VGG-16. Their last reductions are exchanged for dilation, so that trained weights read
the same surroundings on a finer grid.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ..compat import ensure_torchvision
from ..errors import UnknownName
from ..weights import find_file, load_into, read_state
from .pixels import to_tower


def _dilate_last_stage(vgg: Any) -> None:
    """Bring ``conv5`` of a VGG to stride 8, in place.

    The window of the fourth pooling becomes 3 x 3 around its cell: at stride 1 the usual 2 x 2 would
    shift ``conv5`` by half a cell against ``conv4`` and lose a row. Dilation 2 keeps the spacing
    that the weights of ``conv5`` were trained for.
    """
    pools = [i for i, layer in enumerate(vgg.features) if isinstance(layer, nn.MaxPool2d)]
    fourth = pools[3]
    vgg.features[fourth] = nn.MaxPool2d(kernel_size=3, stride=1, padding=1)
    for layer in vgg.features[fourth + 1 :]:
        if isinstance(layer, nn.Conv2d):
            layer.dilation = layer.padding = (2, 2)


@dataclass(frozen=True)
class Recipe:
    """How a timm network becomes a backbone.

    Attributes:
        levels: which of timm's intermediate features, counted as ``forward_intermediates`` does.
        multiple: sides of its input must be multiples of this, in pixels.
        options: further arguments of ``timm.create_model``.
        bare: those that also leave out the start values, which take seconds; only where weights follow.
        adapt: a change to the built network, in place.
        classifier: beginnings of the names in a weight file that only classify.
    """

    levels: tuple[int, ...]
    multiple: int
    options: Mapping[str, Any] = field(default_factory=dict)
    bare: Mapping[str, Any] = field(default_factory=dict)
    adapt: Callable[[Any], None] | None = None
    classifier: tuple[str, ...] = ()


_RESNET = Recipe((2, 3), 8, {"output_stride": 8}, classifier=("fc.",))
# A hidden layer of one unit: the classifier is cut off anyway, and making it takes seconds.
_VGG = Recipe(
    (3, 4),
    8,
    {"mlp_ratio": 1 / 4096},
    adapt=_dilate_last_stage,
    classifier=("pre_logits.", "head.", "classifier."),
)
_DINO = Recipe((8, 11), 16, {"dynamic_img_size": True}, bare={"weight_init": "skip"}, classifier=("head.",))
_DINO2 = replace(_DINO, multiple=14)
_DINO3 = Recipe((8, 11), 16, classifier=("head.",))

BACKBONES: dict[str, Recipe] = {
    "resnet50.tv_in1k": _RESNET,
    "resnet50.a1_in1k": _RESNET,
    "resnet101.tv_in1k": _RESNET,
    "vgg16.tv_in1k": _VGG,
    "vit_small_patch14_dinov2.lvd142m": _DINO2,
    "vit_base_patch14_dinov2.lvd142m": _DINO2,
    "vit_small_patch14_reg4_dinov2.lvd142m": _DINO2,
    "vit_base_patch14_reg4_dinov2.lvd142m": _DINO2,
    "vit_small_patch16_224.dino": _DINO,
    "vit_small_patch16_dinov3.lvd1689m": _DINO3,
}


class TimmBackbone:
    """Some intermediate features of a timm network.

    Attributes:
        network: the network itself.
        name: of the network, with its tag.
        channels: of each level, read from a trial run.

    Args:
        network: has ``forward_intermediates``; in eval mode.
        name: shown to people and used in keys.
        levels: which features.
        multiple: cell size in pixels that inputs are stretched to.
        mean, std: of the training pictures, for each channel, in [0, 1].
    """

    def __init__(
        self,
        network: Any,
        *,
        name: str,
        levels: Sequence[int],
        multiple: int,
        mean: Sequence[float],
        std: Sequence[float],
    ):
        self.name = name
        self.network, self._levels, self._multiple = network, list(levels), multiple
        self._mean, self._std = tuple(mean), tuple(std)
        trial = self(torch.zeros(1, 3, 4 * multiple, 4 * multiple))
        self.channels: tuple[int, ...] = tuple(level.shape[1] for level in trial)

    @torch.no_grad()
    def __call__(self, pixels: Tensor) -> tuple[Tensor, ...]:
        """(B, 3, H, W) in [0, 1] -> one (B, C_i, h_i, w_i) for each level, not normalised."""
        return self.levels_of(pixels)

    def levels_of(self, pixels: Tensor) -> tuple[Tensor, ...]:
        """What a call gives, with a gradient for whoever trains the network."""
        device = next(self.network.parameters()).device
        x = to_tower(pixels, multiple=self._multiple, mean=self._mean, std=self._std, device=device)
        # The final norm of a transformer tames a few huge channels; the others have none and ignore it.
        levels = self.network.forward_intermediates(
            x, indices=self._levels, norm=True, stop_early=True, intermediates_only=True
        )
        return tuple(level.contiguous() for level in levels)


def load_backbone(
    name: str,
    *,
    device: torch.device | str = "cpu",
    models_dir: Path | str | None = None,
    revisions: Mapping[str, str] | None = None,
    random_weights: bool = False,
    levels: Sequence[int] | None = None,
) -> TimmBackbone:
    """A frozen backbone, from a timm name.

    Args:
        name: a key of ``BACKBONES``.
        device: where it runs.
        models_dir: folder for weights put there by hand; see ``lfss.weights.find_file``.
        revisions: the commit, tag or branch of each repository on the hub, by ``owner/name``.
        random_weights: build it without weights, for tests; its name then says so.
        levels: features other than the usual ones. ResNet: 1 to 4 for its four layers; VGG: 0 to 4
            for its five blocks; transformers: 0 to 11 for their blocks.

    Raises:
        UnknownName: no such backbone.
        WeightsUnavailable: the weights are neither here nor to be had.
        WeightsMismatch: the file does not fit the network.
    """
    if name not in BACKBONES:
        raise UnknownName("backbone", name, BACKBONES)
    recipe = BACKBONES[name]
    levels = list(recipe.levels if levels is None else levels)
    ensure_torchvision()
    import timm

    record: Any = timm.get_pretrained_cfg(name)
    # Weights first: building takes seconds that would be lost if there are none.
    file = None
    if not random_weights:
        file = find_file(
            record.hf_hub_id,
            record.hf_hub_filename or "model.safetensors",
            revision=(revisions or {}).get(record.hf_hub_id),
            models_dir=models_dir,
        )
    options = recipe.options if random_weights else {**recipe.options, **recipe.bare}
    network: Any = timm.create_model(name, pretrained=False, **options)
    if recipe.adapt is not None:
        recipe.adapt(network)
    whole = set(network.state_dict())
    network.prune_intermediate_layers(levels, prune_head=True)
    if file is not None:
        _load(network, read_state(file), whole=whole, recipe=recipe, source=str(file))
    title = name if levels == list(recipe.levels) else f"{name}, levels {','.join(map(str, levels))}"
    return TimmBackbone(
        # Channels last: the same numbers, in two thirds of the time on a CPU.
        network.to(device, memory_format=torch.channels_last).eval().requires_grad_(False),
        name=f"{title} (random weights)" if random_weights else title,
        levels=levels,
        multiple=recipe.multiple,
        mean=record.mean,
        std=record.std,
    )


def _load(network: Any, state: dict[str, Tensor], *, whole: set[str], recipe: Recipe, source: str) -> None:
    """Load what is left of a pruned network from the file of the whole one."""
    # timm's own conversion (old names, grid of the positional embedding), where a family has one.
    convert = getattr(sys.modules[type(network).__module__], "checkpoint_filter_fn", None)
    if convert is not None:
        state = convert(state, network)
    kept = set(network.state_dict())
    cut = {k for k in state if k not in kept and (k in whole or k.startswith(recipe.classifier))}
    load_into(network, {k: v for k, v in state.items() if k not in cut}, source=source)
