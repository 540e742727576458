"""Encoder outputs, computed once a picture: kept in memory, and on disk for the next run.

Encoders are frozen and pictures are not altered, so their outputs never change. They are kept in one of the
forms of ``train.data.packing`` and always pass through it, so a run gives the same figures whether they were
kept or made.

A folder belongs to one tower: it holds the outputs for a fixed picture, which are compared when it is
opened. Files are written whole or not at all, so a run may be stopped at any time and several may share
the folder. Presets that share a tower share its folder.
"""

from __future__ import annotations

import hashlib
import re
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from lfss.atomic import write_atomically
from lfss.errors import InputError
from lfss.predictor import Predictor
from lfss.presets import Encoders

from .packing import Form, Packed, pack, packed_bytes, unpack

Outputs = tuple[Tensor, ...]

_PROBE = "probe"
_CLOSE = 0.02  # relative; other threads or devices round otherwise, another network is far off


class Remembered:
    """A tower that computes each picture once.

    Args:
        compute: (B, 3, S, S) in [0, 1] -> its outputs, (B, C, h, w) each.
        size: side S of the pictures in pixels.
        memory: bytes to keep in memory; the picture used longest ago goes first.
        folder: where outputs are kept between runs; nowhere if None.
        device: of the outputs.
        form: how outputs are kept.

    Attributes:
        item_bytes: what one picture takes.
        computed: how many pictures were computed, not remembered.

    Raises:
        InputError: the folder belongs to another tower.
    """

    def __init__(
        self, compute: Callable[[Tensor], Outputs], *, size: int, memory: int, folder: Path | None = None,
        device: str = "cpu", form: Form = "float16",
    ):  # fmt: skip
        self._tower, self._memory, self._folder, self._device = compute, memory, folder, device
        self._form: Form = form
        self._kept: OrderedDict[str, Packed] = OrderedDict()
        self.computed = 0
        (probe,) = self._compute(_fixed_picture(size).to(device))
        self.item_bytes = packed_bytes(probe)
        if folder is not None:
            stored = self._read(_PROBE)
            if stored is None:
                self._write(_PROBE, probe)
            elif not _alike(unpack(stored), unpack(probe)):
                raise InputError(
                    f"'{folder}' holds the outputs of another encoder. Give another folder, or remove it."
                )

    def __call__(self, pixels: Tensor) -> Outputs:
        """Outputs for (B, 3, S, S) pixels, float32. Those that are not remembered are computed together."""
        keys = [hashlib.sha256(one.tobytes()).hexdigest() for one in pixels.cpu().numpy()]
        found = {key: self._kept.get(key) or self._read(key) for key in keys}
        missing = [key for key, packed in found.items() if packed is None]
        if missing:
            made = self._compute(pixels[[keys.index(key) for key in missing]])
            for key, outputs in zip(missing, made):
                found[key] = outputs
                self._write(key, outputs)
            self.computed += len(missing)
        for key, kept in found.items():
            assert kept is not None
            self._kept[key] = kept
            self._kept.move_to_end(key)
        while len(self._kept) > max(1, self._memory // self.item_bytes):
            self._kept.popitem(last=False)
        items = [unpack(packed, self._device) for key in keys if (packed := found[key]) is not None]
        return tuple(torch.cat(level) for level in zip(*items))

    @torch.inference_mode()
    def _compute(self, pixels: Tensor) -> list[Packed]:
        levels = self._tower(pixels)
        return [pack(tuple(level[i : i + 1] for level in levels), self._form) for i in range(len(pixels))]

    def _path(self, folder: Path, key: str) -> Path:
        return folder / key[:2] / f"{key}.safetensors"

    def _read(self, key: str) -> Packed | None:
        if self._folder is None or not (path := self._path(self._folder, key)).is_file():
            return None
        try:
            with safe_open(str(path), "pt") as file:
                return {name: file.get_tensor(name) for name in sorted(file.keys())}
        except (SafetensorError, OSError):
            return None  # damaged: it is computed and written again

    def _write(self, key: str, packed: Packed) -> None:
        if self._folder is None:
            return
        path = self._path(self._folder, key)
        path.parent.mkdir(parents=True, exist_ok=True)
        tensors = {name: t.contiguous().clone() for name, t in packed.items()}
        write_atomically(path, lambda part: save_file(tensors, part))


def remember(
    predictor: Predictor, cache: Path | None, *, memory: int = 2 << 30, form: Form = "float16"
) -> tuple[Predictor, int]:
    """The same predictor with encoders that compute each picture once.

    Args:
        predictor: the model.
        cache: outputs are kept under its folder ``encoded``; only in memory if None.
        memory: bytes, for each tower.
        form: how outputs are kept; each form has folders of its own.

    Returns:
        The predictor, and the bytes that one picture takes.

    Raises:
        InputError: a folder belongs to another tower.
    """
    preset, encoders, device = predictor.preset, predictor.encoders, predictor.device

    def kept(name: str, compute: Callable[[Tensor], Outputs]) -> Remembered:
        slug = re.sub(r"[^A-Za-z0-9.]+", "-", name)
        slug = f"{slug}-{preset.size}" + ("" if form == "float16" else f"-{form}")
        folder = None if cache is None else cache / "encoded" / slug
        return Remembered(compute, size=preset.size, memory=memory, folder=folder, device=device, form=form)

    if encoders.encode is not None:
        towers = [kept(preset.name, _flat(encoders.encode))]
    else:
        dense, levels = encoders.vlm.encode_dense, encoders.backbone
        towers = [
            kept(encoders.vlm.name, lambda pixels: (dense(pixels),)),
            kept(encoders.backbone.name, lambda pixels: tuple(levels(pixels))),
        ]

    def encode(pixels: Tensor) -> tuple[Tensor, Outputs]:
        first, *rest = (output for tower in towers for output in tower(pixels))
        return first, tuple(rest)

    remembered = Encoders(encoders.vlm, encoders.backbone, encode)
    changed = Predictor(preset, remembered, predictor.method, device, predictor.edges)
    return changed, sum(tower.item_bytes for tower in towers)


def _flat(encode: Callable[[Tensor], tuple[Tensor, Outputs]]) -> Callable[[Tensor], Outputs]:
    def outputs(pixels: Tensor) -> Outputs:
        dense, levels = encode(pixels)
        return (dense, *levels)

    return outputs


def _fixed_picture(size: int) -> Tensor:
    """(1, 3, size, size) in [0, 1], waves of many lengths, the same everywhere."""
    t = torch.arange(size, dtype=torch.float64) / size
    rows, columns = torch.meshgrid(t, t, indexing="ij")
    waves = [torch.sin(40 * rows**2 + 9 * k * columns) * torch.cos(7 * k * rows) for k in (1, 2, 3)]
    return (0.5 + 0.5 * torch.stack(waves))[None].float()


def _alike(a: Outputs, b: Outputs) -> bool:
    pairs = list(zip(a, b))
    if len(a) != len(b) or any(x.shape != y.shape for x, y in pairs):
        return False
    return all((x.float() - y.float()).norm() <= _CLOSE * y.float().norm() + 1e-6 for x, y in pairs)
