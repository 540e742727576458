"""The annotator's curve: how many drafts can be used as they are, after how many photos were looked at.

    python -m train.annotate --data ../shared/data/voc --split val --classes cat,cow,dog,horse,sheep,person \
        --preset mini --photos 50 --rounds 3 --out results/annotate.json

The job of a person with a folder of photos of one thing. Round 0: a label and one photo on which nothing is
marked. Then, round by round, the ten most doubtful drafts are looked at: a draft that is good enough
(IoU 0.8) is accepted as it is, any other is corrected, that is, replaced by the true mask. What was looked
at serves as supports, and the drafts of the other photos are made again. Beside it the same job with
plain prototypes on the same features.

Two shares, means over the classes:

- ``rest``: of the photos that nobody has looked at yet, those whose draft is good enough.
- ``same``: of the photos that nobody ever looks at, which are the same ones in every round. Taking the
  worst drafts away cannot raise this one; only better supports can.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from tqdm import tqdm

from lfss.doubt import doubt
from lfss.errors import InputError
from lfss.images import Image
from lfss.labels import Label, parse_label
from lfss.methods.lfss import PreparedSupports
from lfss.predictor import Predictor
from lfss.prepared import Prepared
from lfss.similarity import concat_levels, cosine_map, masked_average
from lfss.stages import Prediction
from lfss.support import Support

from . import cli
from .data.datasets import DataSet, write_text
from .data.encode import AnnotatedPicture, Mask, annotated
from .data.episodes import Draws
from .data.remember import remember
from .data.weak import known_mask
from .measure.masks import enlarge
from .measure.metrics import overlap

GOOD = 0.8  # IoU from which a draft is used as it is
SHARPNESS = 10.0  # logits per unit of cosine, as in step 1; only the order of doubts depends on it
PLAIN = "plain prototypes"


class Draft(NamedTuple):
    """A mask (H, W) bool and how doubtful it is, higher first."""

    mask: Mask
    doubt: float


Segment = Callable[[Prepared, Image], Draft]


@dataclass(frozen=True)
class Round:
    """The state of one job after some photos were looked at.

    Attributes:
        looked: how many were looked at.
        quality: IoU of the draft of each photo that was not, by id.
        accepted: how many of those just looked at were good enough.
    """

    looked: int
    quality: Mapping[str, float]
    accepted: int = 0

    def usable(self, ids: Iterable[str] | None = None) -> float:
        """Share of the drafts that are good enough, of all or of some photos."""
        return _mean(self.quality[i] >= GOOD for i in (self.quality if ids is None else ids))


@dataclass(frozen=True)
class Curve:
    """Means over classes, one value a round.

    Attributes:
        looked: photos looked at, of each class.
        rest, same: shares of usable drafts, see above.
        done: share of all photos that were looked at or have a usable draft.
        iou: mean IoU of the drafts of the photos that ``same`` counts.
    """

    looked: list[int]
    rest: list[float]
    same: list[float]
    done: list[float]
    iou: list[float]


def run_job(
    predictor: Predictor, segment: Segment, photos: Mapping[str, AnnotatedPicture], label: Label, *,
    first: Image, rounds: int, each: int, shots: int,
) -> list[Round]:  # fmt: skip
    """One person's job on one class.

    Args:
        predictor: prepares the supports.
        segment: makes a draft.
        photos: by id, all showing the class.
        label: its name.
        first: the photo that stands beside the label at the start; none of ``photos``.
        rounds: how many times photos are looked at.
        each: how many photos a round.
        shots: at most so many supports, see ``pick_supports``.

    Returns:
        ``rounds + 1`` states, fewer if the photos run out.
    """
    prepared = predictor.prepare(label, [Support(first)])
    checked: dict[str, tuple[float, Support]] = {}
    states: list[Round] = []
    accepted = 0
    for number in range(rounds + 1):
        rest = [i for i in photos if i not in checked]
        drafts = {i: segment(prepared, photos[i].image) for i in rest}
        quality = {i: _iou(drafts[i].mask, photos[i]) for i in rest}
        states.append(Round(len(checked), quality, accepted))
        if number == rounds or len(rest) <= each:
            break
        now = sorted(rest, key=lambda i: -drafts[i].doubt)[:each]
        accepted = sum(quality[i] >= GOOD for i in now)
        for i in now:
            kept = drafts[i].mask if quality[i] >= GOOD else photos[i].mask
            checked[i] = drafts[i].doubt, Support(photos[i].image, known_mask(kept, photos[i].ignore))
        prepared = predictor.prepare(label, pick_supports(checked.values(), shots))
    return states


def pick_supports(checked: Iterable[tuple[float, Support]], shots: int) -> list[Support]:
    """Of the photos looked at, those whose drafts were least doubtful: plain views of the thing.

    The most doubtful ones are tiny, cut off or hidden. As supports they made drafts worse than the label
    alone (mean IoU 0.50 against 0.54 on training photos kept out of training; plain views 0.53).

    Args:
        checked: each with the doubt of its draft when it was looked at.
        shots: how many, at most.
    """
    return [support for _, support in sorted(checked, key=lambda pair: pair[0])[:shots]]


def segment_ours(predictor: Predictor, prepared: Prepared, image: Image) -> Draft:
    """The product's draft and its doubt."""
    prediction = predictor.predict(prepared, image, assume_present=True)
    return Draft(prediction.mask, doubt(prediction))


