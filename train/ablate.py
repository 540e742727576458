"""Change one choice of the method at a time and measure what it does.

    python -m train.ablate --data ../shared/data/voc --split train --classes cat,cow,dog,horse,sheep,person \
        --episodes 120 --preset train.teachers:vit --out results/ablate.json

Every variant sees the same episodes and the same encoder outputs, each computed once. Printed are
class-accumulated mIoU of the query's initial and refined masks, and of the training-free read-out before and
after edges. The first four rows are the paper's Table 4, then Table 5 (window, alpha), then readings of what
the paper leaves open. Choices of the defaults were made on training photos with this command.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

from lfss.edges import to_pixels
from lfss.errors import LfssError
from lfss.images import Image
from lfss.labels import parse_label
from lfss.methods import Episode, Lfss, LfssConfig
from lfss.predictor import Predictor

from .data import open_data, write_text
from .episodes import EpisodeSpec, sample_episodes
from .metrics import ClassIoU
from .readouts import KINDS, Marked, enlarge, make_support
from .remember import remember

COLUMNS = ("initial", "refined", "final", "final, edges")


@dataclass(frozen=True)
class Variant:
    """A row: its name, its choices, and what it does to the encoded episode."""

    name: str
    config: LfssConfig
    change: Callable[[Episode], Episode] = lambda episode: episode


def one_level(index: int) -> Callable[[Episode], Episode]:
    """Only one level of the backbone's features."""
    return lambda e: replace(
        e, support_features=(e.support_features[index],), query_features=(e.query_features[index],)
    )


def variants(levels: int) -> Iterator[Variant]:
    """All rows, for a backbone of so many levels."""
    full = LfssConfig()
    bare = replace(full, dps=False, refine=False, ccm=False)
    yield Variant("baseline: global prototype and RCM", bare)
    yield Variant("+ DPS", replace(bare, dps=True))
    yield Variant("+ mask refinement", replace(bare, dps=True, refine=True))
    yield Variant("+ CCM = all", full)
    yield Variant("all without DPS", replace(full, dps=False))
    yield Variant("all without refinement", replace(full, refine=False))
    for n in (1, 5):
        yield Variant(f"window {n} instead of 3", replace(full, window=n))
    for alpha in (0.1, 0.3):
        yield Variant(f"alpha {alpha} instead of 0.5", replace(full, alpha=alpha))
    for t in (0.5, 5.0, 20.0):
        yield Variant(f"refiner's temperature {t:g} instead of 2", replace(full, refine_temperature=t))
    yield Variant("Eq. 4 as printed", replace(full, refine_form="literal", refine_temperature=1.0))
    yield Variant("Eq. 12 as printed (map of the support)", replace(full, geometry="literal"))
    yield Variant("attention temperature 0.1 instead of 1", replace(full, attention_temperature=0.1))
    yield Variant("nothing pooled (50 x 50 with 50 x 50)", replace(full, cells=64))
    if levels > 1:
        yield Variant("fine level only", full, one_level(0))
        yield Variant("coarse level only", full, one_level(-1))


@torch.inference_mode()
def masks_of(variant: Variant, episode: Episode, query: Image) -> dict[str, np.ndarray]:
    """(H, W) bool for each of ``COLUMNS``."""
    changed = replace(variant.change(episode), support_side=None)
    method = Lfss(tuple(f.shape[2] for f in changed.support_features), variant.config).eval()
    t = {step.key: step.tensors for step in method.steps(changed)}
    logits = t["prediction"]["logits"][0].float().cpu().numpy()
    return {
        "initial": enlarge(t["initial_mask"]["query"][0].float(), query.size) >= 0.5,
        "refined": enlarge(t["refined_mask"]["query"][0].float(), query.size) >= 0.5,
        "final": to_pixels(logits, query.pixels, snap=False) >= 0.5,
        "final, edges": to_pixels(logits, query.pixels) >= 0.5,
    }


def main() -> int:
    """Command line."""
    parser = argparse.ArgumentParser(
        prog="python -m train.ablate", description=(__doc__ or "").split("\n")[0]
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--layout", default="voc")
    parser.add_argument("--split", default="train")
    parser.add_argument("--classes", required=True, help="names, separated by commas")
    parser.add_argument("--kind", choices=KINDS, default="label", help="how supports are marked")
    parser.add_argument("--shots", type=int, default=1)
    parser.add_argument("--episodes", type=int, default=120)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--preset", default="mini")
    parser.add_argument("--cache", type=Path, default=Path("cache"))
    parser.add_argument("--out", type=Path, help="also write the table as JSON")
    args = parser.parse_args()
    names = args.classes.split(",")
    try:
        data = open_data(args.data, args.layout, split=args.split, cache=args.cache)
        listed = sample_episodes(data, names, shots=args.shots, count=args.episodes, seed=args.seed)
        predictor, _ = remember(Predictor.load(args.preset), args.cache)
    except (LfssError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2

    def marked(sample_id: str, e: EpisodeSpec) -> Marked:
        sample = data.sample(sample_id)
        return Marked(Image(sample.read_image(), sample.image.name), *sample.read_mask(e.class_id))

    rows = list(variants(len(predictor.encoders.backbone.channels)))
    counts = {(row.name, column): ClassIoU(names) for row in rows for column in COLUMNS}
    for e in tqdm(listed.episodes, unit="episode"):
        supports = [make_support(marked(s, e), args.kind, seed=f"{args.seed}|{s}") for s in e.supports]
        query = marked(e.query, e)
        prepared = predictor.prepare(parse_label(e.class_name), supports)
        episode = predictor.episode(prepared, query.image, assume_present=True)
        for row in rows:
            for column, mask in masks_of(row, episode, query.image).items():
                counts[row.name, column].update(e.class_name, mask, query.mask, query.ignore)
    scores = {key: count.compute().miou for key, count in counts.items()}
    print(f"{args.preset}, {args.split}: {args.classes}")
    print(f"{args.shots}-shot, {args.kind}, {args.episodes} episodes, seed {args.seed}")
    print(f"| variant | {' | '.join(COLUMNS)} |\n|---|{'---|' * len(COLUMNS)}")
    for row in rows:
        print(f"| {row.name} | {' | '.join(f'{scores[row.name, c]:.3f}' for c in COLUMNS)} |")
    if args.out:
        table = {row.name: {c: scores[row.name, c] for c in COLUMNS} for row in rows}
        args.out.parent.mkdir(parents=True, exist_ok=True)
        write_text(args.out, json.dumps({"settings": vars(args), "table": table}, indent=1, default=str))
    return 0


if __name__ == "__main__":
    sys.exit(main())
