"""``models``: the presets and whether their weights are here."""

from __future__ import annotations

import argparse
from typing import Any

from . import OK
from .console import print_json


def add_flags(parser: argparse.ArgumentParser) -> None:
    """Nothing to choose."""
    parser.description = "The models by name, and where their weights are looked for."


def run(args: argparse.Namespace) -> int:
    """List the presets and where their weights are."""
    from ..presets import PRESETS
    from ..weights import WEIGHTS, model_folders

    rows = []
    for preset in PRESETS.values():
        places = [folder / WEIGHTS for folder in model_folders(preset.local)] if preset.local else [None]
        place = next((p for p in places if p and p.is_file()), places[0])
        here = None if place is None else place.is_file()
        row: dict[str, Any] = {
            "name": preset.name,
            "weights_here": here,
            "weights": str(place or preset.weights),
        }
        rows.append(row | {"size": preset.size, "licence": preset.licence, "summary": preset.summary})
    if args.json:
        print_json({"models": rows})
        return OK
    for row in rows:
        state = {None: "from the", True: "here:", False: "missing:"}[row["weights_here"]]
        print(f"{row['name']}\n    {row['summary']}; pictures of {row['size']} x {row['size']} pixels")
        print(f"    weights {state} {row['weights']}\n    licence {row['licence']}")
    return OK
