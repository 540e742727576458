"""Where the time of a query goes: seconds per stage on this machine, and the ratios that are promised.

::

    python -m train.bench --preset mini --against resnet50
    python -m train.bench --preset paper-rn50 --random-weights --threads 1 --json
    python -m train.bench --preset mini --queries 500

Pictures are synthetic. Times are medians after a warm-up; the two sides of a ratio take turns, and the
ratio is the median over the rounds, so that a busy machine slows both. "Maps" are steps 1 to 5 without
the decoder's network: everything that is neither an encoder nor edges.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import cv2
import numpy as np
import torch
from torch import Tensor, nn

from lfss.edge_network import score_at_pixels
from lfss.encoders import VisionLanguage
from lfss.errors import InputError
from lfss.images import Image, read_image
from lfss.labels import Label
from lfss.predictor import Predictor
from lfss.prepared import Prepared
from lfss.presets import Encoders, Preset, find_preset
from lfss.support import Support

from . import cli
from .measure.stopwatch import CLOCKS, Clock, Meter, resident, watch_decoder, watch_encoders

STEP = "step: "  # what the times of the method's steps begin with
MAPS_LIMIT, PHOTO_LIMIT = 0.10, 1.5


def picture(height: int, width: int, *, seed: int = 0) -> Image:
    """A picture of soft blobs with some grain, the same for the same seed."""
    rng = np.random.default_rng(seed)
    blobs = cv2.resize(rng.integers(0, 255, (12, 16, 3), np.uint8), (width, height))
    grain = cv2.resize(rng.integers(0, 20, (250, 250, 3), np.uint8), (width, height))
    return read_image(cv2.add(blobs, grain), name=f"picture {seed}")


def without_weights(preset: Preset) -> Preset:
    """The same networks with random weights, for machines that have none.

    Raises:
        InputError: the preset is not made of an open_clip tower and a timm network.
    """
    parts = preset.load.keywords if isinstance(preset.load, partial) else {}
    if not {"clip", "pretrained", "backbone"} <= set(parts):
        raise InputError(f"The preset '{preset.name}' cannot be built without weights. Leave the flag out.")

    def load(device: str, _models_dir: Path | None) -> Encoders:
        from lfss.encoders.backbone import load_backbone
        from lfss.encoders.vlm import load_vlm

        tower = load_vlm(parts["clip"], pretrained=parts["pretrained"], device=device, random_weights=True)
        return Encoders(
            RandomWords(tower), load_backbone(parts["backbone"], device=device, random_weights=True)
        )

    return replace(preset, load=load)


class RandomWords:
    """A tower with random phrase vectors: 2,200 prompts take minutes, and real ones are kept on disk."""

    def __init__(self, tower: VisionLanguage):
        self.name, self.dim, self.logit_scale = tower.name, tower.dim, tower.logit_scale
        self.encode_dense, self.text_trust = tower.encode_dense, tower.text_trust

    def encode_text(self, phrases: Sequence[str]) -> Tensor:
        """V phrases -> (V, D) random unit vectors."""
        return nn.functional.normalize(torch.randn(len(phrases), self.dim), dim=1)


@torch.inference_mode()
def time_query(
    predictor: Predictor, prepared: Prepared, file: bytes, *, encoders: Meter, decoder: Meter
) -> dict[str, float]:
    """Seconds of every stage of one query, from the bytes of its file to its score in pixels.

    Args:
        predictor: loaded.
        prepared: the class.
        file: the bytes of the query.
        encoders, decoder: meters of those networks.
    """
    whole = Meter(encoders.clock)
    times: dict[str, float] = {}
    encoders.take(), decoder.take()
    with whole.running():
        image = read_image(file, name="query")
    times["decode"] = whole.take()
    with whole.running():
        episode = predictor.episode(prepared, image, assume_present=True)
    times["encoders"] = encoders.take()
    times["resize, text logits"] = whole.take() - times["encoders"]

    steps, last, name = predictor.method.steps(episode), None, ""
    while True:
        with whole.running():
            step = next(steps, None)  # type: ignore[arg-type]
        if step is None:
            break
        name, last = f"{STEP}{step.key.replace('_', ' ')}", step
        times[name] = whole.take()
    whole.take()
    times["decoder network"] = decoder.take()
    times[name] -= times["decoder network"]

    assert last is not None
    with whole.running():
        score_at_pixels(last.query("logits")[0, 0].numpy(), image.pixels, predictor.edges)
    times["edges"] = whole.take()
    return times


def time_stages(
    predictor: Predictor, prepared: Prepared, meters: tuple[Meter, Meter], *, repeat: int, against: str | None
) -> tuple[dict[str, float], dict[str, float]]:
    """Median seconds of each stage for a photo of one megapixel, and ratios of them.

    Args:
        predictor: loaded.
        prepared: the class.
        meters: of encoders and decoder.
        repeat: how often.
        against: a timm network to compare with.
    """
    encoders, decoder = meters
    photo = cv2.imencode(".jpg", picture(1000, 1000).pixels)[1].tobytes()
    other = forward_pass(against) if against else None
    rounds = []
    for number in range(repeat + 1):
        times = time_query(predictor, prepared, photo, encoders=encoders, decoder=decoder)
        times["query"] = sum(times.values())
        if other is not None:
            with encoders.running():
                other()
            times[f"{against} alone"] = encoders.take()
        if number:  # the first is the warm-up
            rounds.append(times)

    def ratio(top: Sequence[str], bottom: str) -> float:
        return median(sum(times[name] for name in top) / times[bottom] for times in rounds)

    steps = [name for name in rounds[0] if name.startswith(STEP)]
    ratios = {"maps / encoders": ratio(steps, "encoders")}
    ratios |= {f"{name} / encoders": ratio([name], "encoders") for name in (*steps, "edges")}
    if against:
        ratios |= {f"{name} / {against}": ratio([name], f"{against} alone") for name in ("encoders", "query")}
    return {name: median(times[name] for times in rounds) for name in rounds[0]}, ratios


def forward_pass(name: str, *, size: int = 400) -> Callable[[], object]:
    """One classification by a timm network with random weights.

    Raises:
        InputError: timm has no such network.
    """
    from lfss.compat import ensure_torchvision

    ensure_torchvision()
    import timm

    if not timm.is_model(name):
        raise InputError(f"timm has no network '{name}'. Try resnet50.")
    network = timm.create_model(name, pretrained=False).eval()
    pixels = torch.rand(1, 3, size, size)

    @torch.inference_mode()
    def run() -> object:
        return network(pixels)

    run()
    return run


def time_photos(
    predictor: Predictor, prepared: Prepared, *, large: int, repeat: int, clock: Clock
) -> dict[str, float]:
    """Median seconds for a decoded photo of 1 and of ``large`` megapixels, and the median ratio.

    Args:
        predictor: loaded.
        prepared: the class.
        large: megapixels of the larger photo.
        repeat: how often.
        clock: reads the time.
    """
    width = round(1000 * (1.5 * large) ** 0.5) // 16 * 16
    photos = (picture(1000, 1000, seed=1), picture(width // 3 * 2, width, seed=2))
    watch, rounds = Meter(clock), []
    for _ in range(repeat + 1):
        times = []
        for photo in photos:
            with watch.running():
                predictor.predict(prepared, photo)
            times.append(watch.take())
        rounds.append(times)
    one, many = zip(*rounds[1:])
    return {
        "1 megapixel": median(one),
        f"{large} megapixels": median(many),
        "ratio": median(b / a for a, b in zip(one, many)),
    }


def watch_memory(predictor: Predictor, prepared: Prepared, *, queries: int) -> dict[str, float]:
    """Resident memory in MiB after five queries and after many; none of their results is kept."""
    made = {}
    for number in range(1, queries + 1):
        predictor.predict(prepared, picture(750, 1000, seed=number))
        if number in (5, queries):
            made[f"after {number} queries"] = resident()
    return made


def measure(
    name: str,
    *,
    random_weights: bool = False,
    repeat: int = 5,
    shots: int = 1,
    queries: int = 50,
    large: int = 24,
    against: str | None = None,
    clock: str = "wall",
) -> dict[str, Any]:
    """All measurements of one preset on the CPU.

    Args:
        name: of the preset, or ``module:function``.
        random_weights: build the networks without weights, see ``without_weights``.
        repeat: of every timing.
        shots: supports; they have masks only where the preset does not know the word "dog", so that a decoder
            that ships decides.
        queries: the memory after so many is compared with that after five; at least 6.
        large: megapixels of the photo that is compared with one of 1 megapixel.
        against: a timm network whose forward pass is timed in turn with the stages.
        clock: ``wall``, or ``processor`` for a machine that others use too (with one thread).

    Returns:
        Numbers by name: times in seconds, memory in MiB.
    """
    preset = without_weights(find_preset(name)) if random_weights else find_preset(name)
    ticks = CLOCKS[clock]
    start = ticks()
    predictor = Predictor.load(preset, device="cpu")
    load = ticks() - start
    meters = watch_encoders(predictor, ticks), watch_decoder(predictor, ticks)

    pictures = [picture(500, 500, seed=10_000 + i) for i in range(shots)]
    square = np.zeros((500, 500), bool)
    square[120:360, 150:400] = True
    known = predictor.encoders.vlm.text_trust("dog") > 0
    supports = [Support(p) if known else Support.from_mask(p, square) for p in pictures]
    prepared = predictor.prepare(Label("dog"), supports)
    by_prepare = meters[0].pictures
    memory = watch_memory(predictor, prepared, queries=max(6, queries))
    by_queries = meters[0].pictures - by_prepare
    stages, ratios = time_stages(predictor, prepared, meters, repeat=repeat, against=against)
    return {
        "preset": preset.name,
        "random weights": random_weights,
        "threads": torch.get_num_threads(),
        "clock": clock,
        "shots": shots,
        "features": [
            *prepared.encoded.supports.features[0].shape[-2:],
            sum(predictor.encoders.backbone.channels),
        ],
        "load": load,
        "stages": stages,
        "ratios": ratios,
        "photos": time_photos(predictor, prepared, large=large, repeat=repeat, clock=ticks),
        "memory": memory,
        "pictures encoded": {
            f"for {shots} supports": by_prepare,
            f"for {max(6, queries)} queries": by_queries,
        },
    }


def as_text(report: dict[str, Any]) -> str:
    """The report as aligned lines, with the limits beside what they limit."""
    h, w, channels = report["features"]
    weights = ", random weights" if report["random weights"] else ""
    rows: list[tuple[str, str]] = [("load", f"{report['load']:.2f} s")]
    rows += [(name, f"{1000 * seconds:.1f} ms") for name, seconds in report["stages"].items()]
    limits = {"maps / encoders": f"  (at most {MAPS_LIMIT:.0%})"}
    for name, ratio in report["ratios"].items():
        rows.append((name, f"{ratio:.1%}{limits.get(name, '')}"))
    photos = dict(report["photos"])
    rows.append(("photo ratio", f"{photos.pop('ratio'):.2f} x  (at most {PHOTO_LIMIT} x)"))
    rows += [(f"{name}, decoded", f"{1000 * seconds:.0f} ms") for name, seconds in photos.items()]
    rows += [(f"memory {name}", f"{mib:.0f} MiB") for name, mib in report["memory"].items()]
    rows += [(f"pictures encoded {name}", str(count)) for name, count in report["pictures encoded"].items()]
    title = (
        f"{report['preset']}{weights}: {h} x {w} cells of {channels} channels, {report['threads']} threads"
    )
    width = max(len(name) for name, _ in rows)
    return "\n".join([title, *(f"  {name:<{width}}  {value}" for name, value in rows)])


def main(argv: Sequence[str] | None = None) -> int:
    """Measure and print."""
    parser = cli.command("bench", __doc__)
    cli.add_preset(parser)
    parser.add_argument("--random-weights", action="store_true", help="networks of open_clip and timm only")
    parser.add_argument("--repeat", type=int, default=5, help="of every timing; the median counts")
    parser.add_argument("--shots", type=int, default=1, help="supports")
    parser.add_argument("--queries", type=int, default=50, help="for the comparison of memory")
    parser.add_argument("--against", metavar="NETWORK", help="a timm network to compare with, as resnet50")
    cli.add_clock(parser)
    parser.add_argument("--json", action="store_true", help="for machines")
    return cli.run(_run, parser.parse_args(argv))


def _run(given: argparse.Namespace) -> None:
    options = vars(given)
    threads, as_json = options.pop("threads"), options.pop("json")
    torch.set_num_threads(threads)
    cv2.setNumThreads(threads)
    report = measure(options.pop("preset"), **options)
    print(json.dumps(report, indent=1) if as_json else as_text(report))


if __name__ == "__main__":
    sys.exit(main())
