"""A phrase's vector: the mean over the templates, remembered in memory and on disk."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from ..atomic import write_atomic
from .templates import TEMPLATES

REMEMBERED = 4096  # phrases kept in memory, 4 KB each

logger = logging.getLogger(__name__)


def mean_direction(each: Tensor) -> Tensor:
    """Unit mean of unit vectors: (T, D) -> (D,)."""
    return F.normalize(F.normalize(each, dim=-1).mean(dim=0), dim=0)


class TextEncoder:
    """Phrases to unit vectors through the text tower of a CLIP.

    Args:
        clip: an ``open_clip.CLIP`` in eval mode.
        tokenizer: texts to (N, 77) token numbers; longer texts are cut.
        dim: size of the joint space.
        name: of the tower, part of the key on disk.
        cache_dir: folder for phrase vectors; None keeps them in memory only.
        templates: the sentences to average over, each with one ``{}``.
        merge: (T, D') vectors of one phrase in all templates, not normalised -> (D,). The usual way is the
            mean of unit vectors; another way has another ``name``.
    """

    def __init__(
        self,
        clip: Any,
        tokenizer: Any,
        *,
        dim: int,
        name: str,
        cache_dir: Path | str | None = None,
        templates: Sequence[str] = TEMPLATES,
        merge: Callable[[Tensor], Tensor] | None = None,
    ):
        if clip.attn_mask is None or clip.text_pool_type != "argmax":
            raise ValueError(f"{name} reads text in both directions; only CLIP's own kind is supported.")
        self._clip, self._tokenizer, self._dim = clip, tokenizer, dim
        self._templates = tuple(templates)
        self._merge = merge or mean_direction
        self._memory: dict[str, Tensor] = {}
        self._folder = Path(cache_dir) if cache_dir is not None else None
        self._key = self._fingerprint(name) if self._folder else ""

    def __call__(self, phrases: Sequence[str]) -> Tensor:
        """V phrases -> (V, D) float32 unit rows on the tower's device.

        A phrase is encoded once; with RN50's text tower that takes one to two seconds on two cores.
        """
        known: dict[str, Tensor] = {}
        for phrase in dict.fromkeys(phrases):
            vector = self._recall(phrase)
            if vector is None:
                vector = self._encode(phrase).cpu()
                self._keep(phrase, vector)
            known[phrase] = self._memory[phrase] = vector
        while len(self._memory) > REMEMBERED:
            self._memory.pop(next(iter(self._memory)))
        result = torch.stack([known[p] for p in phrases]) if known else torch.zeros(0, self._dim)
        return result.to(self._clip.text_projection.device)

    @torch.no_grad()
    def _encode(self, phrase: str) -> Tensor:
        each = self._embed(self._tokenizer([t.replace("{}", phrase) for t in self._templates]))  # (T, D)
        return self._merge(each)

    def _embed(self, tokens: Tensor) -> Tensor:
        """(N, 77) tokens -> (N, D), as ``clip.encode_text``, without the work on padding.

        A token sees only those before it, and the end token is read: what follows cannot matter.
        A prompt fills some 12 of 77 places, so this saves most of the time.
        """
        clip = self._clip
        end = tokens.argmax(dim=-1).to(clip.text_projection.device)  # the end token has the largest number
        length = int(end.max()) + 1
        x = clip.token_embedding(tokens[:, :length].to(end.device)) + clip.positional_embedding[:length]
        x = clip.transformer(x, attn_mask=clip.attn_mask[:length, :length])
        x = clip.ln_final(x)[torch.arange(len(x), device=end.device), end]  # (N, width)
        return x @ clip.text_projection

    def _recall(self, phrase: str) -> Tensor | None:
        if phrase in self._memory:
            return self._memory[phrase]
        if self._folder is None:
            return None
        from safetensors import SafetensorError
        from safetensors.torch import load_file

        try:
            vector = load_file(self._path(phrase)).get("vector")
        except (OSError, SafetensorError):
            return None  # absent or damaged: it is encoded again and written anew
        if vector is None or vector.shape != (self._dim,) or vector.dtype != torch.float32:
            return None
        return vector if bool(vector.isfinite().all()) else None

    def _keep(self, phrase: str, vector: Tensor) -> None:
        if self._folder is None:
            return
        from safetensors.torch import save

        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            write_atomic(self._path(phrase), save({"vector": vector}), sync=False)
        except OSError as error:
            logger.warning("phrase vectors are not kept in %s: %s", self._folder, error)

    def _path(self, phrase: str) -> Path:
        assert self._folder is not None
        name = hashlib.sha256(f"{self._key}\n{phrase}".encode()).hexdigest()
        return self._folder / f"{name[:40]}.safetensors"

    def _fingerprint(self, name: str) -> str:
        """Tower, weights and templates: whatever changes a phrase's vector changes this."""
        digest = hashlib.sha256("\n".join((name, *self._templates)).encode())
        # The last layers stand for all weights: no two trained towers share them.
        for tensor in (self._clip.ln_final.weight, self._clip.ln_final.bias, self._clip.text_projection):
            digest.update(tensor.detach().cpu().numpy().tobytes())
        return digest.hexdigest()
