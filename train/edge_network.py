"""Train the network that corrects scores at pixels, on masks of training pictures.

    python -m train.edge_network --data ../data-full --out runs/edges
    python -m train.edge_network --data ../data-full --out runs/edges --steps 3000

First the method runs over episodes as it ships, label only and with marks, and what the network reads is
stored in OUT/examples; then it is trained, and written to OUT/model. A run that is stopped goes on from its
last checkpoint. Pictures of some classes and a share of the others are only looked at: IoU and boundary IoU
of the guided filter and of the network on both are written to OUT/log.json.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from tqdm import tqdm

from lfss.edge_network import EdgeNetwork
from lfss.errors import InputError
from lfss.weights import save_model

from . import cli
from .data.datasets import write_text
from .decoders.edges import Examples, loss_of, make_examples, vary
from .decoders.learning import rate_factor
from .measure.metrics import ClassIoU
from .mini.train import follow

CHECKPOINT, SAVE_STEPS, LOOK_STEPS = "checkpoint.pt", 100, 300


@dataclass(frozen=True)
class Recipe:
    """How the network is trained.

    Attributes:
        steps: of the optimiser.
        batch: episodes a step.
        rate: highest learning rate of AdamW, after a linear warm-up and before half a cosine.
        decay: weight decay.
        average: how much of the running average of the weights stays at each step.
        width: of the network.
        outline: how much more pixels count near the object's outline.
        overlap: weight of the soft Dice loss.
        apart: classes whose pictures are only looked at.
        share: of the other pictures that are only looked at.
        looked_at: episodes of each of both, at most.
    """

    steps: int
    batch: int
    rate: float
    decay: float
    average: float
    width: int
    outline: float
    overlap: float
    apart: tuple[str, ...]
    share: float
    looked_at: int


class Run:
    """Network, its running average, optimiser and step; kept in a folder."""

    def __init__(self, recipe: Recipe, folder: Path, seed: int):
        torch.manual_seed(seed)
        self.recipe, self.folder, self.seed, self.step = recipe, folder, seed, 0
        self.network, self.average = EdgeNetwork(recipe.width), EdgeNetwork(recipe.width)
        self.average.load_state_dict(self.network.state_dict())
        self.optimiser = torch.optim.AdamW(self.network.parameters(), recipe.rate, weight_decay=recipe.decay)
        self.history: list[dict[str, Any]] = []

    def resume(self) -> None:
        """Go on from the folder's checkpoint, if there is one.

        Raises:
            InputError: it is of another recipe; more steps are allowed.
        """
        path = self.folder / CHECKPOINT
        if not path.exists():
            return
        saved = torch.load(path, weights_only=True)
        now = {**asdict(self.recipe), "steps": 0, "apart": list(self.recipe.apart)}
        if saved["recipe"] != now or saved["seed"] != self.seed:
            raise InputError(f"'{self.folder}' holds a training with another recipe. Choose another --out.")
        for name in ("network", "average", "optimiser"):
            getattr(self, name).load_state_dict(saved[name])
        self.step, self.history = saved["step"], saved["history"]

    def save(self) -> None:
        """Write the checkpoint in one move."""
        part = self.folder / f"{CHECKPOINT}.part"
        torch.save(
            {
                "network": self.network.state_dict(),
                "average": self.average.state_dict(),
                "optimiser": self.optimiser.state_dict(),
                "step": self.step,
                "seed": self.seed,
                "recipe": {**asdict(self.recipe), "steps": 0, "apart": list(self.recipe.apart)},
                "history": self.history,
            },
            part,
        )
        part.replace(self.folder / CHECKPOINT)

    def learn(self, examples: Examples) -> Tensor:
        """One step; returns the loss, a scalar. What is drawn follows from the seed and the step alone."""
        torch.manual_seed(self.seed * 1_000_003 + self.step)
        chosen = torch.randint(len(examples.parts.train), (self.recipe.batch,)).tolist()
        seen = vary(examples.read([examples.parts.train[i] for i in chosen]))
        logits = seen.score + self.network(seen.picture, seen.score, seen.cells)  # (N, 240, 240)
        r = self.recipe
        loss = loss_of(logits, seen.target, seen.valid, outline=r.outline, overlap=r.overlap)
        for group in self.optimiser.param_groups:
            group["lr"] = r.rate * rate_factor(self.step, r.steps)
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(self.network.parameters(), 1.0)
        self.optimiser.step()
        self.step += 1
        keep = min(r.average, self.step / (self.step + 10))
        follow(self.average.state_dict(), self.network.state_dict(), keep)
        return loss.detach()


@torch.inference_mode()
def look(network: EdgeNetwork, examples: Examples, episodes: Sequence[int]) -> dict[str, float]:
    """IoU and boundary IoU, mean over classes, of the filter's score and of the corrected one."""
    names = sorted({examples.about["classes"][i] for i in episodes})
    counts = {way: ClassIoU(names) for way in ("filter", "network")}
    for start in range(0, len(episodes), 20):
        part = episodes[start : start + 20]
        seen = examples.read(part)
        made = {"filter": seen.score, "network": seen.score + network(seen.picture, seen.score, seen.cells)}
        for way, logits in made.items():
            for row, i in enumerate(part):
                counts[way].update(
                    examples.about["classes"][i],
                    (logits[row] >= 0).numpy(),
                    (seen.target[row] > 0.5).numpy(),
                    (seen.valid[row] < 0.5).numpy(),
                )
    found = {way: count.compute() for way, count in counts.items()}
    return {
        name: value
        for way, scores in found.items()
        for name, value in ((way, scores.miou), (f"{way}, boundary", scores.boundary_miou))
    }


