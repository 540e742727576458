"""CLIP towers that answer for every cell of a picture instead of once for the whole.

CLIP compares one vector of a picture with texts. Its last attention layer mixes the cells into that
vector; leaving the mixing out and keeping the layer's value path gives a vector in the same space
for each cell (MaskCLIP). Nothing is trained.

Where the paper is silent: it names MaskCLIP on CLIP-RN50 and no input size. Here any size is
stretched to whole cells of 32 px, because the tower would otherwise drop the last row and column.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from ..compat import ensure_torchvision
from ..errors import UnknownName
from ..weights import find_file, load_into, read_state
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

    def __init__(self, clip: Any, text: TextEncoder, *, name: str):
        self._visual, self._text, self.name = clip.visual, text, name
        self.dim: int = clip.visual.output_dim

    def encode_text(self, phrases: Sequence[str]) -> Tensor:
        """V phrases -> (V, D) unit rows, each the mean over the templates."""
        return self._text(phrases)

    @torch.no_grad()
    def encode_dense(self, pixels: Tensor) -> Tensor:
        """(B, 3, H, W) in [0, 1] -> (B, D, h, w) unit vectors, about H / 32 by W / 32 cells."""
        device = self._visual.conv1.weight.device
        x = to_tower(pixels, multiple=32, mean=MEAN, std=STD, device=device)
        levels = self._visual.forward_intermediates(x, indices=[4], intermediates_only=True)
        cells = pool_values(self._visual.attnpool, levels["image_intermediates"][0])
        return F.normalize(cells, dim=1).contiguous()

    def familiarity(self, phrase: str) -> float:
        """Always 1: CLIP has read nearly every word and cannot tell."""
        return 1.0


class DenseViT:
    """Dense CLIP on a transformer tower: one cell for each patch.

    Args:
        clip: an ``open_clip.CLIP`` with a transformer tower, in eval mode.
        text: its text side.
        name: shown to people and used in keys.
        head: what the last block does. ``maskclip``: each cell attends to itself alone, the rest of
            the block is kept. ``nacl``: each cell attends to similar keys and to its neighbours, and
            the attention's output is taken without the residual and the MLP.
        sigma: standard deviation in cells of the neighbourhood of ``nacl``; larger is smoother. Try
            2 to 8.

    Raises:
        UnknownName: no such head.
        ValueError: sigma is not positive.
    """

    logit_scale = LOGIT_SCALE

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
    def encode_dense(self, pixels: Tensor) -> Tensor:
        """(B, 3, H, W) in [0, 1] -> (B, D, h, w) unit vectors, one for each patch."""
        visual = self._visual
        patch = visual.patch_size[0]
        x = to_tower(pixels, multiple=patch, mean=MEAN, std=STD, device=visual.conv1.weight.device)
        h, w = x.shape[-2] // patch, x.shape[-1] // patch
        x = _tokens(visual, x)  # (B, 1 + hw, width)
        *blocks, last = visual.transformer.resblocks
        for block in blocks:
            x = block(x)
        cells = (
            block_values(last, x) if self._head == "maskclip" else neighbours(last, x, (h, w), self._sigma)
        )
        cells = visual.ln_post(cells[:, 1:]) @ visual.proj  # (B, hw, D), without the class token
        return F.normalize(cells, dim=-1).transpose(1, 2).unflatten(2, (h, w))

    def familiarity(self, phrase: str) -> float:
        """Always 1: CLIP has read nearly every word and cannot tell."""
        return 1.0


def pool_values(pool: Any, cells: Tensor) -> Tensor:
    """Value path of CLIP's attention pooling, for each cell: two 1x1 convolutions.

    The mean token, the positional embedding, queries and keys are dropped: over a constant picture
    and without the embedding, the pooling itself gives just this.

    Args:
        pool: an open_clip ``AttentionPool2d``.
        cells: (B, C, h, w).

    Returns:
        (B, D, h, w), not normalised.
    """
    values = F.conv2d(cells, pool.v_proj.weight[:, :, None, None], pool.v_proj.bias)
    return F.conv2d(values, pool.c_proj.weight[:, :, None, None], pool.c_proj.bias)


def block_values(block: Any, tokens: Tensor) -> Tensor:
    """A transformer block in which each token attends to itself alone.

    Args:
        block: an open_clip ``ResidualAttentionBlock``.
        tokens: (B, N, width).

    Returns:
        (B, N, width), residual and MLP included.
    """
    _, values = _keys_values(block, tokens)
    tokens = tokens + block.ls_1(block.attn.out_proj(values))
    return tokens + block.ls_2(block.mlp(block.ln_2(tokens)))


def neighbours(block: Any, tokens: Tensor, grid: tuple[int, int], sigma: float) -> Tensor:
    """Attention of a block by key likeness and nearness (the idea of NACLIP).

    The logits of a cell are its key's products with all keys, scaled as ever, plus a Gaussian of
    height 1 around the cell. Residual and MLP, which serve the class token, are left out.

    Args:
        block: an open_clip ``ResidualAttentionBlock``.
        tokens: (B, 1 + hw, width), the class token first; it is attended to, without a place.
        grid: (h, w).
        sigma: of the Gaussian, in cells.

    Returns:
        (B, 1 + hw, width).
    """
    keys, values = _keys_values(block, tokens)
    heads = (block.attn.num_heads, -1)
    keys, values = (
        t.unflatten(2, heads).transpose(1, 2) for t in (keys, values)
    )  # (B, heads, N, width / heads)
    near = F.pad(_nearness(grid, sigma, tokens.device), (1, 0, 1, 0))
    mixed = F.scaled_dot_product_attention(keys, keys, values, attn_mask=near.to(tokens.dtype))
    return block.attn.out_proj(mixed.transpose(1, 2).flatten(2))


def _keys_values(block: Any, tokens: Tensor) -> tuple[Tensor, Tensor]:
    """Keys and values of a block's attention, each (B, N, width)."""
    attn, width = block.attn, tokens.shape[-1]
    both = F.linear(block.ln_1(tokens), attn.in_proj_weight[width:], attn.in_proj_bias[width:])
    return both[..., :width], both[..., width:]