@torch.inference_mode()
def segment_plainly(predictor: Predictor, prepared: Prepared, image: Image) -> Draft:
    """Each pixel to the nearer of two prototypes: the mean object and the mean rest of the supports."""
    features = concat_levels(predictor.episode(prepared, image, assume_present=True).query_features)
    of_supports: PreparedSupports = prepared.encoded.prepared
    support = of_supports.features.flatten(0, 1)  # (K, C, h, w)
    inside = of_supports.masks.mask.flatten(0, 1)  # (K, h, w)
    near, far = (
        cosine_map(features, masked_average(support, cells).mean(0, keepdim=True))
        for cells in (inside, ~inside)
    )
    score = 1 / (1 + np.exp(-SHARPNESS * enlarge((near - far)[0], image.size)))
    prediction = Prediction(
        mask=score >= 0.5, score=score, presence=1.0, stages=(), label=prepared.label,
        preset=prepared.preset, threshold=0.5, seconds=0.0,
    )  # fmt: skip
    return Draft(prediction.mask, doubt(prediction))


def curve_of(jobs: Sequence[Sequence[Round]]) -> Curve:
    """Means over the classes of the rounds that every class has."""
    rounds = min(len(job) for job in jobs)
    ends = [list(job[rounds - 1].quality) for job in jobs]
    states = [[job[number] for job in jobs] for number in range(rounds)]
    return Curve(
        looked=[each[0].looked for each in states],
        rest=[_mean(state.usable() for state in each) for each in states],
        same=[_mean(state.usable(end) for state, end in zip(each, ends)) for each in states],
        done=[_mean(_done(state) for state in each) for each in states],
        iou=[_mean(_mean(s.quality[i] for i in end) for s, end in zip(each, ends)) for each in states],
    )


def _done(state: Round) -> float:
    count = state.looked + len(state.quality)
    return (state.looked + state.usable() * len(state.quality)) / count


def rises(values: Sequence[float]) -> bool:
    """Every value is higher than the one before it."""
    return all(later > earlier for earlier, later in pairwise(values))


def draw(curves: Mapping[str, Curve], path: Path) -> None:
    """Save the plot as a PNG on a white ground, so that it reads on light and dark pages."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(7.5, 4.6), layout="constrained", facecolor="white")
    for (name, curve), colour in zip(curves.items(), ("#c2185b", "#5c6773")):
        axes.plot(curve.looked, curve.rest, "o-", color=colour, label=f"{name}: photos not looked at yet")
        axes.plot(curve.looked, curve.same, "o--", color=colour, label=f"{name}: photos never looked at")
    axes.set(
        xlabel="photos looked at, of each class", ylabel="drafts usable as they are (IoU 0.8)", ylim=(0, 1)
    )
    axes.grid(alpha=0.3)
    axes.legend(fontsize="small")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=130, facecolor="white")
    pyplot.close(figure)


def _iou(mask: Mask, photo: AnnotatedPicture) -> float:
    both, either = overlap(mask, photo.mask, photo.ignore)
    return both / either if either else 1.0


def _mean(values: Iterable[float]) -> float:
    return float(np.mean(list(values)))


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit code."""
    command = cli.as_typed("annotate", arguments)
    return cli.run(partial(_run, command=command), _parser().parse_args(arguments))


