"""CLIP towers that answer for every cell of a picture instead of once for the whole.

CLIP compares one vector of a picture with texts. Its last attention layer mixes the cells into that
vector; leaving the mixing out and keeping the layer's value path gives a vector in the same space
for each cell (MaskCLIP). Nothing is trained.

Where the paper is silent: it names MaskCLIP on CLIP-RN50 and no input size. Here any size is
stretched to whole cells of 32 px, because the tower would otherwise drop the last row and column.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from ..compat import ensure_torchvision
from ..errors import UnknownName
from ..weights import find_file, load_into, read_state
from .evidence import Mixing, repair_outliers
from .last_layer import block_values, mixed_values, neighbours, pool_values, tokens_of
from .pixels import to_tower
from .text import TextEncoder

MEAN, STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
HEADS = ("maskclip", "nacl")
# CLIP's training holds its learned scale at 100 at most, and all released towers end there.
LOGIT_SCALE = 100.0


class MaskClip:
    """Dense CLIP on a ResNet tower: cells of 32 px.

    Args:
        clip: an ``open_clip.CLIP`` with a ResNet tower, in eval mode.
        text: its text side.
        name: shown to people and used in keys.
    """

    logit_scale = LOGIT_SCALE
    guidable = True  # its last layer takes a mixture from outside, see ``evidence``

    def __init__(self, clip: Any, text: TextEncoder, *, name: str):
        self._visual, self._text, self.name = clip.visual, text, name
        self.dim: int = clip.visual.output_dim

    def encode_text(self, phrases: Sequence[str]) -> Tensor:
        """V phrases -> (V, D) unit rows, each the mean over the templates."""
        return self._text(phrases)

    @torch.no_grad()
    def encode_dense(self, pixels: Tensor, *, mixing: Mixing | None = None, repair: bool = False) -> Tensor:
        """(B, 3, H, W) in [0, 1] -> (B, D, h, w) unit vectors, about H / 32 by W / 32 cells.

        Args:
            pixels: the pictures.
            mixing: averages the values in place of the pooling's attention, which MaskCLIP leaves out; the
                result then has its grid.
            repair: replace outlier cells first.
        """
        device = self._visual.conv1.weight.device
        x = to_tower(pixels, multiple=32, mean=MEAN, std=STD, device=device)
        levels = self._visual.forward_intermediates(x, indices=[4], intermediates_only=True)
        last = levels["image_intermediates"][0]
        cells = pool_values(self._visual.attnpool, repair_outliers(last) if repair else last, mixing)
        return F.normalize(cells, dim=1).contiguous()

    def text_trust(self, phrase: str) -> float:
        """Always 1: CLIP has read nearly every word and cannot tell."""
        return 1.0


class DenseViT:
    """Dense CLIP on a transformer tower: one cell for each patch.

    Args:
        clip: an ``open_clip.CLIP`` with a transformer tower, in eval mode.
        text: its text side.
        name: shown to people and used in keys.
        head: what the last block does, unless a mixture is given. ``maskclip``: each cell attends to itself
            alone, the rest of the block is kept. ``nacl``: each cell attends to similar keys and to its
            neighbours, and the attention's output is taken without the residual and the MLP.
        sigma: standard deviation in cells of the neighbourhood of ``nacl``; larger is smoother. Try
            2 to 8.

    Raises:
        UnknownName: no such head.
        ValueError: sigma is not positive.
    """

    logit_scale = LOGIT_SCALE
    guidable = True  # its last layer takes a mixture from outside, see ``evidence``

    def __init__(self, clip: Any, text: TextEncoder, *, name: str, head: str = "nacl", sigma: float = 5.0):
        if head not in HEADS:
            raise UnknownName("dense head", head, HEADS)
        if sigma <= 0:
            raise ValueError(f"sigma is a width in cells and must be above 0, not {sigma}.")
        self._visual, self._text, self.name = clip.visual, text, name
        self._head, self._sigma = head, sigma
        self.dim: int = clip.visual.output_dim

    def encode_text(self, phrases: Sequence[str]) -> Tensor:
        """V phrases -> (V, D) unit rows, each the mean over the templates."""
        return self._text(phrases)

    @torch.no_grad()
    def encode_dense(self, pixels: Tensor, *, mixing: Mixing | None = None, repair: bool = False) -> Tensor:
        """(B, 3, H, W) in [0, 1] -> (B, D, h, w) unit vectors, one for each patch.

        Args:
            pixels: the pictures.
            mixing: averages the last block's values in place of its attention, without the residual and the
                MLP; the result then has its grid.
            repair: replace outlier cells before the last block.
        """
        visual = self._visual
        patch = visual.patch_size[0]
        x = to_tower(pixels, multiple=patch, mean=MEAN, std=STD, device=visual.conv1.weight.device)
        h, w = x.shape[-2] // patch, x.shape[-1] // patch
        x = tokens_of(visual, x)  # (B, 1 + hw, width)
        *blocks, last = visual.transformer.resblocks
        for block in blocks:
            x = block(x)
        if repair:
            patches = repair_outliers(x[:, 1:].transpose(1, 2).unflatten(2, (h, w)))
            x = torch.cat((x[:, :1], patches.flatten(2).transpose(1, 2)), 1)
        if mixing is not None:
            cells, (h, w) = mixed_values(last, x, (h, w), mixing), mixing.grid
        elif self._head == "maskclip":
            cells = block_values(last, x)[:, 1:]
        else:
            cells = neighbours(last, x, (h, w), self._sigma)[:, 1:]
        cells = visual.ln_post(cells) @ visual.proj  # (B, hw, D), without the class token
        return F.normalize(cells, dim=-1).transpose(1, 2).unflatten(2, (h, w))

    def text_trust(self, phrase: str) -> float:
        """Always 1: CLIP has read nearly every word and cannot tell."""
        return 1.0


def load_vlm(
    name: str,
    *,
    pretrained: str,
    device: torch.device | str = "cpu",
    models_dir: Path | str | None = None,
    revisions: Mapping[str, str] | None = None,
    cache_dir: Path | str | None = None,
    random_weights: bool = False,
    head: str = "nacl",
    sigma: float = 5.0,
) -> MaskClip | DenseViT:
    """A frozen CLIP as dense tower, from an open_clip name and tag.

    Args:
        name: such as ``RN50-quickgelu`` or ``ViT-B-16``.
        pretrained: open_clip's tag of the weights, such as ``openai``.
        device: where it runs.
        models_dir: folder for weights put there by hand; see ``lfss.weights.find_file``.
        revisions: the commit, tag or branch of each repository on the hub, by ``owner/name``.
        cache_dir: folder for phrase vectors; None keeps them in memory only.
        random_weights: build it without weights, for tests; its name then says so.
        head: last block of a transformer tower, see ``DenseViT``; a ResNet tower has one way only.
        sigma: see ``DenseViT``.

    Raises:
        UnknownName: open_clip has no such tower or tag, or its towers are not CLIP's own kinds.
        WeightsUnavailable: the weights are neither here nor to be had.
        WeightsMismatch: the file does not fit the tower.
    """
    clip, tokenizer, title = load_clip(
        name,
        pretrained,
        device=device,
        models_dir=models_dir,
        revisions=revisions,
        random_weights=random_weights,
    )
    text = TextEncoder(clip, tokenizer, dim=clip.visual.output_dim, name=title, cache_dir=cache_dir)
    if hasattr(clip.visual, "attnpool"):
        return MaskClip(clip, text, name=title)
    return DenseViT(clip, text, name=f"{title}, {head} {sigma:g}", head=head, sigma=sigma)


def load_clip(
    name: str,
    pretrained: str,
    *,
    device: torch.device | str = "cpu",
    models_dir: Path | str | None = None,
    revisions: Mapping[str, str] | None = None,
    random_weights: bool = False,
) -> tuple[Any, Any, str]:
    """A frozen CLIP, its tokenizer, and what to call it; errors as ``load_vlm``.

    Args:
        name, pretrained: as open_clip names architecture and weights.
        device: where it runs.
        models_dir: searched for weights before the hub is asked.
        revisions: as ``load_vlm``.
        random_weights: for tests: no weights are read.
    """
    ensure_torchvision()
    import open_clip

    config, record = _look_up(name, pretrained)
    clip = open_clip.CLIP(**config)
    title = f"{name}/{pretrained}"
    if random_weights:
        title += " (random weights)"
    else:
        repository = record["hf_hub"].rstrip("/")
        revision = (revisions or {}).get(repository)
        file = find_file(repository, "open_clip_model.safetensors", revision=revision, models_dir=models_dir)
        # Files converted from OpenAI's archives may carry three sizes beside the weights.
        sizes = ("input_resolution", "context_length", "vocab_size")
        load_into(clip, {k: v for k, v in read_state(file).items() if k not in sizes}, source=str(file))
    clip = clip.to(device).eval().requires_grad_(False)
    # Channels last: the same numbers, faster on a CPU.
    clip.visual.to(memory_format=torch.channels_last)
    return clip, open_clip.get_tokenizer(name), title


def _look_up(name: str, pretrained: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Arguments of ``open_clip.CLIP`` for a name, and open_clip's record of the tag's weights."""
    import open_clip

    configs = {n: open_clip.get_model_config(n) for n in open_clip.list_models()}
    plain = {n: c for n, c in configs.items() if _is_plain(c)}
    if name not in plain:
        raise UnknownName("CLIP tower", name, plain)
    tags = open_clip.list_pretrained_tags_by_model(name)
    if pretrained not in tags:
        raise UnknownName(f"set of weights for {name}", pretrained, tags)
    record = open_clip.get_pretrained_cfg(name, pretrained)
    # The tag knows which activation its weights were trained with; the name may not.
    return plain[name] | {"quick_gelu": bool(record.get("quick_gelu"))}, record


def _is_plain(config: dict[str, Any]) -> bool:
    """Whether both towers are CLIP's own kinds: only then is the last layer what is assumed here."""
    sizes = {"layers", "width", "heads", "head_width", "mlp_ratio"}
    return (
        set(config) <= {"embed_dim", "quick_gelu", "vision_cfg", "text_cfg"}
        and set(config["vision_cfg"]) <= sizes | {"image_size", "patch_size"}
        and set(config["text_cfg"]) <= sizes | {"context_length", "vocab_size"}
    )
