"""TLG's tables: trained on each fold's base classes, tested beside LFSS, PAIA and the pseudo masks.

    python -m train.reproduce tlg --table 1 --data ../data --download
    python -m train.reproduce tlg --table 3 --data ../shared/data --backbones mini --folds 1 --quick

Table 1 is PASCAL-5i, 2 COCO-20i, each with and without the fusion with the query's own pseudo mask; 3 adds
the parts one by one (aggregation HA, transport HT, text HC). All rows come from the same encoders, pseudo
masks and episodes, with one and with five supports. Folds, training pairs and the choice of the best epoch
are those of LFSS's tables (``train.reproduce lfss``); the recipe is ``train/configs/reproduce_tlg.json``. A
result on other pictures than the official ones is called a subset. The same command goes on where it was
stopped.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from lfss.methods import Method
from lfss.methods.paia import Paia
from lfss.methods.tlg import Tlg, TlgConfig
from lfss.methods.tlg.weights import description

from .. import cli
from ..data.datasets import write_text
from ..decoders.learning import Recipe
from ..decoders.loop import finish, recipe_json
from ..decoders.tlg import TlgLearner
from ..fit import read_recipe
from ..maps import read_choices
from ..measure import report
from ..measure.scoring import Settings, evaluate, tally
from ..prepare import prepare
from .jobs import Job, Set
from .run import Plan, Ready, episodes_of, fit_fold, open_job
from .tables import miou_of

CONFIG = Path(__file__).parents[1] / "configs" / "reproduce_tlg.json"
QUICK: dict[str, Any] = {
    "epochs": 2, "epoch_episodes": 48, "checks": 2, "validate": 16, "patience": 0, "batch": 4
}  # fmt: skip
QUICK_EPISODES = 40
_FLAGS = ("epochs", "epoch_episodes", "batch", "rate", "patience", "checks", "validate")

# What is changed of the network, by name; "full" is all of it.
VARIANTS: dict[str, dict[str, Any]] = {
    "full": {},
    "alone": {"use_query_mask": False},
    "none": {"aggregation": False, "transport": False, "text": False},
    "HA": {"transport": False, "text": False},
    "HA+HT": {"text": False},
}
TABLES: dict[int, tuple[Set, tuple[str, ...]]] = {
    1: ("pascal", ("full", "alone")),
    2: ("coco", ("full", "alone")),
    3: ("pascal", ("none", "HA", "HA+HT", "full")),
}
ROWS = {
    "full": "TLG: fused with the query's pseudo mask",
    "alone": "TLG: the query's pseudo mask not used",
    "none": "TLG without HA, HT, HC",
    "HA": "+ HA",
    "HA+HT": "+ HT",
    "refined": "the query's pseudo mask alone",
    "final": "LFSS: fixed rule, nothing trained",
    "paia": "PAIA: prototypes, nothing trained",
    "prototype, true mask": "plain prototypes of the supports' true masks",
    "all foreground": "every pixel is object",
}
# Of the paper, ResNet-50: folds and mean with one and with five supports; Table 3 has one support only.
PUBLISHED: dict[int, dict[str, dict[int, tuple[float, ...]]]] = {
    1: {"TLG, the paper, ResNet-50": {
        1: (75.4, 81.8, 77.4, 74.0, 77.2), 5: (75.9, 82.6, 77.7, 75.3, 77.9)
    }},
    2: {"TLG, the paper, ResNet-50": {
        1: (47.7, 56.3, 51.3, 50.8, 51.5), 5: (47.7, 56.6, 51.0, 51.1, 51.6)
    }},
    3: {
        "none, the paper": {1: (67.5,)}, "+ HA, the paper": {1: (74.5,)}, "+ HT, the paper": {1: (76.7,)},
        "+ HC, the paper": {1: (77.2,)},
    },
}  # fmt: skip


@dataclass(frozen=True)
class TlgPlan:
    """What all folds of a table share.

    Attributes:
        plan: data, folders, recipe, device and others, as for LFSS; its seed is not used.
        variants: keys of ``VARIANTS``.
        shots: numbers of supports that are tested.
        seeds: of the tests' lists.
        choices: of ``TlgConfig``, beside those of the variant.
    """

    plan: Plan
    variants: tuple[str, ...]
    shots: tuple[int, ...]
    seeds: tuple[int, ...]
    choices: Mapping[str, Any]


def main(arguments: Sequence[str]) -> int:
    """Make one table; returns the exit code."""
    command = " ".join(["python -m train.reproduce tlg", *arguments])
    return cli.run(lambda o: _run(o, command), _parser().parse_args(arguments), stopped=cli.GOES_ON)


def _run(options: argparse.Namespace, command: str) -> None:
    given = _plan(options, command)
    name, _ = TABLES[options.table]
    if options.download:
        folder = {"pascal": "voc", "coco": "coco"}[name]
        prepare(folder, options.data / folder)
    made: dict[str, Any] = {}
    for backbone in options.backbones:
        results = made[backbone] = {}
        for fold in options.folds:
            result = run_fold(Job(name, backbone, "full", fold), given)
            if result is None:
                return
            results[str(fold)] = result
    table = {"command": command, "table": options.table, "results": made}
    write_text(options.out / f"tlg-table{options.table}.json", json.dumps(table, indent=1))
    print(as_text(options.table, made, given.shots))


def run_fold(job: Job, given: TlgPlan) -> dict[str, Any] | None:
    """Train all variants of a fold and test them together; None in all processes but the first.

    Args:
        job: set, backbone and fold.
        given: the plan.

    Raises:
        InputError, WeightsError: data or weights are not there.
    """
    folder = given.plan.out / "tlg" / Path(job.name).parents[1] / f"fold{job.fold}"
    ready = open_job(job, given.plan)
    beside: dict[str, Method] = {"paia": Paia().eval()}
    for variant in given.variants:
        choices = TlgConfig(**{**given.choices, **VARIANTS[variant]})
        weights = train(ready, given, folder / variant, choices)
        if weights is None:
            return None
        backbone = ready.predictor.encoders.backbone
        built = Tlg.build(backbone=backbone.name, channels=backbone.channels, weights=str(weights))
        beside[variant] = built.eval().requires_grad_(False).to(ready.predictor.device)
    tests = {str(shots): test(ready, given, folder, beside, shots) for shots in given.shots}
    return {"title": ready.fold.title, "official": ready.fold.official, "shots": tests}


def train(ready: Ready, given: TlgPlan, out: Path, choices: TlgConfig) -> Path | None:
    """Train one variant on the fold's base classes; returns the weights' folder.

    Args:
        ready: the fold and the encoders.
        given: the plan.
        out: folder of this training.
        choices: of the network.
    """
    if (out / "tlg" / "config.json").exists():
        return out / "tlg"
    plan, backbone = given.plan, ready.predictor.encoders.backbone
    what = description(choices, backbone=backbone.name, channels=backbone.channels)
    about = {"recipe": recipe_json(plan.recipe), "trained_on": [ready.job.preset], "choices": what["config"]}
    learner, best = fit_fold(
        ready, plan, out, about, ready.fold.title,
        lambda: TlgLearner(plan.recipe, ready.fold.base, backbone.channels, choices=choices),
    )  # fmt: skip
    if best is None:
        return None
    return finish(out, best, learner, "averaged.module.", {**what, **about}, name="tlg")


def test(
    ready: Ready, given: TlgPlan, folder: Path, beside: Mapping[str, Method], shots: int
) -> dict[str, Any]:
    """Scores of all rows over the lists of one number of supports, as kept if they were made before.

    Args:
        ready: the fold and the encoders.
        given: the plan.
        folder: where results go.
        beside: trained variants and PAIA, by name.
        shots: supports of an episode.
    """
    plan = given.plan
    lists = [episodes_of(ready.fold, replace(plan, seed=seed), shots=shots) for seed in given.seeds]
    settings = Settings(
        ready.job.preset, "label", "hsnet", tuple(e.digest for e in lists), False,
        tuple((name, str(folder / name)) for name in beside),
    )  # fmt: skip
    folder.mkdir(parents=True, exist_ok=True)
    part = folder / f"{shots}-shot-{'-'.join(beside)}.partial"
    records = evaluate(ready.predictor, ready.fold.test, lists, settings, partial=part, beside=beside)
    runs = [tally([r for r in records if r.seed == e.seed], e, settings.protocol) for e in lists]
    return report.clean(report.summarise(runs))


def as_text(number: int, made: Mapping[str, Any], shots: Sequence[int]) -> str:
    """The table as Markdown, the paper's figures below."""
    titles = {r["title"] for results in made.values() for r in results.values() if not r["official"]}
    lines = [f"TLG, Table {number}. mIoU in percent, label only."]
    if titles:
        lines.append(f"No official result: {'; '.join(sorted(titles))}.")
    for k in shots:
        heads = list(next(iter(made.values())))
        lines += ["", f"| {k}-shot | {' | '.join(f'fold {f}' for f in heads)} | mean |"]
        lines.append(f"|---|{'---|' * (len(heads) + 1)}")
        for backbone, results in made.items():
            for name, values in _rows(results, k):
                cells = [*values, sum(values) / len(values)]
                lines.append(f"| {backbone}: {name} | {' | '.join(f'{v:.1f}' for v in cells)} |")
        for name, of in PUBLISHED[number].items():
            if k in of:
                lines.append(f"| *{name}* | all folds: {', '.join(f'{v:.1f}' for v in of[k])} |")
    return "\n".join(lines)


