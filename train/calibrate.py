"""Fit the fixed rule of LFSS to a preset: sharpness, weight of the refined mask, limit of the text.

    python -m train.calibrate --data ../shared/data/voc --split train --preset mini \
        --classes cat,cow,dog,horse,sheep,person --out docs/results/calibrate-mini.json

How far apart cosines lie differs from network to network, so constants that were chosen on one do not fit
another. The method runs once for each episode; all settings are then scored on the same maps, by
class-accumulated IoU on 100 x 100 pixels, as a mean over the kinds of support. Only training photos may be
used: a list of pictures whose name begins with ``val`` or ``test`` is refused. The line for the preset is
printed.
"""

from __future__ import annotations

import argparse
import itertools
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from lfss.errors import InputError
from lfss.methods import THUMBNAIL_SIDE, Step
from lfss.methods.lfss import Lfss, LfssConfig, training_free_logits
from lfss.predictor import Predictor
from lfss.presets import find_preset
from lfss.similarity import resize_map

from . import cli
from .data.datasets import DataSet, write_text
from .data.encode import KINDS, Kind, prepare_episode
from .data.episodes import sample_episodes
from .data.remember import remember
from .maps import shrink

SHARPNESS = (2.0, 4.0, 6.0, 8.0, 12.0, 16.0, 24.0, 32.0, 48.0)
ROI = (0.0, 0.3, 0.6, 1.2, 2.4)
TEXT_LIMIT = (1.5, 3.0, 6.0)

Setting = tuple[float, float, float]
"""Sharpness, roi, text limit."""

GRID: tuple[Setting, ...] = tuple(itertools.product(SHARPNESS, ROI, TEXT_LIMIT))


@dataclass(frozen=True, eq=False)
class Counted:
    """Sums of one kind of support: (settings, classes, 2) intersections and unions in pixels."""

    sums: np.ndarray

    def miou(self) -> np.ndarray:
        """(settings,): mean over the classes that were asked for."""
        asked = self.sums[0, :, 1] > 0
        return (self.sums[:, asked, 0] / np.maximum(self.sums[:, asked, 1], 1)).mean(1)


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line."""
    parser = cli.command("calibrate", __doc__)
    cli.add_data(parser, split="train")
    cli.add_model(parser)
    cli.add_classes(parser)
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=["label", "box", "mask"])
    cli.add_episodes(parser, 120, of="of each kind")
    cli.add_result(parser)
    options = parser.parse_args(arguments)
    options.command = cli.as_typed("calibrate", arguments)
    return cli.run(_run, options)


def _run(options: argparse.Namespace) -> None:
    if options.split is None or options.split.startswith(("val", "test")):
        raise InputError(
            "Constants are chosen on training photos: give their list by --split, such as train."
        )
    preset = find_preset(options.preset)
    own = preset.methods.get(Lfss.name, LfssConfig())
    plain = preset.with_method(Lfss.name, LfssConfig(**{**vars(own), "decoder": "none", "circle": False}))
    predictor, _ = remember(Predictor.load(plain, device=options.device), options.cache)
    data, names = cli.read_data(options), options.classes
    scores = {
        kind: count(predictor, data, names, kind, episodes=options.episodes, seed=options.seed).miou()
        for kind in options.kinds
    }
    mean = np.mean(list(scores.values()), 0)
    best, before = int(mean.argmax()), nearest((own.sharpness, own.roi, own.text_limit))
    result = {
        "command": options.command,
        "preset": options.preset,
        "before": _described(before, mean, scores),
        "best": _described(best, mean, scores),
        "settings": [_described(i, mean, scores) for i in range(len(GRID))],
    }
    write_text(options.out, json.dumps(result, indent=1))
    for name in ("before", "best"):
        row = result[name]
        kinds = ", ".join(f"{kind} {100 * row[kind]:.1f}" for kind in options.kinds)
        setting = ", ".join(f"{field} {row[field]:g}" for field in ("sharpness", "roi", "text_limit"))
        print(f"{name}: {setting}: {kinds}")
    s, r, t = GRID[best]
    print(f'methods={{"lfss": LfssConfig(sharpness={s}, roi={r}, text_limit={t})}}')


def count(
    predictor: Predictor, data: DataSet, names: Sequence[str], kind: Kind, *, episodes: int, seed: int
) -> Counted:
    """Score every setting of ``GRID`` over a list of episodes with one kind of support.

    Args:
        predictor: loaded.
        data: pictures to choose by.
        names: of the classes.
        kind: of the marks.
        episodes: how many.
        seed: of the list.
    """
    listed = sample_episodes(data, names, shots=1, count=episodes, seed=seed)
    sums = np.zeros((len(GRID), len(names), 2))
    for spec in tqdm(listed.episodes, desc=kind, unit="episode", mininterval=2):
        given = prepare_episode(predictor, data, spec, kind, seed=seed)
        with torch.inference_mode():
            made = {step.key: step for step in predictor.method.steps(given.encode(predictor))}
            masks = masks_of(made, (THUMBNAIL_SIDE, THUMBNAIL_SIDE))
        query = given.query
        truth, known = (shrink(m.astype(np.float32)) > 0.5 for m in (query.mask, ~query.ignore))
        row = names.index(spec.class_name)
        sums[:, row, 0] += (masks & truth & known).sum((1, 2))
        sums[:, row, 1] += ((masks | truth) & known).sum((1, 2))
    return Counted(sums)


def masks_of(made: Mapping[str, Step], size: tuple[int, int]) -> np.ndarray:
    """(settings, H, W) bool: the fixed rule's mask of one episode under every setting."""
    maps = {
        "text": made["initial_mask"].query("query_probability")[:, 0].logit(1e-4),
        "refined": made["refined_mask"].query("query")[:, 0],
        "association": made["prototypes"].query("association")[:, 0],
        "fcm": made["correlation"].query("fcm")[:, 0],
        "background": made["correlation"].query("background")[:, 0],
    }
    rows: list[Tensor] = [
        training_free_logits(*maps.values(), sharpness=s, roi=r, text_limit=t) for s, r, t in GRID
    ]
    return (resize_map(torch.cat(rows), size) > 0).cpu().numpy()


def nearest(setting: Setting) -> int:
    """The place in ``GRID`` of the setting closest to one, by ratio."""
    logs = np.log1p(np.array(GRID)) - np.log1p(np.array(setting))
    return int((logs**2).sum(1).argmin())


def _described(place: int, mean: np.ndarray, scores: Mapping[str, np.ndarray]) -> dict[str, float]:
    sharpness, roi, text_limit = GRID[place]
    figures = {kind: float(values[place]) for kind, values in scores.items()}
    return {
        "sharpness": sharpness,
        "roi": roi,
        "text_limit": text_limit,
        "mean": float(mean[place]),
        **figures,
    }


if __name__ == "__main__":
    sys.exit(main())
