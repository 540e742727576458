"""Measure a preset over a stored list of episodes.

    python -m train.evaluate --data ../shared/data/voc --layout voc --split val \
        --classes cat,dog,horse --shots 1 --episodes 240 --preset mini --kind label --out results/label.json
    python -m train.evaluate --data ../shared/data --group cat-cow --shots 5 --seed 0 1 2 --kind mask \
        --out results/cat-cow-5.json
    python -m train.evaluate --data ../shared/data --group cat-cow --preset train.teachers:vit \
        --decoder TLG=runs/tlg/tlg --beside paia --out results/methods.json

Prints IoU by class for every kind of mask (``train.measure.masks``), writes it as JSON and draws it beside.
The same command goes on where it was stopped. A result is called PASCAL-5i or COCO-20i only if the data
shows the official counts.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from lfss.errors import InputError
from lfss.methods import METHODS, Method, find_method
from lfss.methods.lfss import Lfss, LfssConfig
from lfss.predictor import Predictor
from lfss.presets import Preset, find_preset
from lfss.weights import find_folder, load_model

from . import cli
from .data import benchmark
from .data.datasets import DataSet, check_counts, write_text
from .data.encode import KINDS
from .data.episodes import EpisodeList, load_episodes, sample_episodes, save_episodes
from .data.remember import remember
from .data.splits import Fold, Rule, coco_fold, pascal_fold
from .measure import report
from .measure.masks import DECODER
from .measure.metrics import PROTOCOLS
from .measure.scoring import Settings, evaluate, growth, presence_at, presence_auc, tally

# How episodes are drawn under each protocol, by layout.
_SAMPLING = {"native": "balanced", "hsnet": "hsnet", "panet": "panet"}
LIMITS = (0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.4, 0.5)  # of presence, to choose by


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit code."""
    command = cli.as_typed("evaluate", arguments)
    return cli.run(partial(_run, command=command), _parser().parse_args(arguments), stopped=cli.GOES_ON)


def title(data: DataSet, classes: Sequence[str], fold: Fold | None = None) -> str:
    """What a result may be called: a published name only if the data shows the official counts."""
    if fold is not None:
        make = pascal_fold if data.layout == "voc" else partial(coco_fold, scheme="interleaved")
        counts = check_counts(data, [make(i).novel for i in range(4)])
        if counts and all(count.right for count in counts):
            return fold.title
    split = f", split {data.split}" if data.split else ""
    return f"{len(classes)} classes of {len(data.samples)} pictures in '{data.name}'{split}"


def _run(options: argparse.Namespace, *, command: str) -> int:
    data, classes, name = _data(options)
    if options.list:
        lists = [load_episodes(options.list, data)]
    else:
        lists = [_episodes(options, data, classes, seed) for seed in options.seed]
    digests = tuple(episodes.digest for episodes in lists)
    folders = dict(_named(given) for given in options.decoder) | dict.fromkeys(options.beside, "")
    settings = Settings(
        options.preset, options.kind, options.protocol, digests, options.presence, tuple(folders.items()),
        options.method, not options.unknown_word, options.weights or "",
    )  # fmt: skip
    model = f"{options.method} on {options.preset}"
    print(f"{name}: {', '.join(lists[0].classes)}; {lists[0].shots}-shot, {options.kind}, {model}")
    if options.out.exists():
        return _show_finished(options.out, settings)
    begun = options.out.with_name(options.out.name + ".partial")
    begun.parent.mkdir(parents=True, exist_ok=True)
    predictor, beside = _load(options, folders)
    predictor = _remembering(predictor, options, lists)
    records = evaluate(predictor, data, lists, settings, partial=begun, progress=True, beside=beside)
    runs = [tally([r for r in records if r.seed == e.seed], e, settings.protocol) for e in lists]
    table = report.summarise(runs)
    result = {
        "title": name,
        "command": command,
        "settings": asdict(settings),
        "shots": lists[0].shots,
        "seeds": [e.seed for e in lists],
        "episodes": [len(e.episodes) for e in lists],
        "mean": report.clean(table),
        "runs": [report.as_json(run) for run in runs],
        "presence_auc": presence_auc(records),
        "presence": presence_at(records, (predictor.preset.presence_threshold, *LIMITS)),
        "seconds_per_episode": float(np.median([r.seconds for r in records])),
        "torch": torch.__version__,
        "device": predictor.device,
    }
    first = [r for r in records if r.seed == lists[0].seed]
    report.draw(table, growth(first, lists[0], settings.protocol), options.out.with_suffix(".png"))
    write_text(options.out, json.dumps(result, indent=1))
    begun.unlink()
    _print(result)
    return 0


