"""A class file is read with suspicion: it may come from anybody, and nothing in it is run or imported.

Checked when it is read: that it is an ordinary file of a bearable size, that it holds every part, that
shapes agree with each other, that numbers are finite and in their ranges. What is wrong is one sentence.
"""

from __future__ import annotations

import json
import math
import re
import struct
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from .errors import InputError
from .files import read_bytes
from .images import MAX_MEGAPIXELS
from .labels import Label, checked_label
from .text import checked

MAX_BYTES = 1 << 29
MAX_HEADER = 1 << 22  # bytes of the list of tensors and of what is said about them
MAX_PICTURES = 1000
MAX_PHRASES = 4096
MAX_THUMBNAIL = 1024  # pixels
MAX_OFFSET = 50.0  # of a logit; e^50 is as sure as any number here can be
_TOLERANCE = 2e-3  # of shares that were stored in half precision


def read_parts(path: Path | str) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """What a class file says about itself, and its tensors by name; ``check_parts`` says which.

    Raises:
        InputError: there is no such file, it is too large, or no safetensors file.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load

    data = read_bytes(path, most=MAX_BYTES)
    try:
        (length,) = struct.unpack("<Q", data[:8])
        if length > MAX_HEADER:
            raise ValueError("its list of tensors is too long")
        about = json.loads(json.loads(data[8 : 8 + length].decode())["__metadata__"]["lfss"])
        tensors = load(data)
    except (SafetensorError, struct.error, ValueError, LookupError, TypeError, RecursionError) as error:
        raise InputError(
            f"'{Path(path).name}' is not a class saved by this program, or it is damaged. "
            "Save the class again."
        ) from error
    if not isinstance(about, dict):
        raise InputError(f"'{Path(path).name}' is not a class saved by this program. Save the class again.")
    return about, tensors


def check_parts(about: dict[str, Any], tensors: dict[str, Tensor]) -> None:
    """Raise ValueError, with what is wrong, unless everything is there and agrees.

    Shapes and types are those that ``lfss.prepared`` writes.
    """
    for key in ("phrases", "roles", "names", "digests", "sizes"):
        _of(list, about[key], key)
    text, synonyms, distractors = about["label"]
    checked_label(Label(text, tuple(synonyms), tuple(distractors)))
    for key in ("preset", "method"):
        checked(_of(str, about[key], key), key, most=200)
    phrases = [checked(_of(str, p, "phrase"), "A phrase", most=200) for p in about["phrases"]]
    roles = about["roles"]
    _need(1 <= len(phrases) <= MAX_PHRASES and len(roles) == len(phrases), "phrases and roles do not agree")
    _need(all(type(r) is int and r in (-1, 1) for r in roles) and 1 in roles, "a role is not 1 or -1")
    _number(about["text_trust"], "text_trust", 0, 1)
    _number(about["presence_offset"], "presence_offset", -MAX_OFFSET, MAX_OFFSET)
    count = len(about["names"])
    _need(1 <= count <= MAX_PICTURES, "it has no supports, or too many")
    _need(len(about["digests"]) == len(about["sizes"]) == count, "names, digests and sizes do not agree")
    for name, digest, size in zip(about["names"], about["digests"], about["sizes"]):
        _need(len(_of(str, name, "name")) <= 4096, "a name is too long")
        _need(re.fullmatch("[0-9a-f]{64}", _of(str, digest, "digest")) is not None, "a digest is none")
        height, width = (_of(int, side, "size") for side in size)
        _need(min(height, width) >= 1 and height * width <= MAX_MEGAPIXELS * 1e6, "a size is out of range")
    _check_tensors(tensors, count, len(phrases))


def _check_tensors(tensors: dict[str, Tensor], count: int, phrases: int) -> None:
    known, unknown, text = (_floats(tensors, key) for key in ("known", "unknown", "text"))
    _need(text.ndim == 2 and len(text) == phrases, "'text' has another shape")
    _need(known.ndim == 4 and known.shape[:2] == (1, count), "'known' has another shape")
    _need(unknown.shape == known.shape, "'unknown' has another shape")
    for key, share in (("known", known), ("unknown", unknown), ("known and unknown", known + unknown)):
        _need(bool((share >= -_TOLERANCE).all() and (share <= 1 + _TOLERANCE).all()), f"'{key}' is no share")
    _check_pictures(tensors, "", count, phrases, known.shape[-2:])
    if any(key.startswith("auxiliary.") for key in tensors):
        others = tensors["auxiliary.logits"].shape[1]
        _need(1 <= others <= MAX_PICTURES, "it has too many auxiliary pictures")
        _check_pictures(tensors, "auxiliary.", others, phrases, None)
    for index in range(count):
        picture = tensors[f"thumbnail.{index}"]
        sides = picture.shape[:2] if picture.ndim == 3 and picture.shape[2] == 3 else (0,)
        _need(
            picture.dtype == torch.uint8 and min(sides) >= 1 and max(sides) <= MAX_THUMBNAIL,
            f"'thumbnail.{index}' is no small picture",
        )


def _check_pictures(
    tensors: dict[str, Tensor], prefix: str, count: int, phrases: int, cells: torch.Size | None
) -> None:
    logits = _floats(tensors, f"{prefix}logits")
    _need(logits.ndim == 5 and logits.shape[:3] == (1, count, phrases), f"'{prefix}logits' has another shape")
    levels = sum(key.startswith(f"{prefix}features.") for key in tensors)
    _need(levels >= 1, f"it has no '{prefix}features'")
    for index in range(levels):
        level = _floats(tensors, f"{prefix}features.{index}")
        fits = level.ndim == 5 and level.shape[:2] == (1, count) and min(level.shape) >= 1
        _need(fits, f"'{prefix}features.{index}' has another shape")
        if index == 0 and cells is not None:
            _need(level.shape[-2:] == cells, "'known' and 'features.0' have other cells")


def _floats(tensors: dict[str, Tensor], key: str) -> Tensor:
    tensor = tensors[key]
    _need(tensor.is_floating_point() and tensor.numel() > 0, f"'{key}' holds no numbers")
    _need(bool(torch.isfinite(tensor).all()), f"'{key}' holds what is no number")
    return tensor.float()


def _number(value: object, key: str, low: float, high: float) -> None:
    good = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    _need(good and low <= value <= high, f"'{key}' is out of range")  # type: ignore[operator]


def _of(kind: type, value: Any, key: str) -> Any:
    _need(type(value) is kind, f"a {key} is of another kind")
    return value


def _need(holds: bool, reason: str) -> None:
    if not holds:
        raise ValueError(reason)
