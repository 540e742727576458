"""How well a mask is parted into objects, against the instances of COCO.

    python -m train.objects --data ../shared/data/coco --masks 100 --drafts 25 \\
        --out docs/results/objects-mini.json

Connected parts and ``lfss.separation`` part two kinds of masks: COCO's own mask of a label, which is the
union of its instances, and a preset's draft of it (``--drafts``), where the hills may also be those of the
method's maps. A draft is made with one support, the training picture that shows most of the label, marked
by its mask.

An instance belongs to the piece that has most of its pixels, and a piece to the instance it has most pixels
of. ``under`` is the share of instances that share their piece with another one, ``over`` the share of
pieces that are further pieces of an instance, ``exact`` the share of masks whose count is right, ``f1``
that of pieces and instances with an IoU above 0.5. Of a draft only instances count of which it covers half.

Heights and strength are chosen by ``f1`` on train2017 alone (``chosen``), and everything is told for
val2017; drafts of val2017 are made only of pictures that the preset ``mini`` was never trained on.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
from tqdm import tqdm

from lfss.errors import InputError
from lfss.images import read_image
from lfss.labels import parse_label
from lfss.objects import parts
from lfss.predictor import Predictor
from lfss.prepared import Prepared
from lfss.separation import separate
from lfss.support import Support

from . import cli
from .data.classmaps import covered
from .data.datasets import write_text
from .data.layouts import Shapes, Source, scan
from .data.weak import known_mask
from .mini.photos import fraction, split_rule

STRENGTHS = (0.3, 0.4, 0.5, 0.6, 0.7, 0.8)
SMALLEST = 0.002  # of the picture: smaller instances do not count, nor do labels without a larger one
SPLITS = ("train2017", "val2017")
PARTS = "connected parts"

Mask = npt.NDArray[np.bool_]
Numbers = npt.NDArray[np.integer]


@dataclass(frozen=True, eq=False)
class Case:
    """One label on one picture.

    Attributes:
        source: the picture.
        class_id: its label.
        instances: (N, H, W) masks of the label's instances.
    """

    source: Source
    class_id: int
    instances: Mask


@dataclass
class Tally:
    """Sums over masks: instances and pieces, those that share or repeat, exact counts, pairs that fit."""

    masks: int = 0
    instances: int = 0
    pieces: int = 0
    shared: int = 0
    repeated: int = 0
    exact: int = 0
    fitting: int = 0

    def add(self, instances: Mask, numbers: Numbers) -> None:
        """Count one mask.

        Args:
            instances: (N, H, W).
            numbers: (H, W) piece of each pixel, 0 outside.
        """
        pieces = np.unique(numbers[numbers > 0])
        overlaps = np.array([[np.count_nonzero(i & (numbers == p)) for p in pieces] for i in instances])
        sizes = np.array([np.count_nonzero(numbers == p) for p in pieces])
        areas = instances.sum((1, 2))
        self.masks += 1
        self.instances += len(instances)
        self.pieces += len(pieces)
        self.exact += len(instances) == len(pieces)
        self.shared += len(instances) - len(set(overlaps.argmax(1).tolist()))
        self.repeated += len(pieces) - len(set(overlaps.argmax(0).tolist()))
        iou = overlaps / (areas[:, None] + sizes[None] - overlaps)
        self.fitting += int((iou > 0.5).sum())  # above a half, pairs are unique

    def figures(self) -> dict[str, float]:
        """The measures of the module's text."""
        return {
            "masks": self.masks,
            "instances": self.instances,
            "pieces": self.pieces,
            "under": self.shared / max(self.instances, 1),
            "over": self.repeated / max(self.pieces, 1),
            "exact": self.exact / max(self.masks, 1),
            "f1": 2 * self.fitting / max(self.instances + self.pieces, 1),
        }