def _rows(results: Mapping[str, Any], shots: int) -> Iterator[tuple[str, list[float]]]:
    """Names and figures of the folds, of the rows that are there."""
    for key, name in ROWS.items():
        found = [(result["shots"][str(shots)].get(key), result["official"]) for result in results.values()]
        if all(row for row, _ in found):
            yield name, [miou_of(row, official=official) or 0.0 for row, official in found]


def _plan(options: argparse.Namespace, command: str) -> TlgPlan:
    flags = {name: getattr(options, name) for name in _FLAGS}
    quick = QUICK if options.quick else {}
    recipe, more = read_recipe(options.config, {**quick, **{k: v for k, v in flags.items() if v is not None}})
    plan = Plan(
        data=options.data, out=options.out, cache=options.cache, recipe=recipe,
        episodes=options.episodes or (QUICK_EPISODES if options.quick else 1000),
        vocabulary=options.vocabulary, strict=options.strict, device=options.device,
        devices=options.devices, workers=options.workers, command=command,
    )  # fmt: skip
    choices = {**more.get("method", {}), **read_choices(options.set, TlgConfig)}
    return TlgPlan(plan, TABLES[options.table][1], tuple(options.shots), tuple(options.seed), choices)


def _parser() -> argparse.ArgumentParser:
    parser = cli.command("reproduce tlg", __doc__)
    parser.add_argument("--table", type=int, choices=TABLES, required=True)
    parser.add_argument("--data", type=Path, required=True, help="folder that holds voc and coco")
    parser.add_argument("--download", action="store_true", help="fetch what is missing there first")
    parser.add_argument("--out", type=Path, default=Path("runs/reproduce"), help="results and trainings")
    cli.add_cache(parser)
    parser.add_argument("--folds", type=int, nargs="+", choices=range(4), default=[0, 1, 2, 3])
    parser.add_argument("--backbones", nargs="+", default=["vgg16", "resnet50"], help="or any preset")
    parser.add_argument("--shots", type=int, nargs="+", default=[1, 5])
    parser.add_argument("--seed", type=int, nargs="+", default=[0], help="one list of episodes for each")
    parser.add_argument("--episodes", type=int, help="of each list (default: 1000)")
    parser.add_argument("--quick", action="store_true", help="few episodes and epochs, to see that it runs")
    parser.add_argument("--config", type=Path, default=CONFIG, help="the recipe; flags override it")
    for field in fields(Recipe):
        if field.name in _FLAGS:
            parser.add_argument(f"--{field.name.replace('_', '-')}", type=type(field.default))
    parser.add_argument(
        "--set", nargs="+", metavar="NAME=VALUE", default=[], help="other choices of TLG, such as width=64"
    )
    parser.add_argument("--vocabulary", choices=("names", "background"), default="names")
    parser.add_argument("--strict", action="store_true", help="no training picture that shows a novel class")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or mps (default: auto)")
    parser.add_argument("--devices", type=int, default=1, help="GPUs or processes of one training")
    parser.add_argument("--workers", type=int, default=0, help="processes that read pictures")
    return parser
