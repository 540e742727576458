"""Fill the figures of mini's model card from files that commands wrote, so that none is copied by hand.

    python -m train.card --model assets/models/mini --results results/*.json

Results of ``train.evaluate`` and ``train.annotate`` are added to the model's figures.json first, by the name
of their file; without ``--results`` only the card is written again. The card holds blocks such as ::

    <!-- figures: words -->
    <!-- end -->

and what stands between two such lines is replaced; all other text is for people to write.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from lfss.encoders.vocabulary import WordFigures, read_table
from lfss.errors import InputError
from lfss.weights import CONFIG

from . import cli
from .data.datasets import write_text

FIGURES, CARD = "figures.json", "README.md"
SHOWN = {  # kinds of masks of train.evaluate, and what they are called in the card
    "all foreground": "everything",
    "prototype, true mask": "prototypes, true mask",
    "initial": "initial",
    "refined": "refined",
    "final, edges": "fixed rule",
    "decoder, edges": "decoder",
}
TASKS = {
    "voc": "VOC val",
    "coco": "COCO, held-out photos",
    "coco_no_masks": "COCO classes without any mask in training",
}
_BLOCK = re.compile(r"(<!-- figures: ([a-z ]+) -->\n).*?(<!-- end -->)", re.DOTALL)


def fill(card: str, blocks: Mapping[str, str]) -> str:
    """The card with each block's text replaced.

    Raises:
        InputError: the card asks for a block that does not exist.
    """

    def text(match: re.Match[str]) -> str:
        if match[2] not in blocks:
            raise InputError(f"The card asks for '{match[2]}'. Known: {', '.join(blocks)}.")
        return f"{match[1]}{blocks[match[2]].rstrip()}\n{match[3]}"

    return _BLOCK.sub(text, card)


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def prototypes(figures: Mapping[str, Any]) -> str:
    """IoU of plain prototypes, a row for each set of photos, a column for each network."""
    found = figures.get("prototype_iou", {})
    networks = sorted({key.split("/")[1] for key in found})
    rows = [
        [title, *(_share(found.get(f"{task}/{network}", {}).get("mean")) for network in networks)]
        for task, title in TASKS.items()
        if any(key.startswith(f"{task}/") for key in found)
    ]
    return table(["photos", *networks], rows)


def words(known: Sequence[WordFigures]) -> str:
    """How many words there are, and those that could be measured, best outlined first."""
    outlined = [w for w in known if w.masks]
    measured = sorted((w for w in known if w.iou is not None), key=lambda w: -(w.iou or 0))
    rows = [
        [w.name, f"{w.masks:,}", str(w.photos), *map(_share, (w.iou, w.auc, w.accuracy, w.false_alarms))]
        for w in measured
    ]
    heard = [w.auc for w in known if w.auc is not None]
    mean = f" Presence AUC, mean of {len(heard)} words: {sum(heard) / len(heard):.2f}." if heard else ""
    head = ["word", "masks", "photos", "IoU", "presence AUC", "accuracy", "seen where absent"]
    return (
        f"{len(known)} words, {len(outlined)} of them outlined in training photos, {len(measured)} on enough "
        f"held-out photos to be measured.{mean}\n\n{table(head, rows)}"
    )


def presence(config: Mapping[str, Any]) -> str:
    """What the judge of presence gained on photos kept out of training."""
    found = config.get("presence")
    if not found:
        return "No judge of presence was fitted; the best cells decide."
    columns = ("best cells", "whole picture", "judge")
    rows = [[name, *(_share(row[c]) for c in columns)] for name, row in found["by concept"].items()]
    rows.append(["mean", _share(found["auc of best cells"]), "", _share(found["auc"])])
    return table(["VOC training photos kept out, AUC", *columns], rows)


def training(config: Mapping[str, Any]) -> str:
    """The run behind the weights."""
    run, recipe = config["training"], config["training"]["recipe"]
    stages = ", ".join(
        f"{s['steps']:,} of {2 * s['pairs'] + s['singles']} crops at {s['size']} px" for s in recipe["stages"]
    )
    return (
        f"{run['steps']:,} steps: {stages}; learning rate {recipe['trunk_rate']:g} for the trunk (its first "
        f"{recipe['frozen']} blocks frozen), {recipe['head_rate']:g} for the heads, seed {recipe['seed']}."
    )


def episodes(figures: Mapping[str, Any]) -> str:
    """Mean IoU of each kind of mask, a row for each result of ``train.evaluate``."""
    found = {n: r for n, r in figures.get("results", {}).items() if "miou" in r}
    rows = [
        [
            f"{r['kind']}, {r['shots']}-shot, {r['classes']}",
            *(_share(r["miou"].get(name)) for name in SHOWN),
            _share(r["boundary"].get("decoder, edges", r["boundary"].get("final, edges"))),
            _share(r["presence_auc"]),
        ]
        for r in found.values()
    ]
    return table(["supports", *SHOWN.values(), "boundary IoU of the last", "presence AUC"], rows)


def curve(figures: Mapping[str, Any]) -> str:
    """Drafts usable as they are against photos looked at."""
    parts = []
    for found in (r for r in figures.get("results", {}).values() if "curves" in r):
        looked = next(iter(found["curves"].values()))["looked"]
        rows = [
            [f"{method}, {title}", *map(_share, values[key])]
            for method, values in found["curves"].items()
            for key, title in (("rest", "not looked at yet"), ("same", "never looked at"))
        ]
        parts.append(table(["photos looked at", *map(str, looked)], rows))
    return "\n\n".join(parts)


def condensed(result: Mapping[str, Any], name: str) -> dict[str, Any]:
    """What figures.json keeps of a result file.

    Raises:
        InputError: it is neither of ``train.evaluate`` nor of ``train.annotate``.
    """
    if "curves" in result:
        return {key: result[key] for key in ("command", "curves", "rises")}
    try:
        mean = result["mean"]
        return {
            "command": result["command"], "kind": result["settings"]["kind"], "shots": result["shots"],
            "classes": f"{len(mean['final']['iou'])} classes", "episodes": sum(result["episodes"]),
            "miou": {name: row["miou"] for name, row in mean.items()},
            "boundary": {name: row["boundary_miou"] for name, row in mean.items()},
            "iou": mean["final, edges"]["iou"], "presence_auc": result["presence_auc"],
        }  # fmt: skip
    except (KeyError, TypeError) as error:
        raise InputError(f"'{name}' is no result of train.evaluate or train.annotate.") from error


def read_figures(folder: Path) -> dict[str, Any]:
    """figures.json of a model; empty where there is none."""
    path = folder / FIGURES
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}


def write_figures(folder: Path, figures: Mapping[str, Any]) -> None:
    """Write figures.json of a model."""
    write_text(folder / FIGURES, json.dumps(figures, indent=1) + "\n")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit code."""
    parser = cli.command("card", __doc__)
    parser.add_argument("--model", type=Path, required=True, help="folder with README.md and figures.json")
    parser.add_argument(
        "--results", type=Path, nargs="*", default=[], help="of train.evaluate and train.annotate"
    )
    return cli.run(_run, parser.parse_args(arguments))


def _run(options: argparse.Namespace) -> None:
    figures = read_figures(options.model)
    for path in options.results:
        figures.setdefault("results", {})[path.stem] = condensed(_read_json(path), path.name)
    if options.results:
        write_figures(options.model, figures)
    config = _read_json(options.model / CONFIG)
    makers: dict[str, Callable[[], str]] = {
        "prototypes": lambda: prototypes(figures), "words": lambda: words(read_table(options.model)),
        "presence": lambda: presence(config), "training": lambda: training(config),
        "episodes": lambda: episodes(figures), "curve": lambda: curve(figures),
    }  # fmt: skip
    card = options.model / CARD
    write_text(card, fill(card.read_text(encoding="utf-8"), {k: make() for k, make in makers.items()}))


def _read_json(path: Path) -> Any:
    """The content of a JSON file; raises InputError if it is none."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise InputError(
            f"'{path}' is not a JSON file ({error}). Give the file that a command wrote."
        ) from error


def _share(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


if __name__ == "__main__":
    sys.exit(main())
