"""Write the model of a training run.

    python -m train.mini.export --run ../runs/mini --data ../data-full --names ../shared/weights \
        --out assets/models/mini

The run's averaged weights, linear layers of the trunk as int8, everything else as float16. ``--names`` is
a folder with ``clip_text_vitb32.json`` and ``.safetensors``: a language model's vectors of names, from which
the closest known word is suggested for an unknown one. Fit presence after each export
(``train.mini.presence``).
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from lfss.encoders.int8 import quantised_state
from lfss.encoders.mini import mini_config
from lfss.encoders.mini_network import Mini, MiniConfig
from lfss.encoders.vocabulary import Concept, Vocabulary
from lfss.weights import WEIGHTS, read_state, save_model

from .. import cli
from .concepts import ConceptTable, imagenet_names, imagenet_synsets
from .names import words_near
from .train import CHECKPOINT, trained_photos
from .truth import DRAWN, Known, Truth

ENOUGH = 20  # masked photos after which a concept is half trusted
ROUGH = 0.5  # what a rough mask counts, against a drawn one
NAMED = 10  # what it counts that the public weights' classifier knows a concept


def int8_names(network: Mini) -> set[str]:
    """The weights that are stored as int8: the linear layers of the trunk's blocks."""
    return {
        f"trunk.blocks.{path}.weight"
        for path, layer in network.trunk.blocks.named_modules()
        if isinstance(layer, nn.Linear)
    }


def masked_photos(photos: Iterable[Known], names: Sequence[str]) -> tuple[Counter[str], Counter[str]]:
    """In how many training photos each concept is marked, by a drawn and by a rough mask."""
    drawn, rough = Counter[str](), Counter[str]()
    for known in photos:
        if known.mask is not None:
            counts = drawn if known.group in DRAWN else rough
            counts.update(names[c] for c in np.unique(known.mask).tolist() if c > 0)
    return drawn, rough


def trust_of(drawn: Mapping[str, int], rough: Mapping[str, int], named: Iterable[str]) -> dict[str, float]:
    """Concept name -> how far its text is trusted.

    n / (n + ENOUGH) after n masked training photos: a rule of the training data alone, so that no photo for
    measuring decides it. That the public weights' classifier knows the concept counts like ``NAMED`` photos.

    Args:
        drawn, rough: of ``masked_photos``.
        named: concepts that are classes of ImageNet.
    """
    known = set(named)
    found = {}
    for name in {*drawn, *rough, *known}:
        count = drawn.get(name, 0) + ROUGH * rough.get(name, 0) + NAMED * (name in known)
        found[name] = round(count / (count + ENOUGH), 2)
    return found | {"background": 1.0}


def name_vectors(folder: Path) -> tuple[list[str], torch.Tensor]:
    """Names and their unit vectors in a language model, (N, D)."""
    names = json.loads((folder / "clip_text_vitb32.json").read_text(encoding="utf-8"))
    names = names["names"] if isinstance(names, dict) else names
    (vectors,) = read_state(folder / "clip_text_vitb32.safetensors").values()
    return names, nn.functional.normalize(vectors.float(), dim=1)


def export(
    saved: Mapping[str, Any],
    folder: Path,
    trust: Mapping[str, float],
    names: Path | None,
    *,
    int8: bool = True,
) -> None:
    """Write a model.

    Args:
        saved: the run's checkpoint.
        folder: where the model goes.
        trust: of ``trust_of``.
        names: folder with the vectors of names; None suggests words by their letters only.
        int8: store linear layers as int8; off keeps them as float16, to measure what int8 loses.
    """
    concepts = [Concept.from_json(c) for c in saved["concepts"]]
    near = {} if names is None else words_near(Vocabulary(tuple(concepts)), *name_vectors(names))
    vocabulary = Vocabulary(tuple(replace(c, trust=trust.get(c.name, 0.0)) for c in concepts), near)
    network = Mini(MiniConfig(**saved["network_config"]))
    network.load_state_dict(saved["average"])
    state = quantised_state(network.state_dict(), int8_names(network) if int8 else set())
    training = {"steps": saved["step"], "recipe": saved["recipe"]}
    save_model(folder, state, {**mini_config(network, vocabulary), "training": training})


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit code."""
    return cli.run(_run, _parser().parse_args(arguments))


def _parser() -> argparse.ArgumentParser:
    parser = cli.command("mini.export", __doc__)
    parser.add_argument("--run", type=Path, required=True, help="folder of train.mini.train")
    parser.add_argument("--data", type=Path, required=True, help="the data folder, to count masks")
    parser.add_argument("--names", type=Path, help="folder with clip_text_vitb32.json and .safetensors")
    parser.add_argument(
        "--no-int8", action="store_true", help="all weights as 16-bit floats, to measure what int8 loses"
    )
    parser.add_argument("--out", type=Path, required=True, help="folder of the model")
    return parser


def _run(options: argparse.Namespace) -> None:
    saved = torch.load(options.run / CHECKPOINT)
    words = imagenet_names()
    table = ConceptTable.load(words)
    truth = Truth(options.data, table, table.labels(words, imagenet_synsets()))
    photos = trained_photos(options.data, truth, saved["recipe"]["exclude"])
    drawn, rough = masked_photos(photos, table.names)
    named = [name for name, row in zip(table.names, table.imagenet()) if row.any()]
    export(saved, options.out, trust_of(drawn, rough, named), options.names, int8=not options.no_int8)
    print(f"{options.out}: step {saved['step']}, {(options.out / WEIGHTS).stat().st_size / 1e6:.1f} MB")


if __name__ == "__main__":
    sys.exit(main())
