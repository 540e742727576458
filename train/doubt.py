"""Does the order by doubt put the bad drafts first?

    python -m train.doubt --data ../shared/data/voc --split val --preset mini --episodes 120 --out doubt.json

One-shot episodes, label only, as in the app. A draft is bad if its IoU with the truth is below 0.8. For
``lfss.doubt`` and for plain scores it prints the ROC AUC: how often a bad
draft stands before a good one, 0.5 being chance. Intervals hold 95 % of bootstrap draws over episodes.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from lfss.doubt import confidence, doubt
from lfss.errors import InputError
from lfss.predictor import Predictor
from lfss.stages import Prediction

from . import cli
from .data.datasets import DataSet, write_text
from .data.encode import drafts_of, prepare_episode
from .data.episodes import EpisodeSpec, sample_episodes
from .measure.metrics import overlap, roc_auc

DOUBT, PLAIN = "doubt", "plain: 1 - mean score in the mask"
CERTAINTY = "plain: 1 - mean |2p - 1|"


@dataclass(frozen=True)
class Judged:
    """One draft: IoU with the truth, and how early each order would show it (higher is earlier)."""

    class_name: str
    query: str
    iou: float
    orders: dict[str, float]


@dataclass(frozen=True)
class Quality:
    """How well one order finds bad drafts.

    Attributes:
        auc, low, high: ROC AUC and its 95 % interval.
        gain, gain_low, gain_high: AUC minus that of ``PLAIN`` on the same drafts.
        first_fifth: share of bad drafts among the fifth that is shown first.
    """

    auc: float
    low: float
    high: float
    gain: float
    gain_low: float
    gain_high: float
    first_fifth: float


def orders_of(prediction: Prediction) -> dict[str, float]:
    """Every order's number for one prediction, each in [0, 1]."""
    sure = confidence(prediction.score, prediction.mask, presence=prediction.presence)
    return {
        DOUBT: doubt(prediction),
        PLAIN: 1 - sure,
        CERTAINTY: 1 - float(np.abs(2 * prediction.score - 1).mean()),
        "plain: mean score in the mask, or presence": 1 - min(sure, abs(2 * prediction.presence - 1)),
        "plain: presence": 1 - abs(2 * prediction.presence - 1),
    }


def judge(predictor: Predictor, data: DataSet, spec: EpisodeSpec, *, assume_present: bool) -> Judged:
    """Segment one episode's query as the app would, and compare the draft with the truth.

    Args:
        predictor: loaded.
        data: the pictures.
        spec: the episode.
        assume_present: no presence check.

    Raises:
        NoForeground: no support shows the object, so there is no draft.
    """
    given = prepare_episode(predictor, data, spec, "label", seed=0)
    query = given.query
    prediction = predictor.predict(given.prepared, query.image, assume_present=assume_present)
    both, either = overlap(prediction.mask, query.mask, query.ignore)
    return Judged(spec.class_name, spec.query, both / either if either else 1.0, orders_of(prediction))


def compare(judged: Sequence[Judged], *, limit: float, draws: int, seed: int) -> dict[str, Quality]:
    """Quality of each order that all drafts have.

    Args:
        judged: the drafts.
        limit: a draft is bad below this IoU.
        draws: of the bootstrap.
        seed: of the bootstrap.

    Raises:
        InputError: there is no draft, all are good, or all are bad.
    """
    if not judged:
        raise InputError(
            "There is no draft to judge. Give more --episodes, or classes that the preset knows."
        )
    bad = np.array([j.iou < limit for j in judged])
    names = [n for n in judged[0].orders if all(n in j.orders for j in judged)]
    values = {n: np.array([j.orders[n] for j in judged]) for n in names}
    point = {n: roc_auc(v.tolist(), bad.tolist()) for n, v in values.items()}
    samples = _bootstrap(values, bad, draws, np.random.default_rng(seed))
    fifth = max(1, round(len(judged) / 5))
    found = {}
    for name, value in values.items():
        gains = samples[name] - samples[PLAIN]
        low, high = np.percentile(samples[name], (2.5, 97.5))
        gain_low, gain_high = np.percentile(gains, (2.5, 97.5))
        first = np.argsort(-value, kind="stable")[:fifth]
        found[name] = Quality(
            point[name], float(low), float(high), point[name] - point[PLAIN],
            float(gain_low), float(gain_high), float(bad[first].mean()),
        )  # fmt: skip
    return found


