"""Speed of exports: ``python -m train.bench_export [--drafts 1000] [--side 1000]``.

Masks are imagined: a few parts with holes, rough outlines and specks, as drafts of a network are after
their edges were snapped to the picture's. Each line shows the seconds of a format, and how many times
those of a plain loop over the same masks, measured in the same run: encode each as PNG, write the file.
Seconds of the processor are shown too: on a busy machine they are what an idle one would take.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from lfss.annotations import FORMATS
from lfss.annotations.bundle import verify_bundle, write_bundle
from lfss.annotations.outlines import trace
from lfss.drafts import Draft, Origin

from . import cli

VARIANTS = 16  # different masks; no writer knows that they come again
LIMITS = {"coco": 60.0, "png": 40.0}  # seconds for 1,000 drafts of one megapixel on two cores
OPTIONS: dict[str, tuple[str, dict[str, Any]]] = {
    "coco": ("coco", {}),
    "coco, run lengths": ("coco", {"rle": True}),
    "coco-panoptic": ("coco-panoptic", {}),
    "coco-results": ("coco-results", {}),
    "cvat": ("cvat", {}),
    "voc": ("voc", {}),
    "labelstudio": ("labelstudio", {}),
    "labelstudio, polygons": ("labelstudio", {"shapes": "polygon"}),
    "labelme": ("labelme", {}),
    "labelme, polygons": ("labelme", {"shapes": "polygon"}),
    "yolo": ("yolo", {}),
    "png": ("png", {}),
    "png, separate": ("png", {"separate": True}),
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run the benchmark; returns 1 if a format took longer than it may."""
    parser = cli.command("bench_export", __doc__)
    parser.add_argument("--drafts", type=int, default=1000)
    parser.add_argument("--side", type=int, default=1000, help="height and width of a picture in pixels")
    parser.add_argument("--only", nargs="+", choices=OPTIONS, default=list(OPTIONS), metavar="FORMAT")
    parser.add_argument("--folder", type=Path, help="where to work; a temporary folder if not given")
    args = parser.parse_args(argv)
    masks = [rough_mask(args.side, seed) for seed in range(VARIANTS)]
    drafts = [_draft(number, masks[number % VARIANTS]) for number in range(args.drafts)]
    scale = args.drafts * args.side**2 / 1e9  # of the work that the limits are for
    with tempfile.TemporaryDirectory(dir=args.folder) as work:
        return _report(drafts, args.only, scale, Path(work))


def _report(drafts: Sequence[Draft], names: Sequence[str], scale: float, work: Path) -> int:
    height, width = drafts[0].size
    print(f"{len(drafts)} drafts of {height} x {width} pixels, {os.cpu_count()} cores")
    for number in range(min(4, len(drafts))):
        outline = trace(drafts[number].mask)
        about = f"{len(outline.polygons)} parts, {outline.vertices} vertices, IoU {outline.iou:.4f}"
        print(f"mask {number}: {about}")
    plain = _timed(partial(_plain_loop, drafts, work / "plain"))
    line = partial(_line, plain=plain[0], count=len(drafts))
    line("plain loop: PNG", plain)
    late = []
    for name in names:
        form, options = OPTIONS[name]
        out = work / name
        seconds = _timed(partial(FORMATS[form].write, drafts, out, **options))
        line(name, seconds, size=sum(f.stat().st_size for f in out.rglob("*") if f.is_file()))
        if name in LIMITS and seconds[0] > LIMITS[name] * scale:
            late.append(name)
    bundle = work / "bundle.zip"
    line("bundle of coco and png", _timed(partial(write_bundle, drafts, bundle, formats=("coco", "png"))))
    line("its verification", _timed(partial(verify_bundle, bundle)))
    for name, limit in LIMITS.items():
        if name in names:
            kept = "NOT KEPT" if name in late else "kept"
            print(f"{name} may take {limit * scale:g} s: {kept}")
    return int(bool(late))


def rough_mask(side: int, seed: int) -> npt.NDArray[np.bool_]:
    """A (side, side) mask: a large object with holes, smaller parts and specks.

    Every fourth is very rough.
    """
    random = np.random.default_rng(seed)

    def noise(cells: int, filling: int) -> npt.NDArray[np.float32]:
        grid = random.standard_normal((cells, cells)).astype(np.float32)
        return np.asarray(cv2.resize(grid, (side, side), interpolation=filling), np.float32)

    axis = np.linspace(-1, 1, side, dtype=np.float32)
    height = 1 - 1.8 * (axis[:, None] ** 2 + axis**2) + 0.6 * noise(6, cv2.INTER_CUBIC)
    rough = 0.06 * noise(max(2, side // 8), cv2.INTER_LINEAR)
    rougher = 0.02 * noise(max(2, side // 2), cv2.INTER_LINEAR)
    return height + (1 + seed % 4) / 4 * (rough + rougher) > 0.35


def _draft(number: int, mask: npt.NDArray[np.bool_]) -> Draft:
    origin = Origin("mini 0.1.0", "dog, puppy", 0.5, ("a" * 64,))
    return Draft(f"{number}.jpg", f"{number:064x}", "dog", mask, score=0.8, presence=0.9, origin=origin)


def _plain_loop(drafts: Sequence[Draft], folder: Path) -> None:
    folder.mkdir()
    for number in range(len(drafts)):
        _, data = cv2.imencode(".png", drafts[number].mask.view(np.uint8) * np.uint8(255))
        (folder / f"{number}.png").write_bytes(data.tobytes())


def _timed(work: Callable[[], object]) -> tuple[float, float]:
    """Seconds by the clock, and of the processor."""
    start, used = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - start, time.process_time() - used


def _line(what: str, seconds: tuple[float, float], *, plain: float, count: int, size: int = 0) -> None:
    clock, used = seconds
    rest = f"{size / 2**20:9.1f} MB" if size else ""
    print(
        f"{what:24} {clock:8.2f} s   {1e3 * clock / count:7.2f} ms each   processor {used:7.2f} s   "
        f"{clock / plain:6.2f} x plain{rest}"
    )
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
