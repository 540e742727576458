"""Run episodes once, up to the decoder, and keep what the decoder reads.

    python -m train.maps --data ../data-full --preset mini --out cache/maps-mini

Encoders are frozen and most of the time goes into them and into matching, so a portable decoder is
trained on stored maps: float16 arrays, read from disk as they are needed. Their size, and that of the
encoder outputs kept for the next preset, is printed before the work starts. A run that is interrupted goes
on where it stopped; a folder of another configuration is refused.

The episodes are the same for every preset. Each is stored with the names of all classes that its pictures
show, so one folder serves every fold: ``train.fit --without`` leaves out the episodes that show a novel class
anywhere.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import torch
from tqdm import tqdm

from lfss.errors import InputError
from lfss.methods import THUMBNAIL_SIDE
from lfss.methods.lfss import LfssConfig
from lfss.methods.lfss.portable import MAP_NAMES, MAP_SIDE
from lfss.predictor import Predictor
from lfss.presets import find_preset

from . import cli
from .data.benchmark import spellings
from .data.datasets import DataSet, Sample, open_data, write_text
from .data.encode import AnnotatedPicture, Kind, prepare_episode
from .data.episodes import Draws, EpisodeSpec, sample_episodes
from .data.remember import remember
from .data.splits import MIN_AREA
from .mini.photos import fraction, kept_share


@dataclass(frozen=True)
class Task:
    """An episode of one data set, and what is known of its supports."""

    source: int
    episode: EpisodeSpec
    kind: Kind
    word: bool  # False: the label is treated as a word that the model does not know


def open_sources(config: dict[str, Any], data: Path, cache: Path) -> list[tuple[DataSet, list[str]]]:
    """The data sets of a configuration and the classes to draw from each.

    Held-out pictures of ``train/mini/split.json`` and pictures of ``without`` classes are never used. Where a
    source says ``per_class``, rare classes first, each class brings at most so many pictures.
    """
    out = []
    for source in config["sources"]:
        opened = open_data(
            data / source["root"], source["layout"], split=source.get("split"), cache=cache, progress=True
        ).without(config["without"])
        share = kept_share(source["root"])
        kept = tuple(s for s in opened.samples if fraction(s.image.stem) >= share)
        if "per_class" in source:
            kept = spread_over_classes(kept, source["per_class"])
        opened = replace(opened, samples=kept)
        least = max(6, config["shots"][-1] + 1)
        names = [
            name
            for number, name in opened.classes.items()
            if name not in config["without"] and len(opened.ids_of(number)) >= least
        ]
        out.append((opened, names))
    return out


def spread_over_classes(samples: Sequence[Sample], per_class: int) -> tuple[Sample, ...]:
    """Pictures so that every class has ``per_class`` of them or all it has; fixed by the pictures' names."""
    by_class: dict[int, list[Sample]] = {}
    for sample in sorted(samples, key=lambda s: fraction(s.image.stem)):
        for class_id, area in sample.areas.items():
            if area >= MIN_AREA:
                by_class.setdefault(class_id, []).append(sample)
    chosen: dict[str, Sample] = {}
    for class_id, shown in sorted(by_class.items(), key=lambda item: (len(item[1]), item[0])):
        have = sum(class_id in s.areas for s in chosen.values())
        more = [s for s in shown if s.id not in chosen][: max(0, per_class - have)]
        chosen |= {s.id: s for s in more}
    return tuple(s for s in samples if s.id in chosen)


def draw_tasks(config: dict[str, Any], sources: list[tuple[DataSet, list[str]]]) -> list[Task]:
    """Episodes of all sources in one fixed order, with kinds of supports and unknown words mixed in."""
    draws = Draws(f"maps|{config['seed']}")
    tasks = []
    for i, (data, names) in enumerate(sources):
        share = round(config["episodes"] * config["sources"][i]["share"])
        for shots in config["shots"]:
            count = max(1, round(share / len(config["shots"])))
            listed = sample_episodes(data, names, shots=shots, count=count, seed=config["seed"])
            for episode in listed.episodes:
                kind = draws.choice(config["kinds"])
                word = kind == "label" or draws.below(100) >= 100 * config["unknown_words"]
                tasks.append(Task(i, episode, kind, word))
    order = draws.sample(range(len(tasks)), len(tasks))
    return [tasks[i] for i in order]