def _nearness(grid: tuple[int, int], sigma: float, device: torch.device) -> Tensor:
    """(hw, hw): exp(-d^2 / 2 sigma^2) for the distance d of two cells."""
    rows, columns = (torch.arange(n, device=device, dtype=torch.float32) for n in grid)
    place = torch.cartesian_prod(rows, columns)
    return torch.exp(-torch.cdist(place, place).square() / (2 * sigma**2))


def _tokens(visual: Any, x: Tensor) -> Tensor:
    """Patches with the positional embedding fitted to their grid: (B, 1 + hw, width)."""
    x = visual.conv1(x)
    h, w = x.shape[-2:]
    own, place = visual.positional_embedding[:1], visual.positional_embedding[1:]
    if (h, w) != tuple(visual.grid_size):
        place = place.T.unflatten(1, visual.grid_size)[None]  # (1, width, grid, grid)
        place = F.interpolate(place, size=(h, w), mode="bicubic", antialias=True)
        place = place[0].flatten(1).T
    first = (visual.class_embedding + own).expand(len(x), 1, -1)
    return visual.ln_pre(torch.cat([first, x.flatten(2).transpose(1, 2) + place], dim=1))


def load_vlm(
    name: str,
    *,
    pretrained: str,
    device: torch.device | str = "cpu",
    models_dir: Path | str | None = None,
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
        cache_dir: folder for phrase vectors; None keeps them in memory only.
        random_weights: build it without weights, for tests; its name then says so.
        head: last block of a transformer tower, see ``DenseViT``; a ResNet tower has one way only.
        sigma: see ``DenseViT``.

    Raises:
        UnknownName: open_clip has no such tower or tag, or its towers are not CLIP's own kinds.
        WeightsUnavailable: the weights are neither here nor to be had.
        WeightsMismatch: the file does not fit the tower.
    """
    ensure_torchvision()
    import open_clip

    config, record = _look_up(name, pretrained)
    clip = open_clip.CLIP(**config)
    title = f"{name}/{pretrained}"
    if random_weights:
        title += " (random weights)"
    else:
        file = find_file(record["hf_hub"].rstrip("/"), "open_clip_model.safetensors", models_dir=models_dir)
        # Files converted from OpenAI's archives may carry three sizes beside the weights.
        sizes = ("input_resolution", "context_length", "vocab_size")
        load_into(clip, {k: v for k, v in read_state(file).items() if k not in sizes}, source=str(file))
    clip = clip.to(device).eval().requires_grad_(False)
    # Channels last: the same numbers, faster on a CPU.
    clip.visual.to(memory_format=torch.channels_last)
    text = TextEncoder(
        clip, open_clip.get_tokenizer(name), dim=clip.visual.output_dim, name=title, cache_dir=cache_dir
    )
    if hasattr(clip.visual, "attnpool"):
        return MaskClip(clip, text, name=title)
    return DenseViT(clip, text, name=f"{title}, {head} {sigma:g}", head=head, sigma=sigma)


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
