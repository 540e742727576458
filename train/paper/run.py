"""One job: open the fold, train a decoder on its base classes, test it on the novel ones, write the result.

Each part goes on where it was stopped: a training from its last epoch, a test from its last episode, a
finished job not at all.
"""

from __future__ import annotations

import json
import resource
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

import torch

from lfss.errors import InputError
from lfss.methods.lfss import Lfss, LfssConfig
from lfss.predictor import Predictor
from lfss.presets import Encoders, Preset, find_preset
from lfss.weights import load_model

from ..data.datasets import write_text
from ..data.episodes import EpisodeList, sample_episodes
from ..data.names import ClassNames
from ..data.packing import Form
from ..data.remember import remember
from ..data.splits import COCO_NAMES, VOC_NAMES
from ..decoders.learning import L, Recipe
from ..decoders.loop import LAST, check_out, finish, recipe_json, run
from ..decoders.paper import PaperLearner
from ..decoders.tlg import TlgLearner
from ..measure import report
from ..measure.scoring import Settings, evaluate, tally
from .batches import BatchEncoder, FoldLoader
from .folds import FoldData, open_fold
from .jobs import VARIANTS, Job

RESULT = "result.json"

Built = TypeVar("Built", PaperLearner, TlgLearner)


@dataclass(frozen=True)
class Plan:
    """What all jobs of a run share.

    Attributes:
        data: folder that holds ``voc`` and ``coco``.
        out: results, one folder for each job.
        cache: of indices and encoder outputs.
        recipe: how decoders are trained.
        episodes: of each test.
        seed: of the test's list.
        vocabulary: ``names``: the data set's class names compete, as in the paper; ``background``: the
            project's own words for the background.
        strict: leave out training pictures that show a novel class.
        form: of the encoder outputs that are kept; None keeps nothing.
        choices: of the method, beside those of the variant.
        device: where encoders and tests run.
        devices, nodes: processes of one training, and machines.
        workers: processes that read pictures.
        command: as it was typed, for the results.
    """

    data: Path
    out: Path
    cache: Path
    recipe: Recipe
    episodes: int = 1000
    seed: int = 0
    vocabulary: str = "names"
    strict: bool = False
    form: Form | None = "float16"
    choices: tuple[tuple[str, Any], ...] = ()
    device: str = "auto"
    devices: int = 1
    nodes: int = 1
    workers: int = 0
    command: str = ""

    def method(self, job: Job) -> dict[str, Any]:
        """Choices of the method for a job."""
        return {**dict(self.choices), **VARIANTS[job.variant]}


@dataclass(frozen=True)
class Ready:
    """A job with its pictures and its encoders."""

    job: Job
    fold: FoldData
    predictor: Predictor


def open_job(job: Job, plan: Plan) -> Ready:
    """Load the encoders and open the fold.

    Raises:
        InputError, WeightsError: data or weights are not there.
    """
    preset = paper_preset(find_preset(job.preset), job, plan)
    predictor = Predictor.load(preset, device=plan.device)
    if plan.form is not None:
        predictor, _ = remember(predictor, plan.cache, form=plan.form)
    vlm = predictor.encoders.vlm
    fold = open_fold(
        job.set, job.fold, plan.data, plan.cache, is_known=lambda c: vlm.text_trust(c) > 0, strict=plan.strict
    )
    return Ready(job, fold, predictor)


def paper_preset(preset: Preset, job: Job, plan: Plan) -> Preset:
    """The preset with a job's choices, without a decoder, and with the plan's vocabulary."""
    names = (VOC_NAMES if job.set == "pascal" else COCO_NAMES).values()

    def load(device: str, models_dir: Path | None) -> Encoders:
        e = preset.load(device, models_dir)
        return Encoders(ClassNames(e.vlm, names), e.backbone, e.encode)

    own = preset.methods.get(Lfss.name, LfssConfig())
    config = replace(own, **plan.method(job), decoder="none", circle=False, keep_maps=False)
    changed = preset.with_method(Lfss.name, config)
    return replace(changed, load=load) if plan.vocabulary == "names" else changed


def run_job(job: Job, plan: Plan, *, say: Callable[[str], None]) -> dict[str, Any] | None:
    """Train and test; returns the result, which is also written. None in all processes but the first.

    Raises:
        InputError, WeightsError: see ``open_job``.
    """
    folder = job.folder(plan.out)
    if (folder / RESULT).exists():
        say(f"{job.name}: done before")
        return json.loads((folder / RESULT).read_text(encoding="utf-8"))
    clock = time.perf_counter()
    ready = open_job(job, plan)
    say(f"{job.name}: {ready.fold.title}; tests {', '.join(ready.fold.novel)}")
    if ready.fold.left_out:
        say(f"  left out: {', '.join(ready.fold.left_out)}")
    decoder = None
    if job.variant != "untrained":
        decoder = train(ready, plan, folder)
        if decoder is None:
            return None
    trained = time.perf_counter()
    result = test(ready, plan, folder, decoder)
    result |= {
        "seconds": {"training": trained - clock, "test": time.perf_counter() - trained},
        "memory_bytes": peak_memory(),
    }
    write_text(folder / RESULT, json.dumps(result, indent=1))
    (folder / f"{RESULT}.partial").unlink()
    return result