def _load(options: argparse.Namespace, folders: Mapping[str, str]) -> tuple[Predictor, dict[str, Method]]:
    """The model, and beside LFSS without a decoder what is compared with it on the same episodes.

    Where a decoder ships with the preset, it is one of them.
    """
    preset = find_preset(options.preset)
    if options.method != Lfss.name:
        if folders:
            raise InputError(
                f"--decoder and --beside compare with '{Lfss.name}'; leave it out with --method."
            )
        if options.weights:
            settings = preset.methods.get(options.method)
            preset = preset.with_method(options.method, settings, weights=options.weights)
        return Predictor.load(preset, method=options.method, device=options.device), {}
    if options.weights:
        raise InputError("--weights belongs to another method; give those of LFSS as --decoder NAME=FOLDER.")
    config = preset.methods.get(Lfss.name, LfssConfig())
    shipped = preset.weights_of.get(Lfss.name)
    if shipped is not None:
        folders = {DECODER: str(find_folder(shipped, None)), **folders}
    plain = replace(config, decoder="none", circle=False, keep_maps=bool(folders))
    predictor = Predictor.load(preset.with_method(Lfss.name, plain), device=options.device)
    return predictor, {name: _beside(predictor, preset, name, folder) for name, folder in folders.items()}


def _beside(predictor: Predictor, preset: Preset, name: str, folder: str) -> Method:
    """What is scored beside LFSS: LFSS or TLG with the weights of a folder, else the method of that name."""
    trained_as = load_model(folder)[0].get("method") if folder else name
    kind = find_method(trained_as) if isinstance(trained_as, str) else Lfss
    backbone = predictor.encoders.backbone
    built = kind.build(
        backbone=backbone.name, channels=backbone.channels, settings=preset.methods.get(kind.name),
        weights=folder or None,
    )  # fmt: skip
    return built.eval().requires_grad_(False).to(predictor.device)


def _named(given: str) -> tuple[str, str]:
    """NAME=FOLDER; raises InputError."""
    name, equals, folder = given.partition("=")
    if not (name and equals and folder):
        raise InputError(f"'{given}' names no decoder; write --decoder NAME=FOLDER.")
    return name, folder


def _remembering(
    predictor: Predictor, options: argparse.Namespace, lists: Sequence[EpisodeList]
) -> Predictor:
    """The same predictor with encoders that compute each picture once."""
    remembered, item_bytes = remember(predictor, options.cache, memory=int(options.memory * 2**30))
    pictures = {i for e in lists for spec in e.episodes for i in (spec.query, *spec.supports)}
    print(
        f"encoder outputs: {len(pictures)} pictures x {item_bytes / 2**20:.1f} MiB "
        f"= {len(pictures) * item_bytes / 2**30:.2f} GiB in '{options.cache / 'encoded'}'"
    )
    return remembered


def _print(result: dict[str, Any]) -> None:
    print(report.text_table(result["mean"]))
    if result["presence_auc"] is not None:
        print(f"presence, ROC AUC: {result['presence_auc']:.3f}")
    for number, row in enumerate(result.get("presence") or ()):
        said = "limit {limit:g} keeps {kept:.1%} of the pictures with the class, empties {emptied:.1%}"
        print(said.format(**row), "of those without it" + (" (as it ships)" if number == 0 else ""))
    print(f"{result['seconds_per_episode']:.2f} s an episode (median)")