def _bootstrap(
    values: Mapping[str, npt.NDArray[np.float64]], bad: npt.NDArray[np.bool_], draws: int,
    rng: np.random.Generator,
) -> dict[str, npt.NDArray[np.float64]]:  # fmt: skip
    """AUCs on ``draws`` samples with repetition, the same samples for every order."""
    found: dict[str, list[float]] = {name: [] for name in values}
    while len(found[PLAIN]) < draws:
        picked = rng.integers(0, len(bad), len(bad))
        if bad[picked].all() or not bad[picked].any():
            continue  # a sample of one kind has no AUC
        for name, value in values.items():
            found[name].append(roc_auc(value[picked].tolist(), bad[picked].tolist()))
    return {name: np.array(aucs) for name, aucs in found.items()}


def table(found: Mapping[str, Quality]) -> str:
    """Markdown, the best order first."""
    lines = [
        "| order | ROC AUC | 95 % | beside plain | 95 % | bad in the first fifth |",
        "|---|---|---|---|---|---|",
    ]
    for name, q in sorted(found.items(), key=lambda item: -item[1].auc):
        lines.append(
            f"| {name} | {q.auc:.3f} | {q.low:.3f} to {q.high:.3f} | {q.gain:+.3f} | "
            f"{q.gain_low:+.3f} to {q.gain_high:+.3f} | {q.first_fifth:.0%} |"
        )
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit code."""
    command = cli.as_typed("doubt", arguments)
    return cli.run(lambda options: _run(options, command), _parser().parse_args(arguments))


def _run(options: argparse.Namespace, command: str) -> None:
    data = cli.read_data(options)
    wanted = options.classes or _classes(data)
    episodes = sample_episodes(data, wanted, shots=1, count=options.episodes, seed=options.seed)
    predictor = Predictor.load(options.preset, device=options.device)
    judged = drafts_of(
        episodes, lambda spec: judge(predictor, data, spec, assume_present=options.assume_present)
    )
    bad = sum(j.iou < options.limit for j in judged)
    print(
        f"{len(judged)} drafts ({len(episodes.episodes) - len(judged)} episodes gave none) of "
        f"{len(wanted)} classes, {options.preset}, seed {options.seed}: {bad} below IoU {options.limit}, "
        f"mean IoU {np.mean([j.iou for j in judged]) if judged else 0:.3f}"
    )
    found = compare(judged, limit=options.limit, draws=options.draws, seed=options.seed)
    print(table(found))
    if options.out:
        content = {
            "command": command,
            "usable": usable(judged, options.limit),
            "settings": {k: str(v) if isinstance(v, Path) else v for k, v in vars(options).items()},
            "classes": wanted,
            "episodes": episodes.digest,
            "drafts": len(judged),
            "bad": bad,
            "orders": {name: asdict(quality) for name, quality in found.items()},
            "judged": [asdict(j) for j in judged],
        }
        write_text(options.out, json.dumps(content, indent=1) + "\n")


def usable(judged: Sequence[Judged], limit: float) -> dict[str, float]:
    """Share of the drafts that reach an IoU of ``limit``, of all and of each class."""
    by_class = {"all": list(judged)} | {
        name: [j for j in judged if j.class_name == name] for name in sorted({j.class_name for j in judged})
    }
    return {name: float(np.mean([j.iou >= limit for j in drafts])) for name, drafts in by_class.items()}


def _classes(data: DataSet) -> list[str]:
    """Classes with at least two pictures that show enough of them."""
    names = [name for number, name in sorted(data.classes.items()) if len(data.ids_of(number)) >= 2]
    if not names:
        raise InputError(f"'{data.name}' has no class with two pictures. Give another --data or --split.")
    return names


def _parser() -> argparse.ArgumentParser:
    parser = cli.command("doubt", __doc__)
    cli.add_data(parser)
    cli.add_model(parser)
    cli.add_classes(
        parser, required=False, about="names, separated by commas (default: all with two pictures)"
    )
    cli.add_episodes(parser, 120)
    parser.add_argument(
        "--limit", type=float, default=0.8, help="a draft is bad below this IoU (default: 0.8)"
    )
    parser.add_argument("--draws", type=int, default=2000, help="of the bootstrap (default: 2000)")
    parser.add_argument("--assume-present", action="store_true", help="skip the check of presence")
    parser.add_argument("--out", type=Path, default=None, help="write all figures as JSON")
    return parser


if __name__ == "__main__":
    sys.exit(main())
