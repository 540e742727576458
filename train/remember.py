"""Encoder outputs, computed once a picture: kept in memory, and on disk for the next run.

Encoders are frozen and pictures are not altered, so their outputs never change. They are kept as
float16 and always pass through it, so a run gives the same figures whether they were kept or made.

A folder belongs to one encoder: it holds the outputs for a fixed picture, which are compared when it is
opened. Files are written whole or not at all, so a run may be stopped at any time and several may share
the folder.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from lfss.errors import InputError
from lfss.presets import Encoders
from lfss.weights import write_atomically

Encoded = tuple[Tensor, tuple[Tensor, ...]]

_PROBE = "probe"
_CLOSE = 0.02  # relative; other threads or devices round otherwise, another network is far off


class Remembered:
    """Encoders that compute each picture once.

    Args:
        encoders: what computes.
        size: side S of the pictures in pixels.
        memory: bytes to keep in memory; the picture used longest ago goes first.
        folder: where outputs are kept between runs; nowhere if None.
        device: of the outputs.

    Attributes:
        item_bytes: what one picture takes.
        computed: how many pictures were computed, not remembered.

    Raises:
        InputError: the folder belongs to another encoder.
    """

    def __init__(
        self, encoders: Encoders, *, size: int, memory: int, folder: Path | None = None, device: str = "cpu"
    ):
        self._encoders, self._memory, self._folder, self._device = encoders, memory, folder, device
        self._kept: OrderedDict[str, Encoded] = OrderedDict()
        self.computed = 0
        probe = self._half(self._compute(_fixed_picture(size).to(device)))
        self.item_bytes = sum(t.nelement() * t.element_size() for t in (probe[0], *probe[1]))
        if folder is not None:
            stored = self._read(_PROBE)
            if stored is None:
                self._write(_PROBE, probe)
            elif not _alike(stored, probe):
                raise InputError(
                    f"'{folder}' holds the outputs of another encoder. Give another folder, or remove it."
                )

    def encoders(self) -> Encoders:
        """The same encoders, remembering."""
        return self._encoders._replace(encode=self)

    def __call__(self, pixels: Tensor) -> Encoded:
        """Dense cells and features of (1, 3, S, S) pixels, as ``Encoders.encode``, float32."""
        key = hashlib.sha256(pixels.cpu().numpy().tobytes()).hexdigest()
        encoded = self._kept.get(key) or self._read(key)
        if encoded is None:
            encoded = self._half(self._compute(pixels))
            self.computed += 1
            self._write(key, encoded)
        self._kept[key] = encoded
        self._kept.move_to_end(key)
        while len(self._kept) > max(1, self._memory // self.item_bytes):
            self._kept.popitem(last=False)
        dense, features = encoded
        return dense.to(self._device).float(), tuple(f.to(self._device).float() for f in features)

    @torch.inference_mode()
    def _compute(self, pixels: Tensor) -> Encoded:
        if self._encoders.encode is not None:
            return self._encoders.encode(pixels)
        return self._encoders.vlm.encode_dense(pixels), self._encoders.backbone(pixels)

    @staticmethod
    def _half(encoded: Encoded) -> Encoded:
        dense, features = encoded
        return dense.half().cpu(), tuple(f.half().cpu() for f in features)

    def _path(self, folder: Path, key: str) -> Path:
        return folder / key[:2] / f"{key}.safetensors"

    def _read(self, key: str) -> Encoded | None:
        if self._folder is None or not (path := self._path(self._folder, key)).is_file():
            return None
        try:
            with safe_open(str(path), "pt") as file:
                names = sorted(name for name in file.keys() if name != "dense")  # noqa: SIM118
                return file.get_tensor("dense"), tuple(file.get_tensor(name) for name in names)
        except (SafetensorError, OSError):
            return None  # damaged: it is computed and written again

    def _write(self, key: str, encoded: Encoded) -> None:
        if self._folder is None:
            return
        path = self._path(self._folder, key)
        path.parent.mkdir(parents=True, exist_ok=True)
        tensors = {"dense": encoded[0]} | {f"level{i}": f for i, f in enumerate(encoded[1])}
        tensors = {name: tensor.contiguous().clone() for name, tensor in tensors.items()}
        write_atomically(path, lambda part: save_file(tensors, part))


def _fixed_picture(size: int) -> Tensor:
    """(1, 3, S, S) in [0, 1], waves of many lengths, the same everywhere."""
    t = torch.arange(size, dtype=torch.float64) / size
    rows, columns = torch.meshgrid(t, t, indexing="ij")
    waves = [torch.sin(40 * rows**2 + 9 * k * columns) * torch.cos(7 * k * rows) for k in (1, 2, 3)]
    return (0.5 + 0.5 * torch.stack(waves))[None].float()


def _alike(a: Encoded, b: Encoded) -> bool:
    pairs = list(zip((a[0], *a[1]), (b[0], *b[1])))
    if len(a[1]) != len(b[1]) or any(x.shape != y.shape for x, y in pairs):
        return False
    return all((x.float() - y.float()).norm() <= _CLOSE * y.float().norm() + 1e-6 for x, y in pairs)
