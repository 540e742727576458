"""Compare ways from the score of cells to a mask of pixels, on training photos.

    python -m train.edges --data ../shared/data/voc --layout voc --split train --preset train.teachers:vit

One-shot episodes with mask supports; every way gets the same logits. Prints class-accumulated IoU, boundary
IoU and processor seconds for each picture. ``lfss.edges`` holds the way that was kept.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial

import cv2
import numpy as np
import numpy.typing as npt
import torch
from tqdm import tqdm

from lfss.edge_network import EdgeNetwork, score_at_pixels
from lfss.edges import guided_filter, to_pixels
from lfss.predictor import Predictor

from . import cli
from .data.encode import prepare_episode
from .data.episodes import sample_episodes
from .measure.metrics import ClassIoU

Way = Callable[[npt.NDArray[np.float32], npt.NDArray[np.uint8]], npt.NDArray[np.float32]]


def enlarged(logits: npt.NDArray[np.float32], size: tuple[int, int]) -> npt.NDArray[np.float32]:
    """Score at (width, height), by cubic interpolation of the logits."""
    return np.asarray(1 / (1 + np.exp(-cv2.resize(logits, size, interpolation=cv2.INTER_CUBIC))), np.float32)


def guided(
    logits: npt.NDArray[np.float32], pixels: npt.NDArray[np.uint8], *, radius: int, eps: float
) -> npt.NDArray[np.float32]:
    """The guided filter at the picture's full size; returns (H, W).

    Args:
        logits: (h, w).
        pixels: (H, W, 3) uint8.
        radius, eps: see ``lfss.edges.guided_filter``.
    """
    guide = np.asarray(pixels, np.float32) / np.float32(255)
    slope, offset = guided_filter(guide, enlarged(logits, pixels.shape[1::-1]), radius=radius, eps=eps)
    return (slope * guide).sum(-1) + offset


def pixel_adaptive(
    logits: npt.NDArray[np.float32],
    pixels: npt.NDArray[np.uint8],
    *,
    width: int = 200,
    reach: tuple[int, ...] = (1, 2, 4, 8, 12),
    rounds: int = 10,
) -> npt.NDArray[np.float32]:
    """Average each pixel of a width x width copy with neighbours of like colour; returns (H, W).

    Args:
        logits: (h, w).
        pixels: (H, W, 3) uint8.
        width: of the copy.
        reach: how far neighbours lie, in its pixels.
        rounds: how often.
    """
    small = cv2.resize(pixels, (width, width), interpolation=cv2.INTER_AREA)
    colours = torch.from_numpy(small).permute(2, 0, 1)[None].float() / 255
    score = torch.from_numpy(enlarged(logits, (width, width)))[None, None]

    def neighbours(x: torch.Tensor) -> torch.Tensor:
        parts = []
        for d in reach:
            padded = torch.nn.functional.pad(x, (d, d, d, d), mode="replicate")
            at = [(y, z) for y in (0, d, 2 * d) for z in (0, d, 2 * d) if (y, z) != (d, d)]
            parts += [padded[:, :, y : y + width, z : z + width] for y, z in at]
        return torch.stack(parts, 2)

    around = neighbours(colours)
    spread = around.std(2, keepdim=True) + 1e-8
    likeness = -(((around - colours[:, :, None]).abs() / spread / 0.3) ** 2)
    weight = likeness.mean(1, keepdim=True).softmax(2)
    for _ in range(rounds):
        score = (neighbours(score) * weight).sum(2)
    return np.asarray(cv2.resize(score[0, 0].numpy(), pixels.shape[1::-1]), np.float32)


def grab_cut(
    logits: npt.NDArray[np.float32], pixels: npt.NDArray[np.uint8], *, longest: int = 256, rounds: int = 2
) -> npt.NDArray[np.float32]:
    """OpenCV's GrabCut on a small copy, sure above 0.85 and below 0.15; returns (H, W).

    Args:
        logits: (h, w).
        pixels: (H, W, 3) uint8.
        longest: longest side of the copy in pixels.
        rounds: of GrabCut.
    """
    shrink = min(1.0, longest / max(pixels.shape[:2]))
    size = (max(1, round(pixels.shape[1] * shrink)), max(1, round(pixels.shape[0] * shrink)))
    score = enlarged(logits, size)
    marks = np.select([score > 0.85, score > 0.5, score > 0.15], [1, 3, 2], 0).astype(np.uint8)
    if ((marks & 1) == 1).any() and ((marks & 1) == 0).any():
        small = cv2.resize(pixels, size, interpolation=cv2.INTER_AREA)
        models = np.zeros((1, 65)), np.zeros((1, 65))
        cv2.grabCut(small, marks, None, *models, rounds, cv2.GC_INIT_WITH_MASK)  # type: ignore[call-overload]
    return np.asarray(cv2.resize((marks & 1).astype(np.float32), pixels.shape[1::-1]), np.float32)


WAYS: dict[str, Way] = {
    "enlarged only": partial(to_pixels, snap=False),
    "guided filter, radius 8, full size": partial(guided, radius=8, eps=1e-4),
    "guided filter, radius 24, full size": partial(guided, radius=24, eps=1e-4),
    "guided filter, radius 40, full size": partial(guided, radius=40, eps=1e-4),
    "guided filter, radius 28 at 320 px (kept)": to_pixels,
    "pixel-adaptive, 200 px": pixel_adaptive,
    "GrabCut, 256 px": grab_cut,
}


def _with_network(network: EdgeNetwork) -> Way:
    def run(logits: npt.NDArray[np.float32], pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        return score_at_pixels(logits, pixels, network)

    return run


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit code."""
    parser = cli.command("edges", __doc__)
    cli.add_data(parser, split="train")
    cli.add_model(parser)
    cli.add_episodes(parser, 80)
    return cli.run(_run, parser.parse_args(arguments))


def _run(args: argparse.Namespace) -> None:
    data = cli.read_data(args)
    names = [name for number, name in data.classes.items() if len(data.ids_of(number)) >= 10]
    episodes = sample_episodes(data, names, shots=1, count=args.episodes, seed=args.seed).episodes
    predictor = Predictor.load(args.preset, device=args.device)
    ways = WAYS
    if predictor.edges is not None:
        ways = {**WAYS, "guided filter, then the preset's network": _with_network(predictor.edges)}
    counts = {way: ClassIoU(names) for way in ways}
    seconds = dict.fromkeys(ways, 0.0)
    for e in tqdm(episodes, unit="episode"):
        given = prepare_episode(predictor, data, e, "mask", seed=args.seed)
        image, truth, ignore = given.query
        *_, last = predictor.steps(given.prepared, image, assume_present=True)
        logits = last.query("logits")[0, 0].float().cpu().numpy()
        for way, function in ways.items():
            start = time.process_time()
            score = function(logits, image.pixels)
            seconds[way] += time.process_time() - start
            counts[way].update(e.class_name, score >= 0.5, truth, ignore)
    print(f"{len(episodes)} episodes, {', '.join(names)}; {args.preset}")
    print("| way | mIoU | boundary mIoU | processor s a picture |\n|---|---|---|---|")
    for way, count in counts.items():
        scores = count.compute()
        print(
            f"| {way} | {scores.miou:.3f} | {scores.boundary_miou:.3f} | {seconds[way] / len(episodes):.3f} |"
        )


if __name__ == "__main__":
    sys.exit(main())
