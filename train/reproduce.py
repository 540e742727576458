"""A table of a paper by one command: data, trainings, tests, and the table beside the paper's.

    python -m train.reproduce lfss --table 1 --data ../data --download
    python -m train.reproduce lfss --table 4 --data ../data --sets pascal --devices 8
    python -m train.reproduce lfss --table 3 --data ../shared/data --backbones mini --quick

Tables 1 and 2 are PASCAL-5i and COCO-20i, 3 the pseudo masks, 4 and 5 the parts of the method; ``--figure
5`` compares matching inside the refined mask with matching all over. For each fold a decoder is trained on
the base classes with the paper's recipe (``train/configs/reproduce.json``: Adam 1e-3, 200 epochs, 400
pixels, circle training; batch, schedule and early end are this project's, since the paper does not tell
them) and tested on 1,000 episodes of the novel classes as the field does it (``hsnet``). Which state is
best, and when to end, is decided on base pictures that are not trained on.

What it will take is told before it starts, and what it took is in the results. Stop it at any time; the
same command goes on. ``--at-once`` runs several folds side by side, one on each GPU; ``--devices`` spreads
one training over several GPUs; ``--part 1/3`` does a third of the folds, so that machines with a common
folder share the work, and each of them prints the table of all that is finished. ``--quick`` makes
everything small, to see that it runs.

``python -m train.reproduce paia --table 5`` and ``tlg --table 1`` make the tables of the other papers; see
``train.paper.paia`` and ``train.paper.tlg``.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import fields, replace
from pathlib import Path

import torch

from lfss.errors import InputError

from . import cli
from .data.datasets import write_text
from .decoders.learning import Recipe
from .fit import read_recipe
from .maps import read_choices
from .paper.estimate import fit_cache, measure
from .paper.jobs import Job, Set, jobs_of
from .paper.run import RESULT, Plan, open_job, run_job
from .paper.tables import as_text, make_table, read_results
from .prepare import prepare

CONFIG = Path(__file__).parent / "configs" / "reproduce.json"
QUICK = {"epochs": 2, "epoch_episodes": 48, "checks": 2, "validate": 16, "patience": 0, "batch": 4}
QUICK_EPISODES = 40
_FOLDER: dict[Set, str] = {"pascal": "voc", "coco": "coco"}  # of the data, and what train.prepare calls it
_FLAGS = ("epochs", "epoch_episodes", "batch", "rate", "beta", "circle", "patience", "checks", "validate")


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    if given[:1] == ["paia"]:
        from .paper.paia import main as paia

        return paia(given[1:])
    if given[:1] == ["tlg"]:
        from .paper.tlg import main as tlg

        return tlg(given[1:])
    options = _parser().parse_args(given)
    options.given = given
    return cli.run(_run, options, stopped=cli.GOES_ON)


def _run(options: argparse.Namespace) -> int:
    plan = _plan(options)
    number = 0 if options.figure else options.table
    jobs = list(jobs_of(number, folds=options.folds, backbones=options.backbones, sets=options.sets))
    if options.only:
        return _one(next((j for j in jobs if j.name == options.only), None), plan)
    if options.download:
        for folder in dict.fromkeys(_FOLDER[job.set] for job in jobs):
            prepare(folder, options.data / folder)
    if not options.table_only:
        pending = [j for j in _part(jobs, options.part) if not (j.folder(plan.out) / RESULT).exists()]
        pending, plan = _estimate(pending, plan, options)
        if options.estimate_only:
            return 0
        _work(pending, plan, options)
    table = make_table(
        number,
        read_results(jobs, plan.out),
        backbones=options.backbones,
        sets=options.sets,
        command=plan.command,
    )
    name = f"table{number}" if number else "figure5"
    write_text(plan.out / f"{name}.json", json.dumps(table, indent=1))
    print(as_text(table))
    print(f"\n{plan.out / name}.json")
    return 0 if any(j for j in read_results(jobs, plan.out)) else 1


def _estimate(pending: list[Job], plan: Plan, options: argparse.Namespace) -> tuple[list[Job], Plan]:
    """Tell what the pending jobs will take; without folds that hold nothing, and with a form that fits."""
    kept: list[Job] = []
    printed: set[tuple[str, str]] = set()
    for job in pending:
        try:
            ready = open_job(job, replace(plan, form=None))
        except InputError as error:
            print(f"{job.name} is left out. {error}", file=sys.stderr)
            continue
        kept.append(job)
        if (job.set, job.backbone) in printed:
            continue
        printed.add((job.set, job.backbone))
        pictures = len(ready.fold.train.samples) + len(ready.fold.test.samples)
        form, sentence = fit_cache(ready, pictures, options.cache_gib, plan.cache)
        plan = replace(plan, form=form)
        print(f"{job.set}, {job.backbone}: {sentence}", file=sys.stderr)
        if not options.no_estimate:
            same = sum((j.set, j.backbone) == (job.set, job.backbone) for j in pending)
            cost = measure(ready, plan)
            print(f"  a fold: {cost}; {same} folds to do: {same * cost.hours:.2f} h", file=sys.stderr)
    if pending and not kept:
        raise InputError(f"None of these folds can be made from the data in '{options.data}'.")
    return kept, plan


def _work(jobs: Sequence[Job], plan: Plan, options: argparse.Namespace) -> None:
    """All jobs: in this process, or each in one of its own where several GPUs take part."""
    if options.at_once == 1 and plan.devices * plan.nodes == 1:
        for job in jobs:
            begun = time.perf_counter()
            result = run_job(job, plan, say=_say)
            if result is not None:
                memory = result["memory_bytes"] / 2**30
                _say(f"  {(time.perf_counter() - begun) / 60:.1f} min, memory {memory:.1f} GiB")
        return
    gpus = max(1, torch.cuda.device_count())
    with ThreadPoolExecutor(options.at_once) as pool:
        codes = list(pool.map(lambda job: _child(job, plan, options, gpus, jobs.index(job)), jobs))
    failed = [job.name for job, code in zip(jobs, codes) if code]
    if failed:
        raise InputError(
            f"{len(failed)} of {len(jobs)} jobs failed: {', '.join(failed)}. What they said is above."
        )


def _child(job: Job, plan: Plan, options: argparse.Namespace, gpus: int, place: int) -> int:
    """One job in a process of its own; side by side, each has its GPU."""
    environment = dict(os.environ)
    if options.at_once > 1 and torch.cuda.is_available():
        environment["CUDA_VISIBLE_DEVICES"] = str(place % gpus)
    form = ["--form", plan.form or "none"]
    command = [sys.executable, "-m", "train.reproduce", *options.given, "--only", job.name, *form]
    return subprocess.run(command, env=environment, check=False).returncode


def _one(job: Job | None, plan: Plan) -> int:
    """What a child process does."""
    if job is None:
        raise InputError("--only names no job of this table.")
    run_job(job, plan, say=_say)
    return 0


def _plan(options: argparse.Namespace) -> Plan:
    flags = {name: getattr(options, name) for name in _FLAGS}
    quick = QUICK if options.quick else {}
    chosen = {**quick, **{k: v for k, v in flags.items() if v is not None}}
    recipe, _ = read_recipe(options.config, {**chosen, "seed": options.seed})
    episodes = options.episodes or (QUICK_EPISODES if options.quick else 1000)
    return Plan(
        data=options.data,
        out=options.out,
        cache=options.cache,
        recipe=recipe,
        episodes=episodes,
        seed=options.seed,
        vocabulary=options.vocabulary,
        strict=options.strict,
        form=None if options.form == "none" else options.form,
        choices=tuple(sorted(read_choices(options.method).items())),
        device=options.device,
        devices=options.devices,
        nodes=options.nodes,
        workers=options.workers,
        command=cli.as_typed("reproduce", options.given),
    )


def _part(jobs: Sequence[Job], part: str) -> list[Job]:
    """``2/3`` takes the second, fifth ... job; raises InputError."""
    which, slash, of = part.partition("/")
    if not (slash and which.isdigit() and of.isdigit() and 1 <= int(which) <= int(of)):
        raise InputError(f"'{part}' is no part; write 1/3 for the first of three machines.")
    return list(jobs[int(which) - 1 :: int(of)])


def _say(text: str) -> None:
    print(text, file=sys.stderr)


def _parser() -> argparse.ArgumentParser:
    parser = cli.command("reproduce", __doc__)
    parser.add_argument("paper", choices=("lfss", "paia", "tlg"), help="whose tables")
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--table", type=int, choices=range(1, 6), help="1 to 5")
    what.add_argument("--figure", type=int, choices=(5,), help="5: with RCM alone, and with CCM")
    parser.add_argument("--data", type=Path, required=True, help="folder that holds voc and coco")
    parser.add_argument(
        "--download", action="store_true", help="fetch what is missing there first (VOC + SBD, COCO)"
    )
    parser.add_argument("--out", type=Path, default=Path("runs/reproduce"), help="results and trainings")
    cli.add_cache(parser)
    parser.add_argument("--folds", type=int, nargs="+", choices=range(4), default=[0, 1, 2, 3])
    parser.add_argument(
        "--backbones", nargs="+", default=["vgg16", "resnet50"],
        help="vgg16, resnet50, or any preset; Tables 3 to 5 use the last",
    )  # fmt: skip
    parser.add_argument("--sets", nargs="+", choices=("pascal", "coco"), default=["pascal", "coco"])
    parser.add_argument("--quick", action="store_true", help="few episodes and epochs, to see that it runs")
    parser.add_argument("--config", type=Path, default=CONFIG, help="the recipe; flags override it")
    for field in fields(Recipe):
        if field.name in _FLAGS:
            flag = f"--{field.name.replace('_', '-')}"
            action = {"action": argparse.BooleanOptionalAction} if field.name == "circle" else {}
            kind = {} if action else {"type": type(field.default)}
            parser.add_argument(flag, default=None, **action, **kind)  # type: ignore[arg-type]
    parser.add_argument("--episodes", type=int, help="of each test (default: 1000)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--vocabulary", choices=("names", "background"), default="names",
        help="what competes with the label: the data set's other names, as in the paper, or background words",
    )  # fmt: skip
    parser.add_argument("--strict", action="store_true", help="no training picture that shows a novel class")
    parser.add_argument(
        "--method",
        nargs="+",
        metavar="NAME=VALUE",
        default=[],
        help="other choices of the method, such as alpha=0.3",
    )
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or mps (default: auto)")
    parser.add_argument("--devices", type=int, default=1, help="GPUs or processes of one training")
    parser.add_argument("--nodes", type=int, default=1, help="machines of one training")
    parser.add_argument("--at-once", type=int, default=1, help="folds side by side, each on a GPU of its own")
    parser.add_argument(
        "--part", default="1/1", help="2/3: the second of three machines that share the folds"
    )
    parser.add_argument(
        "--workers", type=int, default=0, help="processes that read pictures, for each training"
    )
    parser.add_argument(
        "--cache-gib", type=float, default=200.0, help="room for encoder outputs; 0 keeps none"
    )
    parser.add_argument(
        "--form",
        choices=("float16", "int8", "int8-pooled", "none"),
        default="float16",
        help=argparse.SUPPRESS,
    )
    parser.add_argument("--no-estimate", action="store_true", help="do not time a few batches first")
    parser.add_argument("--estimate-only", action="store_true", help="tell what it would take, and stop")
    parser.add_argument("--table-only", action="store_true", help="only print what is finished")
    parser.add_argument("--only", help=argparse.SUPPRESS)
    return parser


if __name__ == "__main__":
    sys.exit(main())
