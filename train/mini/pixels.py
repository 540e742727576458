"""Held-out photos with their masks, read as mini sees them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from .cache import read_square
from .photos import Photo, list_photos
from .truth import WITH_MASKS, ConceptTable, Truth, build_truth


def read_pixels(photo: Photo, data: Path, size: int) -> Tensor:
    """(1, 3, size, size) in [0, 1]."""
    return torch.from_numpy(read_square(data / photo.key, size)).permute(2, 0, 1)[None].float() / 255


def mask_of(truth: Truth, row: int) -> Tensor:
    """(160, 160) concept numbers of one photo."""
    return torch.from_numpy(truth.masks[truth.row[row]])


def load_photos(data: Path, split: str, table: ConceptTable, limit: int | None) -> tuple[list[Photo], Truth]:
    """Photos with masks of one split ("choose" or "test"), and what is known of them."""
    photos = [p for p in list_photos(data) if p.part == split and p.source in WITH_MASKS][:limit]
    unknown = np.zeros((len(photos), 1000), np.float16)
    return photos, build_truth(photos, data, table, unknown, imagenet_names=[""] * 1000)


def subset(photos: Sequence[Photo], truth: Truth, rows: Sequence[int]) -> tuple[list[Photo], Truth]:
    """Some of the photos, and what is known of those."""
    chosen = list(rows)
    part = Truth(
        truth.masks, truth.row[chosen], truth.state[chosen], truth.label[chosen], truth.complete[chosen]
    )
    return [photos[i] for i in chosen], part