def _show_finished(out: Path, settings: Settings) -> int:
    try:
        result = json.loads(out.read_text(encoding="utf-8"))
        same = result["settings"] == json.loads(json.dumps(asdict(settings)))
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(f"'{out}' exists and is no result of this command. Choose another --out.") from error
    if not same:
        raise InputError(f"'{out}' holds a result of other settings. Choose another --out, or remove it.")
    _print(result)
    return 0


def _data(options: argparse.Namespace) -> tuple[DataSet, tuple[str, ...], str]:
    """The pictures, the classes asked for, and what to call them."""
    if options.group:
        group = benchmark.pick_group(options.group)
        data = benchmark.reporting_set(group, options.data, options.cache)
        return data, benchmark.reported_classes(group, data), f"{benchmark.NAME}, {group.name}"
    data = cli.read_data(options)
    if options.fold is not None:
        if options.layout not in ("voc", "coco"):
            raise InputError(f"The layout {options.layout} has no folds; give --classes.")
        fold = (
            pascal_fold(options.fold) if options.layout == "voc" else coco_fold(options.fold, options.scheme)
        )
        return data, fold.novel, title(data, fold.novel, fold)
    if not options.classes:
        raise InputError("Say what to segment: --classes cat,dog or --fold 1 or --group cat-cow.")
    return data, options.classes, title(data, options.classes)


def _episodes(options: argparse.Namespace, data: DataSet, classes: Sequence[str], seed: int) -> EpisodeList:
    """The stored list of these settings, made on first use."""
    rule: Rule = options.rule
    protocol = _SAMPLING[options.protocol]
    if protocol == "hsnet" and data.layout == "coco":
        protocol = "hsnet-coco"
    made = sample_episodes(
        data, classes, shots=options.shots, count=options.episodes, seed=seed, protocol=protocol, rule=rule
    )
    path = options.cache / "episodes" / f"{data.name}-{options.shots}shot-{protocol}-{made.digest[:16]}.jsonl"
    if not path.exists():
        save_episodes(made, path)
    return load_episodes(path, data)


def _parser() -> argparse.ArgumentParser:
    parser = cli.command("evaluate", __doc__)
    cli.add_data(parser, data="a data set's folder; with --group, their parent")
    cli.add_model(parser)
    what = parser.add_mutually_exclusive_group()
    cli.add_classes(what, required=False)
    what.add_argument("--fold", type=int, help="fold 0 to 3 of PASCAL-5i (voc) or COCO-20i (coco)")
    what.add_argument("--group", help=f"a group of {benchmark.NAME}: {', '.join(benchmark.GROUPS)}")
    parser.add_argument("--scheme", choices=("interleaved", "contiguous"), default="interleaved")
    cli.add_held_out(parser)
    cli.add_never_trained(parser)
    parser.add_argument("--rule", choices=("area", "grid"), default="area", help="see train.splits")
    parser.add_argument("--shots", type=int, default=1)
    cli.add_episodes(parser, benchmark.EPISODES, seeds=[0])
    parser.add_argument("--list", type=Path, help="a stored list of episodes")
    parser.add_argument("--method", choices=METHODS, default=Lfss.name)
    parser.add_argument("--weights", metavar="FOLDER", help="trained weights of another --method than lfss")
    parser.add_argument(
        "--decoder",
        nargs="+",
        default=[],
        metavar="NAME=FOLDER",
        help="trained decoders, or trained weights of TLG, to compare with LFSS",
    )
    parser.add_argument(
        "--beside", nargs="+", default=[], choices=METHODS, help="other methods to compare with LFSS"
    )
    parser.add_argument("--kind", choices=KINDS, default="label", help="how supports are marked")
    parser.add_argument(
        "--unknown-word", action="store_true", help="treat the labels as words that the model does not know"
    )
    parser.add_argument("--protocol", choices=PROTOCOLS, default="native")
    parser.add_argument("--presence", action="store_true", help="also score pictures without the class")
    parser.add_argument("--memory", type=float, default=2.0, help="GiB of encoder outputs in memory")
    parser.add_argument("--out", type=Path, required=True, help="a .json; a .png is drawn beside it")
    return parser


if __name__ == "__main__":
    sys.exit(main())
