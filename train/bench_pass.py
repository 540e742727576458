"""What the folder pass costs beside the run that it follows, and whether memory stays flat.

    python -m train.bench_pass --preset mini --pictures 100 500 --clock processor

A run over so many synthetic photos of 375 x 500 pixels is put into a workspace and timed, then the pass over
the same workspace: learning, changing and storing, with the cells that the run has left. Every draft is made
to change, as the pass is dear then. Promised is a third of the run, and memory that does not grow with the
number of pictures.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch

from lfss.batch.drafts import draft_of
from lfss.cells import Encoder
from lfss.folder_pass import FolderConfig
from lfss.images import read_image
from lfss.labels import Label
from lfss.predictor import Predictor
from lfss.refine_folder import changes, keep, learn
from lfss.support import Support
from lfss.workspace import Workspace

from . import cli
from .bench import picture
from .measure.stopwatch import CLOCKS, resident

LIMIT = 1 / 3
_ALWAYS = FolderConfig(agreement=-1.0)


def measure(preset: str, *, pictures: int, clock: str = "wall") -> dict[str, float]:
    """Seconds of run and pass, their ratio, resident memory in MiB, and how many the pass had to encode.

    Args:
        preset: its name, or ``module:function``.
        pictures: how many; at least 2.
        clock: ``wall``, or ``processor`` for a machine that others use too.
    """
    ticks = CLOCKS[clock]
    predictor = Predictor.load(preset, device="cpu")
    encoder = Encoder(predictor.encode, edges=predictor.edges)
    square = np.zeros((375, 500), bool)
    square[100:280, 150:350] = True
    support = Support.from_mask(picture(375, 500, seed=10_000), square)
    prepared = predictor.prepare(Label("dog"), [support])
    predictor.seen = encoder.keep
    with tempfile.TemporaryDirectory() as place, Workspace.open(Path(place, "workspace")) as workspace:
        paths = [_write(Path(place), number) for number in range(pictures)]
        start = ticks()
        for path in paths:
            image = read_image(path)
            prediction = predictor.predict(prepared, image, assume_present=True)
            workspace.put_draft(draft_of(prediction, image), prediction.score)
        middle, before = ticks(), resident()
        lesson = learn(workspace, encoder, ["dog"], _ALWAYS)
        for found in changes(workspace, encoder, lesson, config=_ALWAYS):
            for change in found:
                keep(workspace, change)
        end, after = ticks(), resident()
    return {
        "pictures": pictures,
        "run": middle - start,
        "pass": end - middle,
        "ratio": (end - middle) / (middle - start),
        "memory after the run": before,
        "memory after the pass": after,
        "encoded again": encoder.computed,
    }


def _write(folder: Path, number: int) -> Path:
    path = folder / f"{number}.jpg"
    cv2.imwrite(str(path), picture(375, 500, seed=number).pixels)
    return path


def as_text(rows: Sequence[dict[str, float]]) -> str:
    """A line for each number of pictures."""
    return "\n".join(
        f"{row['pictures']:>5} pictures: run {row['run']:.1f} s, pass {row['pass']:.1f} s, "
        f"ratio {row['ratio']:.2f} (at most {LIMIT:.2f}); memory {row['memory after the run']:.0f} MiB, "
        f"then {row['memory after the pass']:.0f}; encoded again: {row['encoded again']}"
        for row in rows
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print."""
    parser = cli.command("bench_pass", __doc__)
    cli.add_preset(parser)
    parser.add_argument("--pictures", type=int, nargs="+", default=[100, 500], help="how many; once for each")
    cli.add_clock(parser)
    parser.add_argument("--out", type=Path, help="a .json too")
    command = cli.as_typed("bench_pass", arguments)
    return cli.run(lambda options: _run(options, command), parser.parse_args(arguments))


def _run(options: argparse.Namespace, command: str) -> None:
    torch.set_num_threads(options.threads)
    cv2.setNumThreads(options.threads)
    rows = [measure(options.preset, pictures=count, clock=options.clock) for count in options.pictures]
    print(as_text(rows))
    if options.out:
        table: dict[str, Any] = {str(row["pictures"]): row for row in rows}
        options.out.write_text(json.dumps({"command": command, "rows": table}, indent=1), encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
