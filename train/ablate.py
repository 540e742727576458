"""Change one choice of the method at a time and measure what it does.

    python -m train.ablate --data ../shared/data/voc --split train --classes cat,cow,dog,horse,sheep,person \
        --episodes 120 --preset train.teachers:vit --out results/ablate.json
    python -m train.ablate --data ../shared/data --group cat-cow --episodes 200 --seed 0 1 2 \
        --preset train.teachers:vit

Every variant sees the same episodes and the same encoder outputs, each computed once. Printed are
class-accumulated mIoU of the query's initial and refined masks, and of the fixed rule before and
after edges. The first four rows are the paper's Table 4, then Table 5 (window, alpha), then readings of what
the paper leaves open. Choices of the defaults were made on training photos with this command.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

from lfss.edge_network import EdgeNetwork, score_at_pixels
from lfss.images import Image
from lfss.methods import Episode, Role
from lfss.methods.lfss import Lfss, LfssConfig
from lfss.predictor import Predictor

from . import cli
from .data import benchmark
from .data.datasets import DataSet, write_text
from .data.encode import KINDS, prepare_episode
from .data.episodes import sample_episodes
from .data.remember import remember
from .measure.masks import enlarge
from .measure.metrics import PROTOCOLS, ClassIoU, sums_of

COLUMNS = ("initial", "refined", "final", "final, edges")


@dataclass(frozen=True)
class Variant:
    """A row: its name, its choices, and what it does to the encoded episode."""

    name: str
    config: LfssConfig
    change: Callable[[Episode], Episode] = lambda episode: episode


def one_level(index: int) -> Callable[[Episode], Episode]:
    """Only one level of the backbone's features."""

    def change(episode: Episode) -> Episode:
        (one,) = episode.classes
        supports = replace(one.supports, features=(one.supports.features[index],))
        return replace(
            episode,
            query_features=(episode.query_features[index],),
            classes=(replace(one, supports=supports),),
        )

    return change


def variants(levels: int, full: LfssConfig) -> Iterator[Variant]:
    """All rows, for a backbone of so many levels and a preset's own choices."""
    bare = replace(full, dps=False, refine=False, ccm=False)
    yield Variant("baseline: global prototype and RCM", bare)
    yield Variant("+ DPS", replace(bare, dps=True))
    yield Variant("+ mask refinement", replace(bare, dps=True, refine=True))
    yield Variant("+ CCM = all", full)
    yield Variant("all without DPS", replace(full, dps=False))
    yield Variant("all without refinement", replace(full, refine=False))
    for n in (1, 3, 5):
        for alpha in (0.1, 0.3, 0.5):
            if (n, alpha) != (full.window, full.alpha):
                yield Variant(f"window {n}, alpha {alpha}", replace(full, window=n, alpha=alpha))
    for t in (0.5, 5.0, 20.0):
        yield Variant(f"refiner's temperature {t:g} instead of 2", replace(full, refine_temperature=t))
    yield Variant("Eq. 4 as printed", replace(full, refine_form="literal", refine_temperature=1.0))
    yield Variant("Eq. 12 as printed (map of the support)", replace(full, geometry="literal"))
    yield Variant("attention temperature 0.1 instead of 1", replace(full, attention_temperature=0.1))
    yield Variant("nothing pooled (50 x 50 with 50 x 50)", replace(full, cells=64))
    if levels > 1:
        yield Variant("fine level only", full, one_level(0))
        yield Variant("coarse level only", full, one_level(-1))


def rule_variants(full: LfssConfig) -> Iterator[Variant]:
    """The constants of the fixed rule (``training_free_logits``), to fit them to a preset's features."""
    for sharpness in (0.0, 8.0, 16.0, 24.0):
        for limit in (3.0, 6.0):
            for roi in (0.6, 2.0):
                changed = replace(full, sharpness=sharpness, text_limit=limit, roi=roi)
                yield Variant(f"sharpness {sharpness:g}, text limit {limit:g}, roi {roi:g}", changed)


