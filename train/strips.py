"""Ten before/after strips on photos that come with gradio and scikit-image, read where they are installed.

    python -m train.strips --out out/strips
    python -m train.strips --out out/strips --preset train.teachers:vit

From left to right: the support with its marks, the photo, the first mask (text and marks alone), the final
mask. Every photo is looked for in the installed packages; nothing is copied into the project, and strips
whose photo is not installed are left out and named. For looking at, not for figures: no true masks here.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image as PilImage
from PIL import ImageDraw, ImageFont

from lfss.figures import overlay, save_png_atomic
from lfss.images import Image, read_image
from lfss.labels import parse_label
from lfss.predictor import Predictor
from lfss.support import Support

from . import cli

HEIGHT = 260  # of a picture in a strip, in pixels
Box = tuple[float, float, float, float]


@dataclass(frozen=True)
class Job:
    """One strip.

    Attributes:
        name: of its file.
        label: what is searched for.
        support, query: package and path of the photos inside it.
        box: x0, y0, x1, y1 around the object in the support, as shares of its sides; None: only the label.
    """

    name: str
    label: str
    support: tuple[str, str]
    query: tuple[str, str]
    box: Box | None = None


def _gradio(name: str) -> tuple[str, str]:
    return "gradio", f"media_assets/images/{name}"


def _skimage(name: str) -> tuple[str, str]:
    return "skimage", f"data/{name}"


JOBS = (
    Job("01-cat", "cat", _skimage("chelsea.png"), _skimage("chelsea.png")),
    Job("02-person", "person", _skimage("camera.png"), _skimage("astronaut.png")),
    Job("03-person-grey", "person", _skimage("astronaut.png"), _skimage("camera.png")),
    Job("04-motorcycle", "motorcycle", _skimage("motorcycle_left.png"), _skimage("motorcycle_right.png")),
    Job(
        "05-motorcycle-box", "motorcycle", _skimage("motorcycle_left.png"), _skimage("motorcycle_right.png"),
        box=(0.09, 0.12, 0.94, 0.98),
    ),
    Job("06-cup", "cup", _skimage("coffee.png"), _skimage("coffee.png"), box=(0.22, 0.04, 0.72, 0.77)),
    Job("07-lion", "lion", _gradio("lion.jpg"), _gradio("lion.jpg"), box=(0.15, 0.02, 0.98, 0.92)),
    Job(
        "08-cheetah-box", "cheetah", _gradio("cheetah1.jpg"), ("gradio", "test_data/cheetah2.jpg"),
        box=(0.1, 0.03, 1.0, 1.0),
    ),
    Job(
        "09-cheetah-far", "cheetah", _gradio("cheetah1.jpg"), _gradio("cheetah.jpg"),
        box=(0.1, 0.03, 1.0, 1.0),
    ),
    Job("10-tower", "tower", _gradio("tower.jpg"), _gradio("tower.jpg"), box=(0.1, 0.02, 0.98, 1.0)),
)  # fmt: skip


def find_photo(place: tuple[str, str]) -> Path | None:
    """The file of a photo inside an installed package, or None."""
    package, name = place
    spec = find_spec(package)
    folders = (spec.submodule_search_locations or []) if spec else []
    return next((file for folder in folders if (file := Path(folder, name)).is_file()), None)


def make_strip(predictor: Predictor, job: Job, support: Image, query: Image) -> npt.NDArray[np.uint8]:
    """The four pictures side by side, (h, w, 3) uint8, with a line of text above each.

    Args:
        predictor: loaded.
        job: the label, and the sentence above the strip.
        support, query: pictures.
    """
    height, width = support.size
    box = None
    if job.box is not None:
        box = (job.box[0] * width, job.box[1] * height, job.box[2] * width, job.box[3] * height)
    given = Support(support) if box is None else Support.from_box(support, box)
    prepared = predictor.prepare(parse_label(job.label), [given])
    prediction = predictor.predict(prepared, query)
    before = prediction.role("first_mask")
    assert before is not None
    first = np.asarray(before.query) >= 0.5
    marked = support.pixels.copy()
    if box is not None:
        x0, y0, x1, y1 = (round(v) for v in box)
        cv2.rectangle(marked, (x0, y0), (x1 - 1, y1 - 1), (255, 214, 0), max(2, max(height, width) // 150))
    how = "label only" if box is None else "one box"
    columns = [
        (f"support: {how}", marked),
        (f"photo: '{job.label}'", query.pixels),
        ("before: first mask", overlay(query.pixels, first)),
        (f"after ({prediction.presence:.0%} sure)", overlay(query.pixels, prediction.mask)),
    ]
    return np.hstack([_column(title, pixels) for title, pixels in columns])


def _column(title: str, pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    height, width = pixels.shape[:2]
    size = (round(width * HEIGHT / height), HEIGHT)
    sheet = PilImage.new("RGB", (max(size[0], 160) + 8, HEIGHT + 20), (255, 255, 255))
    sheet.paste(PilImage.fromarray(pixels).resize(size), (0, 20))
    ImageDraw.Draw(sheet).text((2, 2), title, (28, 32, 38), ImageFont.load_default(13))
    return np.asarray(sheet)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit code."""
    parser = cli.command("strips", __doc__)
    parser.add_argument("--out", type=Path, required=True, help="folder for the PNGs")
    cli.add_model(parser)
    return cli.run(_run, parser.parse_args(arguments))


def _run(options: argparse.Namespace) -> None:
    predictor = Predictor.load(options.preset, device=options.device)
    options.out.mkdir(parents=True, exist_ok=True)
    for job in JOBS:
        files = {place: find_photo(place) for place in (job.support, job.query)}
        missing = [f"{name} of the package {package}" for (package, name), f in files.items() if not f]
        if missing:
            print(f"{job.name}: left out, {' and '.join(missing)} is not installed")
            continue
        support, query = (read_image(f) for f in (files[job.support], files[job.query]) if f)
        save_png_atomic(options.out / f"{job.name}.png", make_strip(predictor, job, support, query))
        print(options.out / f"{job.name}.png")


if __name__ == "__main__":
    sys.exit(main())