def _run(options: argparse.Namespace, *, command: str) -> None:
    data = cli.read_data(options)
    predictor, _ = remember(Predictor.load(options.preset, device=options.device), None)
    methods: dict[str, Segment] = {
        predictor.preset.name: partial(segment_ours, predictor),
        PLAIN: partial(segment_plainly, predictor),
    }
    jobs: dict[str, dict[str, list[Round]]] = {method: {} for method in methods}
    for class_name in tqdm(options.classes, unit="class"):
        first, photos = draw_photos(data, class_name, count=options.photos, seed=options.seed)
        for method, segment in methods.items():
            jobs[method][class_name] = run_job(
                predictor, segment, photos, parse_label(class_name), first=first,
                rounds=options.rounds, each=options.each, shots=options.shots,
            )  # fmt: skip
    curves = {method: curve_of(list(found.values())) for method, found in jobs.items()}
    result: dict[str, Any] = {
        "command": command,
        "curves": {method: asdict(curve) for method, curve in curves.items()},
        "rises": {method: rises(curve.same) for method, curve in curves.items()},
        "by class": {
            method: {c: [_short(state) for state in job] for c, job in found.items()}
            for method, found in jobs.items()
        },
    }
    write_text(options.out, json.dumps(result, indent=1) + "\n")
    draw(curves, options.out.with_suffix(".png"))
    print(text_table(curves))


def draw_photos(
    data: DataSet, class_name: str, *, count: int, seed: int
) -> tuple[Image, dict[str, AnnotatedPicture]]:
    """The photo beside the label, and the photos of the job by id: at most ``count``, none twice.

    Args:
        data: the pictures.
        class_name: the job's label.
        count: how many photos the job has at most.
        seed: of the draw.

    Raises:
        InputError: fewer than three photos show enough of the class.
    """
    (class_id,) = data.class_ids([class_name])
    ids = data.ids_of(class_id)
    if len(ids) < 3:
        raise InputError(f"Only {len(ids)} photos of '{data.name}' show {class_name}; three are needed.")
    first, *others = Draws(f"annotate|{seed}|{class_name}").sample(ids, min(count + 1, len(ids)))
    return annotated(data, first, class_id).image, {i: annotated(data, i, class_id) for i in others}


def text_table(curves: Mapping[str, Curve]) -> str:
    """A line for each method and share, a column for each round; shares times 100."""
    looked = next(iter(curves.values())).looked
    lines = [f"{'photos looked at':40s}" + "".join(f"{n:8d}" for n in looked)]
    for name, curve in curves.items():
        for share in ("rest", "same", "done", "iou"):
            values = "".join(f"{100 * v:8.1f}" for v in getattr(curve, share))
            lines.append(f"{name + ', ' + share:40s}{values}")
    return "\n".join(lines)


def _short(state: Round) -> dict[str, float]:
    found = sum(iou >= GOOD for iou in state.quality.values())
    return {"looked": state.looked, "rest": len(state.quality), "usable": found, "accepted": state.accepted}


def _parser() -> argparse.ArgumentParser:
    parser = cli.command("annotate", __doc__)
    cli.add_data(parser)
    cli.add_model(parser)
    cli.add_classes(parser)
    parser.add_argument("--photos", type=int, default=40, help="of each class, at most")
    parser.add_argument("--rounds", type=int, default=3, help="how often photos are looked at")
    parser.add_argument("--each", type=int, default=10, help="photos looked at in a round")
    parser.add_argument("--shots", type=int, default=5, help="at most so many supports")
    parser.add_argument("--seed", type=int, default=0, help="which photos")
    parser.add_argument("--out", type=Path, required=True, help="a .json; a .png is drawn beside it")
    return parser


if __name__ == "__main__":
    sys.exit(main())