@torch.inference_mode()
def masks_of(
    variant: Variant, episode: Episode, query: Image, edges: EdgeNetwork | None = None
) -> dict[str, np.ndarray]:
    """(H, W) bool for each of ``COLUMNS``.

    Args:
        variant: of the method.
        episode: one, encoded (B = 1).
        query: its picture, (H, W).
        edges: corrects the score at pixels; without it the guided filter alone does.
    """
    changed = variant.change(episode)
    (one,) = changed.classes
    method = Lfss(tuple(f.shape[1] for f in changed.query_features), variant.config).eval()
    made = {s.key: s for s in method.steps(replace(changed, classes=(replace(one, prepared=None),)))}
    logits = made["prediction"].query("logits")[0, 0].float().cpu().numpy()
    masks = {}
    roles: dict[str, Role] = {"initial": "first_mask", "refined": "refined_mask"}
    for name, role in roles.items():
        stage = method.stage_of(role)
        assert stage is not None
        assert stage.query is not None
        masks[name] = enlarge(made[stage.step].query(stage.query)[0, 0].float(), query.size) >= 0.5
    return {
        **masks,
        "final": score_at_pixels(logits, query.pixels, snap=False) >= 0.5,
        "final, edges": score_at_pixels(logits, query.pixels, edges) >= 0.5,
    }


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit code."""
    return cli.run(_run, _parser().parse_args(arguments))


def _parser() -> argparse.ArgumentParser:
    parser = cli.command("ablate", __doc__)
    cli.add_data(parser, split="train", data="a data set's folder; with --group, their parent")
    cli.add_model(parser)
    what = parser.add_mutually_exclusive_group(required=True)
    cli.add_classes(what, required=False)
    what.add_argument("--group", help=f"a group of {benchmark.NAME}: {', '.join(benchmark.GROUPS)}")
    cli.add_held_out(parser)
    parser.add_argument("--rule", action="store_true", help="vary the constants of the fixed rule instead")
    parser.add_argument("--kind", choices=KINDS, default="label", help="how supports are marked")
    parser.add_argument("--shots", type=int, default=1)
    cli.add_episodes(parser, 120, seeds=[0])
    parser.add_argument("--out", type=Path, help="also write the table as JSON")
    return parser


def _run(args: argparse.Namespace) -> None:
    if args.group:
        group = benchmark.pick_group(args.group)
        data = benchmark.reporting_set(group, args.data, args.cache)
        names = benchmark.reported_classes(group, data)
    else:
        data, names = cli.read_data(args), args.classes
    predictor, _ = remember(Predictor.load(args.preset, device=args.device), args.cache)
    full = replace(predictor.preset.methods.get("lfss", LfssConfig()), decoder="none")
    levels = len(predictor.encoders.backbone.channels)
    rows = list(rule_variants(full) if args.rule else variants(levels, full))
    runs = [_scores(predictor, data, names, rows, args, seed) for seed in args.seed]
    table = {row.name: {c: _spread([run[row.name, c] for run in runs]) for c in COLUMNS} for row in rows}
    about = f"{args.shots}-shot, {args.kind}, {args.episodes} episodes, seeds {args.seed}"
    print(f"{args.preset}, {data.name} {data.split}: {', '.join(names)}; {about}")
    print(f"| variant | {' | '.join(COLUMNS)} |\n|---|{'---|' * len(COLUMNS)}")
    for name, scores in table.items():
        cells = (f"{100 * mean:.1f} ± {100 * spread:.1f}" for mean, spread in scores.values())
        print(f"| {name} | {' | '.join(cells)} |")
    if args.out:
        args.out.parent.mkdir(parents=True, exist_ok=True)
        write_text(args.out, json.dumps({"settings": vars(args), "table": table}, indent=1, default=str))


def _spread(values: list[float]) -> tuple[float, float]:
    """Mean and standard deviation."""
    return float(np.mean(values)), float(np.std(values))


def _scores(
    predictor: Predictor, data: DataSet, names: Sequence[str], rows: Sequence[Variant],
    args: argparse.Namespace, seed: int,
) -> dict[tuple[str, str], float]:  # fmt: skip
    """mIoU of each row and column over one list of episodes."""
    listed = sample_episodes(data, names, shots=args.shots, count=args.episodes, seed=seed)
    counts = {(row.name, column): ClassIoU(names) for row in rows for column in COLUMNS}
    for e in tqdm(listed.episodes, unit="episode", mininterval=2):
        given = prepare_episode(predictor, data, e, args.kind, seed=seed)
        query, episode = given.query, given.encode(predictor)
        for row in rows:
            masks = masks_of(row, episode, query.image, predictor.edges)
            sums = sums_of(masks, query.mask, query.ignore, protocol=PROTOCOLS["native"])
            for column in COLUMNS:
                counts[row.name, column].add(e.class_name, sums[column])
    return {key: count.compute().miou for key, count in counts.items()}


if __name__ == "__main__":
    sys.exit(main())