def train(run: Run, examples: Examples) -> None:
    """Train to the recipe's last step, with a look at what is kept apart now and then."""
    recipe, began = run.recipe, time.monotonic()
    apart = {
        "pictures kept apart": examples.parts.pictures[: recipe.looked_at],
        "classes kept apart": examples.parts.classes[: recipe.looked_at],
    }
    bar = tqdm(total=recipe.steps, initial=run.step, desc="training", unit="step", mininterval=5)
    while run.step < recipe.steps:
        loss = run.learn(examples)
        bar.update()
        bar.set_postfix(loss=f"{float(loss):.3f}")
        last = run.step == recipe.steps
        if run.step % LOOK_STEPS == 0 or last:
            figures = {name: look(run.average, examples, some) for name, some in apart.items() if some}
            run.history.append({"step": run.step, "seconds": time.monotonic() - began, **figures})
            tqdm.write(json.dumps(run.history[-1]))
        if run.step % SAVE_STEPS == 0 or last:
            run.save()
    bar.close()


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit code."""
    return cli.run(_run, _parser().parse_args(arguments), stopped=cli.GOES_ON)


def _parser() -> argparse.ArgumentParser:
    parser = cli.command("edge_network", __doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder of the data sets")
    parser.add_argument("--config", type=Path, default=Path(__file__).parent / "configs" / "edges.json")
    parser.add_argument("--out", type=Path, required=True, help="examples, checkpoint, log and model")
    parser.add_argument("--episodes", type=int, help="instead of the configuration's number")
    parser.add_argument("--steps", type=int, help="instead of the configuration's number")
    parser.add_argument("--threads", type=int, default=1)
    cli.add_model(parser)
    cli.add_cache(parser)
    return parser


def _run(options: argparse.Namespace) -> None:
    torch.set_num_threads(options.threads)
    config = json.loads(options.config.read_text(encoding="utf-8"))
    config["episodes"] = options.episodes or config["episodes"]
    chosen = config.pop("recipe")
    chosen |= {"apart": tuple(chosen["apart"]), "steps": options.steps or chosen["steps"]}
    recipe = Recipe(**chosen)
    folder = make_examples(
        config, data=options.data, preset=options.preset, out=options.out / "examples", cache=options.cache,
        device=options.device,
    )  # fmt: skip
    examples = Examples(folder, recipe.apart, recipe.share)
    if not examples.parts.train:
        raise InputError("No episode is left to train on. Draw more episodes, or keep fewer classes apart.")
    print(
        f"{len(examples.parts.train)} episodes to train on, {len(examples.parts.pictures)} of pictures and "
        f"{len(examples.parts.classes)} of classes kept apart",
        file=sys.stderr,
    )
    run = Run(recipe, options.out, config["seed"])
    run.resume()
    train(run, examples)
    about = {"recipe": asdict(recipe), "width": recipe.width, "preset": options.preset, "chosen_at": run.step}
    state = {name: value.half() for name, value in run.average.state_dict().items()}
    save_model(options.out / "model", state, {**about, "measured": run.history[-1]})
    write_text(options.out / "log.json", json.dumps(run.history, indent=1))


if __name__ == "__main__":
    sys.exit(main())
