"""Memory of an export from the app and from the command line: ``python -m demo.bench_export``.

Both write the same drafts of a workspace. What Python and numpy hold at most meanwhile is counted, in
megabytes and in masks of one draft (a byte a pixel): an export that reads masks one by one holds a few of
them, however many drafts there are.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import math
import os
import sys
import tempfile
import tracemalloc
from collections.abc import Callable, Sequence
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from lfss.drafts import Draft
from lfss.workspace import Workspace

VARIANTS = 4  # different masks


def main(argv: Sequence[str] | None = None) -> int:
    """Run the benchmark; prints a line for the app, one for the command line, and their ratio."""
    parser = argparse.ArgumentParser(prog="python -m demo.bench_export")
    parser.add_argument("--drafts", type=int, default=30)
    parser.add_argument("--megapixels", type=float, default=12)
    parser.add_argument("--format", nargs="+", default=["png"], metavar="FORMAT")
    args = parser.parse_args(argv)
    side = round(math.sqrt(args.megapixels * 1e6))
    with tempfile.TemporaryDirectory() as work:
        folder = Path(work)
        fill(folder / "workspace", args.drafts, side)
        app, command = peaks(folder, args.format)
    formats = " and ".join(args.format)
    print(f"{args.drafts} drafts of {side} x {side} pixels to a bundle of {formats}, {os.cpu_count()} cores")
    for name, peak in (("app", app), ("command line", command)):
        print(f"{name}: at most {peak / 1e6:.0f} MB, {peak / side**2:.1f} masks")
    print(f"app / command line: {app / command:.2f}")
    return 0


def fill(folder: Path, drafts: int, side: int) -> None:
    """Make a workspace of accepted drafts of pictures that are not kept, (side, side) each."""
    masks = [_mask(side, seed) for seed in range(VARIANTS)]
    with Workspace.open(folder) as workspace:
        for number in range(drafts):
            draft = Draft(
                f"{number}.jpg", f"{number:064x}", "dog", masks[number % VARIANTS], status="accepted"
            )
            workspace.put_draft(draft)


def peaks(folder: Path, formats: Sequence[str]) -> tuple[int, int]:
    """Bytes held at most by an export of FOLDER/workspace from the app, and from the command line."""
    from demo.export_tab import export
    from demo.session import Session
    from lfss.__main__ import main as lfss

    with Workspace.open(folder / "workspace", create=False) as workspace:
        session = Session(folder, workspace)
        app = _peak(lambda: export(session, ["dog"], ["Accepted"], formats, images=False))
    line = ["export", "--workspace", str(folder / "workspace"), "--bundle", "--out", str(folder / "out.zip")]
    command = _peak(lambda: lfss([*line, "--format", *formats]))
    return app, command


def _peak(work: Callable[[], object]) -> int:
    quiet = io.StringIO()
    tracemalloc.start()
    with contextlib.redirect_stdout(quiet), contextlib.redirect_stderr(quiet):
        work()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak


def _mask(side: int, seed: int) -> npt.NDArray[np.bool_]:
    """(side, side): an object with a rough outline and holes."""
    noise = np.random.default_rng(seed).normal(size=(24, 24)).astype(np.float32)
    y, x = np.ogrid[-1 : 1 : side * 1j, -1 : 1 : side * 1j]
    rough = cv2.resize(noise, (side, side), interpolation=cv2.INTER_CUBIC)
    return np.asarray(0.2 * rough > x**2 + y**2 - 0.4)


if __name__ == "__main__":
    sys.exit(main())