def mark_unknown_words(tasks: Sequence[Task], predictor: Predictor) -> list[Task]:
    """The same tasks, a box in the supports where the model does not know the word: alone it says nothing."""
    trust = predictor.encoders.vlm.text_trust
    return [
        replace(t, kind="box") if t.kind == "label" and trust(t.episode.class_name) == 0 else t for t in tasks
    ]


def shown_in(task: Task, data: DataSet) -> list[str]:
    """Names of all classes that the query or a support shows."""
    pictures = (task.episode.query, *task.episode.supports)
    return sorted({data.classes[c] for p in pictures for c in data.sample(p).areas})


def run_task(
    task: Task, data: DataSet, predictor: Predictor
) -> tuple[dict[str, torch.Tensor], AnnotatedPicture]:
    """What the portable decoder reads: ``maps`` and ``training_free``, (1, M, 50, 50) and (1, 50, 50)."""
    given = prepare_episode(predictor, data, task.episode, task.kind, seed=task.episode.query, word=task.word)
    *_, last = predictor.steps(given.prepared, given.query.image, assume_present=True)
    return {name: last.query(name)[:, 0] for name in ("maps", "training_free")}, given.query


def make_maps(
    config: dict[str, Any], *, data: Path, preset: str, out: Path, cache: Path, device: str = "auto"
) -> Path:
    """Fill ``out`` with maps.npy, logits.npy, picture.npy, target.npy, valid.npy and about.json.

    Args:
        config: of the recipe.
        data: folder of the data sets.
        preset: whose maps are made.
        out: the folder.
        cache: where indices and encoder outputs are kept.
        device: auto, cpu, cuda or mps.
    """
    chosen = find_preset(preset)
    method = chosen.methods.get("lfss", LfssConfig())
    method = replace(method, **config.get("method", {}), decoder="none", keep_maps=True)
    chosen = chosen.with_method("lfss", method)
    predictor, item_bytes = remember(Predictor.load(chosen, device=device), cache, memory=1 << 30)
    sources = open_sources(config, data, cache)
    tasks = mark_unknown_words(draw_tasks(config, sources), predictor)
    n, m = len(tasks), len(MAP_NAMES)
    shapes: dict[str, tuple[type, tuple[int, ...]]] = {
        "maps": (np.float16, (n, m, MAP_SIDE, MAP_SIDE)),
        "logits": (np.float16, (n, MAP_SIDE, MAP_SIDE)),
        "picture": (np.uint8, (n, 3, THUMBNAIL_SIDE, THUMBNAIL_SIDE)),
        "target": (np.uint8, (n, THUMBNAIL_SIDE, THUMBNAIL_SIDE)),
        "valid": (np.uint8, (n, THUMBNAIL_SIDE, THUMBNAIL_SIDE)),
    }
    size = sum(np.dtype(t).itemsize * int(np.prod(s)) for t, s in shapes.values())
    pictures = len({(t.source, p) for t in tasks for p in (t.episode.query, *t.episode.supports)})
    print(
        f"{n} episodes of {chosen.name}: {size / 1e6:.0f} MB in '{out}'; encoder outputs of {pictures} "
        f"pictures: {pictures * item_bytes / 1e6:.0f} MB in '{cache / 'encoded'}'",
        file=sys.stderr,
    )
    about = {"config": config, "preset": chosen.name, "names": list(MAP_NAMES), "count": n, "done": 0}
    about["method"] = asdict(method)
    about["classes"] = [t.episode.class_name for t in tasks]
    about["shown"] = [shown_in(t, sources[t.source][0]) for t in tasks]
    about["key"] = hashlib.sha256(json.dumps(about, sort_keys=True).encode()).hexdigest()
    arrays, done = open_arrays(out, shapes, about)
    bar = tqdm(range(done, n), initial=done, total=n, desc="maps", unit="episode", mininterval=2)
    for i in bar:
        task = tasks[i]
        tensors, query = run_task(task, sources[task.source][0], predictor)
        arrays["maps"][i] = tensors["maps"][0].cpu().numpy()
        arrays["logits"][i] = tensors["training_free"][0].cpu().numpy().clip(-20, 20)
        arrays["picture"][i] = shrink(query.image.pixels).transpose(2, 0, 1)
        arrays["target"][i] = shrink(query.mask.astype(np.uint8) * 255)
        arrays["valid"][i] = shrink((~query.ignore).astype(np.uint8) * 255)
        if i % 50 == 49 or i == n - 1:
            for array in arrays.values():
                array.flush()
            write_text(out / "about.json", json.dumps({**about, "done": i + 1}))
    return out