@dataclass
class Tallies:
    """A tally for each way of parting, by its name."""

    found: dict[str, Tally] = field(default_factory=dict)

    def add(self, instances: Mask, mask: Mask, heights: Mapping[str, npt.NDArray[np.float32] | None]) -> None:
        """Part a mask in every way; all are (H, W). Heights by name, None is the distance to the border."""
        self.found.setdefault(PARTS, Tally()).add(instances, parts(mask))
        for name, height in heights.items():
            for strength in STRENGTHS:
                tally = self.found.setdefault(f"{name}, {strength}", Tally())
                tally.add(instances, separate(mask, strength, heights=height))


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line."""
    parser = cli.command("objects", __doc__)
    parser.add_argument("--data", type=Path, required=True, help="a data set's folder in the layout coco")
    parser.add_argument(
        "--masks", type=int, default=100, metavar="N", help="COCO's masks of each split (default: 100)"
    )
    parser.add_argument(
        "--drafts", type=int, default=0, metavar="N", help="also part N drafts of each split (default: none)"
    )
    cli.add_model(parser)
    cli.add_result(parser)
    options = parser.parse_args(arguments)
    options.command = cli.as_typed("objects", arguments)
    return cli.run(_run, options)


def _run(options: argparse.Namespace) -> None:
    result: dict[str, object] = {"command": options.command}
    cases = {split: list(cases_of(options.data, split)) for split in SPLITS}
    own = {split: _of_coco(_spread(cases[split], options.masks)) for split in SPLITS}
    result["coco"] = _chosen(own)
    if options.drafts:
        predictor = Predictor.load(options.preset, device=options.device)
        drafts = {s: _of_drafts(predictor, cases, s, options.data, options.drafts) for s in SPLITS}
        result |= {"preset": options.preset, "drafts": _chosen(drafts)}
    write_text(options.out, json.dumps(result, indent=1))
    for name in ("coco", "drafts"):
        if isinstance(measured := result.get(name), dict):
            print(f"{name}: chosen on train2017: {measured['chosen']}")


def cases_of(root: Path, split: str) -> Iterator[Case]:
    """Every label of every picture of a split whose instances are all known; those with crowds are not.

    Raises:
        InputError: no such data set or split.
    """
    for source in scan(root, "coco", split).sources:
        label = source.label
        assert isinstance(label, Shapes)
        for class_id in sorted({shape.class_id for shape in label.shapes}):
            shapes = [shape for shape in label.shapes if shape.class_id == class_id]
            if any(shape.crowd for shape in shapes):
                continue
            masks = np.stack([covered(shape, label) for shape in shapes])
            masks = masks & (np.cumsum(masks, 0) == 1)  # where two overlap, the earlier one's pixels
            masks = masks[masks.sum((1, 2)) >= SMALLEST * masks[0].size]
            if len(masks):
                yield Case(source, class_id, masks)


def _spread(cases: Sequence[Case], most: int) -> Sequence[Case]:
    """At most so many of the cases, evenly over all of them."""
    places = np.linspace(0, len(cases) - 1, min(most, len(cases))).round().astype(int)
    return [cases[place] for place in places.tolist()]


def _of_coco(cases: Sequence[Case]) -> Tallies:
    tallies = Tallies()
    for case in tqdm(cases, desc="COCO's masks", mininterval=5):
        tallies.add(case.instances, case.instances.any(0), {"distance": None})
    return tallies


def _of_drafts(
    predictor: Predictor, cases: Mapping[str, Sequence[Case]], split: str, root: Path, most: int
) -> Tallies:
    """Drafts of the pictures of a split, spread evenly, with supports of train2017."""
    names = scan(root, "coco", split).classes
    share = split_rule()["share"]["coco"]
    chosen = [c for c in cases[split] if c.instances.any(0).mean() > 0.02]
    if split != SPLITS[0]:
        chosen = [c for c in chosen if fraction(c.source.image.stem) < share]
    tallies, prepared = Tallies(), dict[Path, Prepared]()
    for case in tqdm(_spread(chosen, most), desc=f"drafts, {split}", mininterval=5):
        support = _support_of(case, cases[SPLITS[0]])
        if support is None:
            continue
        place = support.source.image / str(case.class_id)
        if place not in prepared:
            given = Support(
                read_image(support.source.image), known_mask(np.asarray(support.instances.any(0)))
            )
            prepared[place] = predictor.prepare(parse_label(names[case.class_id]), [given])
        _add_draft(tallies, predictor, prepared[place], case)
    return tallies


def _support_of(case: Case, training: Sequence[Case]) -> Case | None:
    """The training picture, another than the case's own, that shows most of the label."""
    others = [c for c in training if c.class_id == case.class_id and c.source.id != case.source.id]
    return max(others, key=lambda c: float(c.instances.any(0).mean()), default=None)


def _add_draft(tallies: Tallies, predictor: Predictor, prepared: Prepared, case: Case) -> None:
    image = read_image(case.source.image)
    prediction = predictor.predict(prepared, image, assume_present=True)
    mask = prediction.mask
    shown = (case.instances & mask).sum((1, 2)) >= 0.5 * case.instances.sum((1, 2))
    if not shown.any():
        return
    fcm = np.asarray(prediction.stage("fcm").query, np.float32)
    fcm = cv2.resize(fcm - fcm.min(), mask.shape[::-1], interpolation=cv2.INTER_CUBIC)
    score = np.asarray(prediction.score, np.float32)
    distance = cv2.distanceTransform(mask.view(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    heights = {"distance": None, "FCM": fcm, "score": score, "distance x score": distance * score}
    tallies.add(case.instances[shown], mask, heights)


def _chosen(tallies: Mapping[str, Tallies]) -> dict[str, object]:
    """The figures of both splits, and what train2017 says is best of each kind of heights.

    Raises:
        InputError: a split has no mask.
    """
    first, second = (tallies[split].found for split in SPLITS)
    if not first or not second:
        raise InputError("A split has no mask to part. Give more pictures, or a larger --drafts.")
    best: dict[str, str] = {}
    for name, tally in first.items():
        kind = name.rpartition(", ")[0] or name
        if kind not in best or tally.figures()["f1"] > first[best[kind]].figures()["f1"]:
            best[kind] = name
    overall = max(best.values(), key=lambda name: first[name].figures()["f1"])
    return {
        "chosen": overall,
        "best": {kind: {s: tallies[s].found[name].figures() | {"way": name} for s in SPLITS}
                 for kind, name in best.items()},
        "all": {s: {name: t.figures() for name, t in tallies[s].found.items()} for s in SPLITS},
    }  # fmt: skip


if __name__ == "__main__":
    sys.exit(main())