def train(ready: Ready, plan: Plan, folder: Path) -> Path | None:
    """Train the job's decoder; returns its folder, None in all processes but the first."""
    out = folder / "training"
    if (out / "decoder" / "config.json").exists():
        return out / "decoder"
    backbone = ready.predictor.encoders.backbone
    choices = plan.method(ready.job)
    about = {"recipe": recipe_json(plan.recipe), "trained_on": [ready.job.preset], "method": choices}
    learner, best = fit_fold(
        ready, plan, out, about, ready.job.name,
        lambda: PaperLearner(plan.recipe, ready.fold.base, backbone.channels, choices=choices),
    )  # fmt: skip
    if best is None:
        return None
    config = {"decoder": "paper", "backbone": backbone.name, "channels": backbone.channels}
    return finish(out, best, learner, "method.decoder.", {**config, "circle": plan.recipe.circle, **about})


def fit_fold(
    ready: Ready, plan: Plan, out: Path, about: dict[str, Any], name: str, build: Callable[[], Built]
) -> tuple[Built, Path | None]:
    """Train on a fold's base classes, or go on with that.

    Args:
        ready: the fold and the encoders.
        plan: the recipe, devices and workers.
        out: folder of the training.
        about: what it must have been begun with.
        name: of what is trained, for people.
        build: makes the learner, once all is seeded.

    Returns:
        The learner, and its best checkpoint; None in all processes but the first.

    Raises:
        InputError: ``out`` holds another training, or the fold has too few episodes.
    """
    check_out(out, about, resume=True)
    L.seed_everything(plan.recipe.seed, verbose=False)
    loaders = FoldLoader(ready.fold, plan.recipe, size=ready.predictor.preset.size, workers=plan.workers)
    if loaders.episodes < plan.devices * plan.nodes or not loaders.choosing_pairs:
        raise InputError(
            f"{name} has {loaders.episodes} episodes to train on and "
            f"{len(loaders.choosing_pairs)} to choose the best state by. Add pictures of base classes, or "
            "leave this fold out with --folds."
        )
    learner = build()
    learner.encode = EncodeOnDevice(ready, plan)
    accelerator = "cpu" if ready.predictor.device == "cpu" else "auto"
    best = run(
        learner, loaders, out, resume=(out / LAST).exists(), devices=plan.devices, nodes=plan.nodes,
        accelerator=accelerator,
    )  # fmt: skip
    return learner, best


class EncodeOnDevice:
    """Encodes batches where they are: each process of a training has encoders of its own device."""

    def __init__(self, ready: Ready, plan: Plan):
        self.ready, self.plan = ready, plan
        self.encoder: BatchEncoder | None = None

    def __call__(self, batch: Any) -> Any:
        """A batch of pixels to encoded episodes."""
        if self.encoder is None:
            predictor, device = self.ready.predictor, str(batch.query.device)
            if torch.device(device).type != torch.device(predictor.device).type or ":" in device:
                predictor = open_job(self.ready.job, replace(self.plan, device=device)).predictor
            self.encoder = BatchEncoder(predictor, self.ready.fold.base)
        return self.encoder(batch)


def episodes_of(fold: FoldData, plan: Plan, *, shots: int = 1) -> EpisodeList:
    """The test's list, by the field's protocol."""
    protocol = "hsnet" if fold.test.layout == "voc" else "hsnet-coco"
    return sample_episodes(
        fold.test,
        fold.novel,
        shots=shots,
        count=plan.episodes,
        seed=plan.seed,
        protocol=protocol,
        rule=fold.rule,
    )


def test(ready: Ready, plan: Plan, folder: Path, decoder: Path | None) -> dict[str, Any]:
    """Score the decoder, the fixed rule and what bounds them over the list of episodes.

    Args:
        ready: the data.
        plan: of the run.
        folder: where results go.
        decoder: a trained one; None: only the fixed rule and the bounds.
    """
    listed, predictor = episodes_of(ready.fold, plan), ready.predictor
    folders = {"decoder": str(decoder)} if decoder else {}
    settings = Settings(ready.job.preset, "label", "hsnet", (listed.digest,), False, tuple(folders.items()))
    own = predictor.preset.methods[Lfss.name]
    backbone = predictor.encoders.backbone
    built = {
        name: Lfss.build(backbone=backbone.name, channels=backbone.channels, settings=own, weights=path)
        .eval().requires_grad_(False).to(predictor.device)
        for name, path in folders.items()
    }  # fmt: skip
    folder.mkdir(parents=True, exist_ok=True)
    records = evaluate(
        predictor, ready.fold.test, [listed], settings, partial=folder / f"{RESULT}.partial",
        progress=sys.stderr.isatty(), beside=built,
    )  # fmt: skip
    table = report.summarise([tally(records, listed, settings.protocol)])
    chosen = load_model(decoder)[0]["chosen_at"] if decoder else None
    return {
        "command": plan.command,
        "job": asdict(ready.job),
        "title": ready.fold.title,
        "official": ready.fold.official,
        "left_out": ready.fold.left_out,
        "vocabulary": plan.vocabulary,
        "method": plan.method(ready.job),
        "recipe": recipe_json(plan.recipe),
        "episodes": len(listed.episodes),
        "seed": plan.seed,
        "chosen_at": chosen,
        "mean": report.clean(table),
        "device": predictor.device,
        "torch": torch.__version__,
    }


def peak_memory() -> int:
    """Bytes: of the GPU where one was used, else of this process."""
    if torch.cuda.is_available() and torch.cuda.max_memory_allocated():
        return torch.cuda.max_memory_allocated()
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
