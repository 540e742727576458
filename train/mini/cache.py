"""Keep what the frozen teachers say about each training photo, so that distillation trains only mini.

    python -m train.distill_cache --data ../data-full --teachers ../shared/weights --cache ../cache-mini

Photos are stretched to a square, as the product does. For each one the cache keeps its pixels, the
teacher's tokens (unit vectors, reduced by PCA), its ImageNet scores, and for photos with a label a soft
mask of the labelled object. Same command after a stop: goes on where it stopped.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import time
from dataclasses import asdict
from pathlib import Path
from types import ModuleType
from typing import Any

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from .photos import Photo, list_photos

SIZE = 320  # pixels a side of a cached photo
TEACHER_SIZE = 288  # what the ViT sees: 18 x 18 tokens; 320 would cost 1.4 times as much
CLASSIFIER_SIZE = 224
TOKENS = {"block11": 96, "block8": 32}  # reduced channels
FIT = 256  # photos that the PCA is fitted on
BATCH = 8
WITH_LABEL = ("imagenet1000", "caltech101", "animals")

ANIMALS = ("cat", "cow", "dog", "horse", "sheep")


def load_module(folder: Path) -> ModuleType:
    """The loader that lies beside the teachers' weights."""
    spec = importlib.util.spec_from_file_location("lfss_teachers", folder / "teachers.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def read_square(path: Path, size: int) -> np.ndarray:
    """A photo as (size, size, 3) uint8 RGB, stretched."""
    bgr = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if bgr is None:
        raise ValueError(f"{path} is not a readable picture. Remove it from the data folder.")
    shrinks = min(bgr.shape[:2]) > size
    square = cv2.resize(bgr, (size, size), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC)
    return np.ascontiguousarray(square[..., ::-1])


class Teachers:
    """The ViT whose tokens mini regresses, and two classifiers that find a labelled object."""

    def __init__(self, folder: Path):
        module = load_module(folder)
        self.module = module
        self.vit = module.load_teacher("vit_tiny16")
        self.mobilenet = module.load_teacher("mobilenetv2", output_stride=16)
        self.mobilenet.to(memory_format=torch.channels_last)
        names = module.imagenet_classes(folder)
        self.groups = {name.casefold(): [i] for i, name in enumerate(names)}
        self.groups |= {name: module.VOC_TO_IMAGENET[name] for name in ANIMALS}

    @torch.inference_mode()
    def tokens(self, pixels: Tensor) -> dict[str, Tensor]:
        """(B, 3, H, W) -> unit tokens {"block11", "block8": (B, 192, 18, 18)}, and class scores."""
        small = F.interpolate(pixels, (TEACHER_SIZE, TEACHER_SIZE), mode="area")
        vit = self.vit
        x, grid = vit.embed(small)
        last = len(vit.blocks) - 1
        out = {}
        for i, block in enumerate(vit.blocks):
            if i == last:
                values = vit.norm(block(x, value_only=True))[:, 1:]
                out["scores"] = vit.head(values).transpose(1, 2).unflatten(2, grid)
            x = block(x)
            if i == 8:
                out["block8_raw"] = x[:, 1:].transpose(1, 2).unflatten(2, grid)
        x = vit.norm(x)
        out["block11"] = F.normalize(x[:, 1:].transpose(1, 2).unflatten(2, grid), dim=1)
        out["block8"] = F.normalize(out["block8_raw"], dim=1)
        out["logits"] = vit.head(x[:, 0])
        return out

    @torch.inference_mode()
    def object_masks(self, pixels: Tensor, labels: list[str], out: dict[str, Tensor]) -> Tensor:
        """Soft masks (B, 18, 18) in [0, 1] of each photo's label.

        A label outside ImageNet's names is found by the classes that the photo is taken for; a label
        inside is widened by them, since a photo of a spaniel is often taken for another spaniel.
        """
        small = F.interpolate(pixels, (CLASSIFIER_SIZE, CLASSIFIER_SIZE), mode="area")
        second = self.mobilenet.class_scores(small.contiguous(memory_format=torch.channels_last))
        taken_for = out["logits"].softmax(1) + second.mean((2, 3)).softmax(1)
        masks = []
        for i, label in enumerate(labels):
            chosen = torch.zeros(1000, dtype=torch.bool)
            chosen[self.groups.get(label, [])] = True
            if label not in ANIMALS:
                chosen[taken_for[i].topk(3).indices] = True
            score = out["scores"][i]
            a = score[chosen].logsumexp(0) - score[~chosen].logsumexp(0)
            b = self.module.resize_maps(second[i : i + 1, chosen].amax(1), a.shape)
            seed = self.module.unit_range(a[None]) + self.module.unit_range(b)
            masks.append(self.module.unit_range(seed))
        refined = self.module.affinity_refine(torch.cat(masks), out["block8_raw"])
        return self.module.unit_range(refined)


def fit_pca(tokens: Tensor, channels: int) -> tuple[Tensor, Tensor]:
    """Mean (D,) and directions (D, channels) of tokens (N, D), by variance."""
    mean = tokens.mean(0)
    centred = tokens - mean
    _, vectors = torch.linalg.eigh(centred.T @ centred / len(tokens))
    return mean, vectors.flip(1)[:, :channels].contiguous()


def open_arrays(cache: Path, count: int, create: bool) -> dict[str, np.memmap]:
    """The cache's arrays, one row for each photo of ``photos.json``."""
    grid = TEACHER_SIZE // 16
    shapes: dict[str, tuple[tuple[int, ...], str]] = {
        "pixels": ((count, SIZE, SIZE, 3), "uint8"),
        "logits": ((count, 1000), "float16"),
        "object": ((count, grid, grid), "uint8"),
        **{name: ((count, grid, grid, dim), "float16") for name, dim in TOKENS.items()},
    }
    return {
        name: np.lib.format.open_memmap(
            cache / f"{name}.npy", mode="w+" if create else "r+", dtype=kind, shape=shape if create else None
        )
        for name, (shape, kind) in shapes.items()
    }


def save_json(path: Path, value: Any) -> None:
    """Write beside, then move: a stop never leaves half a file."""
    part = path.with_name(path.name + ".part")
    part.write_text(json.dumps(value), encoding="utf-8")
    part.replace(path)


def build(data: Path, teachers: Path, cache: Path) -> None:
    """Fill the cache; resumes after the last finished batch."""
    cache.mkdir(parents=True, exist_ok=True)
    index, progress = cache / "photos.json", cache / "done.json"
    if not index.exists():
        photos = [p for p in list_photos(data) if p.part != "test"]
        open_arrays(cache, len(photos), create=True)
        save_json(index, [asdict(p) for p in photos])
    photos = [Photo(**row) for row in json.loads(index.read_text())]
    arrays = open_arrays(cache, len(photos), create=False)
    model = Teachers(teachers)
    basis = _basis(model, data, photos, cache / "pca.pt")
    done = json.loads(progress.read_text()) if progress.exists() else 0
    start, first = time.time(), done
    while done < len(photos):
        rows = photos[done : done + BATCH]
        _fill(model, basis, arrays, rows, done, data)
        done += len(rows)
        if done % (16 * BATCH) == 0 or done == len(photos):
            save_json(progress, done)
            print(f"{done}/{len(photos)} {1000 * (time.time() - start) / (done - first):.0f} ms", flush=True)


def _basis(model: Teachers, data: Path, photos: list[Photo], path: Path) -> dict[str, tuple[Tensor, Tensor]]:
    if not path.exists():
        collected: dict[str, list[Tensor]] = {name: [] for name in TOKENS}
        for photo in photos[:FIT]:
            out = model.tokens(_pixels([read_square(data / photo.key, SIZE)]))
            for name, found in collected.items():
                found.append(out[name].flatten(2)[0].T)
        basis = {name: fit_pca(torch.cat(found), TOKENS[name]) for name, found in collected.items()}
        torch.save(basis, path)
    return torch.load(path)


def _pixels(squares: list[np.ndarray]) -> Tensor:
    return torch.from_numpy(np.stack(squares)).permute(0, 3, 1, 2).float().div_(255)


def _fill(
    model: Teachers,
    basis: dict[str, tuple[Tensor, Tensor]],
    arrays: dict[str, np.memmap],
    photos: list[Photo],
    first: int,
    data: Path,
) -> None:
    squares = [read_square(data / photo.key, SIZE) for photo in photos]
    pixels = _pixels(squares)
    out = model.tokens(pixels)
    rows = slice(first, first + len(photos))
    arrays["pixels"][rows] = np.stack(squares)
    arrays["logits"][rows] = out["logits"].half().numpy()
    for name, (mean, vectors) in basis.items():
        reduced = (out[name].permute(0, 2, 3, 1) - mean) @ vectors
        arrays[name][rows] = reduced.half().numpy()
    known = [i for i, p in enumerate(photos) if p.source in WITH_LABEL and p.label]
    if known:
        some = {name: value[known] for name, value in out.items()}
        labels = [(photos[i].label or "").casefold() for i in known]
        masks = model.object_masks(pixels[known], labels, some)
        for i, mask in zip(known, masks):
            arrays["object"][first + i] = (mask * 255).byte().numpy()


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description="Cache what the teachers say about the training photos.")
    parser.add_argument("--data", type=Path, required=True, help="folder with voc/, coco/, ... photos/")
    parser.add_argument("--teachers", type=Path, required=True, help="folder with teachers.py and weights")
    parser.add_argument(
        "--cache", type=Path, required=True, help="folder to fill (about 10 GB for 17,000 photos)"
    )
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    build(args.data, args.teachers, args.cache)


if __name__ == "__main__":
    main()