def read_choices(given: Sequence[str], kind: type = LfssConfig) -> dict[str, Any]:
    """``NAME=VALUE`` pairs of a method's choices, values as in JSON.

    Args:
        given: the pairs.
        kind: the dataclass that holds the choices.

    Raises:
        InputError: a name that the configuration does not have, or a value that is not JSON.
    """
    known = {field.name for field in fields(kind)}
    choices: dict[str, Any] = {}
    for pair in given:
        name, _, value = pair.partition("=")
        try:
            choices[name] = json.loads(value)
        except ValueError as error:
            raise InputError(f"'{pair}' cannot be read; write NAME=VALUE, such as dps=false.") from error
        if name not in known:
            raise InputError(f"The method has no choice '{name}'; it has {', '.join(sorted(known))}.")
    return choices


def open_arrays(out: Path, shapes: dict[str, Any], about: dict[str, Any]) -> tuple[dict[str, np.memmap], int]:
    """Arrays on the disk, new or as far as an earlier run filled them.

    Args:
        out: their folder; ``about.json`` in it says what they are and how many are done.
        shapes: type and shape by name.
        about: what they are; its ``key`` stands for all of it.

    Returns:
        The arrays by name, and how many episodes are done.

    Raises:
        InputError: the folder holds those of another configuration.
    """
    path = out / "about.json"
    done = 0
    if path.exists():
        earlier = json.loads(path.read_text(encoding="utf-8"))
        if earlier["key"] != about["key"]:
            raise InputError(f"{out} holds maps of another configuration or preset. Choose another folder.")
        done = earlier["done"]
    else:
        out.mkdir(parents=True, exist_ok=True)
        write_text(path, json.dumps(about))
    mode = "r+" if done else "w+"
    return {
        k: np.lib.format.open_memmap(out / f"{k}.npy", mode=mode, dtype=t, shape=s)
        for k, (t, s) in shapes.items()
    }, done


def shrink(array: npt.NDArray) -> npt.NDArray:
    """(H, W, ...) at the size at which a decoder is trained: (THUMBNAIL_SIDE, THUMBNAIL_SIDE, ...)."""
    return cv2.resize(array, (THUMBNAIL_SIDE, THUMBNAIL_SIDE), interpolation=cv2.INTER_AREA)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit code."""
    parser = cli.command("maps", __doc__)
    cli.add_model(parser)
    cli.add_cache(parser)
    parser.add_argument("--config", type=Path, default=Path(__file__).parent / "configs" / "portable.json")
    parser.add_argument("--data", type=Path, required=True, help="folder of the data sets")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--episodes", type=int, help="instead of the configuration's number")
    parser.add_argument("--seed", type=int, help="instead of the configuration's: other episodes")
    parser.add_argument(
        "--method", nargs="+", metavar="NAME=VALUE", default=[], help="other choices, such as dps=false"
    )
    parser.add_argument(
        "--without", nargs="+", metavar="CLASS", default=[], help="no picture that shows these"
    )
    return cli.run(_run, parser.parse_args(arguments), stopped=cli.GOES_ON)


def _run(args: argparse.Namespace) -> None:
    config = json.loads(args.config.read_text(encoding="utf-8"))
    if args.episodes:
        config["episodes"] = args.episodes
    if args.seed is not None:
        config["seed"] = args.seed
    config["method"] = config.get("method", {}) | read_choices(args.method)
    config["without"] = [*config["without"], *sorted(spellings(args.without))]
    make_maps(config, data=args.data, preset=args.preset, out=args.out, cache=args.cache, device=args.device)


if __name__ == "__main__":
    sys.exit(main())
