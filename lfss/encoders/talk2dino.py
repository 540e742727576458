"""Talk2DINO: words carried into the space of DINOv2's cells, so that one tower serves text and matching.

A small network, trained by its authors on captions, maps CLIP's vector of a text to a vector of DINOv2's
size; its cosine with a cell says how well the words fit the cell. The picture passes DINOv2 once, and CLIP's
picture tower is not used at all.

The projection is read from the authors' repository on the hub, ``model.safetensors``, of which only its four
tensors are taken; or from a file of the same name put there by hand that holds nothing else.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..errors import WeightsMismatch
from ..weights import find_file, load_into
from .backbone import TimmBackbone, load_backbone
from .evidence import Encode
from .text import TextEncoder
from .vlm import LOGIT_SCALE, load_clip

REPOSITORY, FILE = "lorebianchi98/Talk2DINO-ViTB", "model.safetensors"
CLIP, PRETRAINED = "ViT-B-16", "openai"
BACKBONE = "vit_base_patch14_reg4_dinov2.lvd142m"
_BEGINNINGS = ("proj.", "")  # of the projection's names in the whole model's file, and in one of its own


class Projection(nn.Module):
    """CLIP's text vector -> DINOv2's cells: two linear layers with a tanh between them."""

    def __init__(self, text: int, cells: int):
        super().__init__()
        self.linear_layer = nn.Linear(text, cells)
        self.hidden_layers = nn.ModuleList([nn.Linear(cells, cells)])

    def forward(self, text: Tensor) -> Tensor:
        """Embeddings of phrases (N, D_text) -> the space of cells (N, D_cells)."""
        return self.hidden_layers[0](self.linear_layer(text).tanh())


class Talk2Dino:
    """A text tower over the deepest level of a backbone.

    Args:
        backbone: the cells; its last level has the projection's width.
        text: phrases to unit vectors in the cells' space.
        name: shown to people and used in keys.
    """

    logit_scale = LOGIT_SCALE

    def __init__(self, backbone: TimmBackbone, text: TextEncoder, *, name: str):
        self._backbone, self._text, self.name = backbone, text, name
        self.dim = backbone.channels[-1]

    def encode_text(self, phrases: Sequence[str]) -> Tensor:
        """V phrases -> (V, D) unit rows: the mean over the templates, projected."""
        return self._text(phrases)

    def encode_dense(self, pixels: Tensor) -> Tensor:
        """(B, 3, H, W) in [0, 1] -> (B, D, h, w) unit vectors, one for each patch."""
        return self.both(pixels)[0]

    def both(self, pixels: Tensor) -> tuple[Tensor, tuple[Tensor, ...]]:
        """One pass: (B, 3, H, W) -> (B, D, h, w) as ``encode_dense``, and the backbone's levels."""
        levels = self._backbone(pixels)
        return F.normalize(levels[-1], dim=1), levels

    def text_trust(self, phrase: str) -> float:
        """Always 1: CLIP has read nearly every word and cannot tell."""
        return 1.0


def load_talk2dino(
    *,
    device: torch.device | str = "cpu",
    models_dir: Path | str | None = None,
    revisions: Mapping[str, str] | None = None,
    cache_dir: Path | str | None = None,
    random_weights: bool = False,
) -> tuple[Talk2Dino, TimmBackbone, Encode]:
    """Text tower, backbone, and one pass that serves both.

    Args:
        device: where they run.
        models_dir: folder for weights put there by hand; see ``lfss.weights.find_file``.
        revisions: the commit, tag or branch of each repository on the hub, by ``owner/name``.
        cache_dir: folder for phrase vectors; None keeps them in memory only.
        random_weights: build all without weights, for tests; names then say so.

    Raises:
        WeightsUnavailable: one of the three files is neither here nor to be had.
        WeightsMismatch: a file does not fit its network.
    """
    file = None
    if not random_weights:
        revision = (revisions or {}).get(REPOSITORY)
        file = find_file(REPOSITORY, FILE, revision=revision, models_dir=models_dir)
    where: dict[str, Any] = {
        "device": device, "models_dir": models_dir, "revisions": revisions, "random_weights": random_weights,
    }  # fmt: skip
    backbone = load_backbone(BACKBONE, **where)
    clip, tokenizer, title = load_clip(CLIP, PRETRAINED, **where)
    projection = Projection(clip.text_projection.shape[1], backbone.channels[-1])
    if file is not None:
        load_into(projection, projection_state(file), source=str(file))
    projection = projection.to(device).eval().requires_grad_(False)
    del clip.visual  # only the text side is used
    name = f"talk2dino {_fingerprint(projection)}, {title}"
    text = TextEncoder(
        clip,
        tokenizer,
        dim=backbone.channels[-1],
        name=name,
        cache_dir=cache_dir,
        # CLIP's vectors as they come: the tanh makes their length count.
        merge=lambda each: F.normalize(projection(each.mean(0)), dim=0),
    )
    tower = Talk2Dino(backbone, text, name=name)
    return tower, backbone, tower.both


def projection_state(file: Path) -> dict[str, Tensor]:
    """The projection's tensors out of a safetensors file that may hold much more; nothing else is read.

    Names and shapes are those of ``Projection``.

    Raises:
        WeightsMismatch: they are not in it.
    """
    from safetensors import SafetensorError, safe_open

    wanted = list(Projection(1, 1).state_dict())
    try:
        with safe_open(str(file), "pt") as opened:
            names = set(opened.keys())
            for beginning in _BEGINNINGS:
                if all(beginning + name in names for name in wanted):
                    return {name: opened.get_tensor(beginning + name).float() for name in wanted}
    except (SafetensorError, OSError) as error:
        raise WeightsMismatch(f"'{file}' is not a safetensors file ({error}). Get it again.") from error
    raise WeightsMismatch(
        f"'{file}' does not hold Talk2DINO's projection ({', '.join(wanted)}). Get {FILE} of {REPOSITORY}."
    )


def _fingerprint(projection: Projection) -> str:
    """Eight digits that another projection would not have."""
    digest = hashlib.sha256(projection.linear_layer.weight.detach().cpu().numpy().tobytes())
    return digest.hexdigest()[:8]
