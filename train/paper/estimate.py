"""What a run will take on this machine, told before it starts."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from lfss.methods import map_tensors
from lfss.predictor import Predictor

from ..data.packing import FORMS, Form, choose_form, pack, packed_bytes
from ..decoders.paper import PaperLearner
from ..measure.scoring import Settings, score_episode
from .batches import BatchEncoder, FoldLoader
from .run import Plan, Ready, episodes_of, open_job, peak_memory

TRIALS = 2  # batches that are timed, after one that warms up


@dataclass(frozen=True)
class Cost:
    """Of one fold.

    Attributes:
        pictures: that are encoded.
        picture: seconds to read and encode one.
        step: seconds of a training step with encoded pictures.
        steps: of a whole training without an early end.
        episode: seconds of an episode of the test.
        episodes: of the test.
        memory: bytes at the highest, of the GPU or else of this process.
        kept: whether encoder outputs are kept; otherwise every epoch encodes again.
        epochs: of a whole training.
    """

    pictures: int
    picture: float
    step: float
    steps: int
    episode: float
    episodes: int
    memory: int
    kept: bool
    epochs: int

    @property
    def hours(self) -> float:
        """Of the whole fold."""
        encoded = self.pictures * self.picture * (1 if self.kept else max(1, self.epochs))
        return (encoded + self.steps * self.step + self.episodes * self.episode) / 3600

    def __str__(self) -> str:
        again = "" if self.kept else ", in every epoch"
        return (
            f"{self.pictures} pictures at {1000 * self.picture:.0f} ms{again}; "
            f"{self.steps} steps at {1000 * self.step:.0f} ms; "
            f"{self.episodes} episodes of the test at {1000 * self.episode:.0f} ms: "
            f"about {self.hours:.2f} h; memory {self.memory / 2**30:.1f} GiB"
        )


def fit_cache(job: Ready, pictures: int, limit: float, cache: Path) -> tuple[Form | None, str]:
    """The form of encoder outputs that fits, and a sentence about it.

    Args:
        job: its encoders are asked for one picture.
        pictures: how many are kept.
        limit: GiB at most; 0 keeps nothing.
        cache: where; its disk must have the room too.
    """
    predictor = job.predictor
    pixels = torch.rand(1, 3, predictor.preset.size, predictor.preset.size, device=predictor.device)
    levels = _levels(predictor, pixels)
    sizes: dict[Form, int] = {form: packed_bytes(pack(levels, form)) for form in FORMS}
    cache.mkdir(parents=True, exist_ok=True)
    room = min(int(limit * 2**30), int(0.9 * shutil.disk_usage(cache).free))
    form = choose_form(sizes, pictures, room)
    sizes_text = ", ".join(f"{form} {size * pictures / 2**30:.2f} GiB" for form, size in sizes.items())
    chosen = f"kept as {form}" if form else "none fits, so nothing is kept and encoders run each time"
    return (
        form,
        f"encoder outputs of {pictures} pictures: {sizes_text}; {room / 2**30:.1f} GiB may be used: {chosen}",
    )


def measure(ready: Ready, plan: Plan, clock: Callable[[], float] = time.perf_counter) -> Cost:
    """Time a few batches and episodes of a job on this machine."""
    plain = open_job(ready.job, replace(plan, form=None))  # what is remembered would not be timed
    fold, predictor = plain.fold, plain.predictor
    trained = ready.job.variant != "untrained"
    picture = step = 0.0
    loader = FoldLoader(fold, plan.recipe, size=predictor.preset.size)
    shown = {p for p, _ in loader.train_pairs} | {p for p, _ in loader.choosing_pairs} if trained else set()
    tested = {i for e in episodes_of(fold, plan).episodes for i in (e.query, *e.supports)}
    if trained:
        encode = BatchEncoder(predictor, fold.base)
        learner = PaperLearner(
            plan.recipe, fold.base, predictor.encoders.backbone.channels, choices=plan.method(ready.job)
        ).to(predictor.device)
        batches = iter(loader.train_dataloader())
        for trial in range(TRIALS + 1):
            start = clock()
            batch = next(batches, None)
            if batch is None:
                break
            example = encode(map_tensors(batch, lambda tensor: tensor.to(predictor.device)))
            middle = clock()
            loss, _ = learner._losses(example)
            loss.backward()
            _wait()
            if trial or TRIALS == 0:
                picture += (middle - start) / (2 * len(batch.query)) / TRIALS
                step += (clock() - middle) / TRIALS
    spec, settings = episodes_of(fold, plan).episodes[0], Settings("", "label", "hsnet", (), False)
    for _ in range(2):
        start = clock()
        score_episode(predictor, fold.test, spec, settings, seed=0, index=0)
        _wait()
        episode = clock() - start
    if not trained:
        picture = episode / 2  # about: both pictures are encoded in it
    # The test's pictures are encoded once where they are kept; then an episode costs the method alone.
    per_epoch = loader.episodes // plan.recipe.batch
    return Cost(
        pictures=len(shown | tested),
        picture=picture,
        step=step,
        steps=per_epoch * plan.recipe.epochs if trained else 0,
        episode=max(0.0, episode - 2 * picture),
        episodes=plan.episodes,
        memory=peak_memory(),
        kept=plan.form is not None,
        epochs=plan.recipe.epochs if trained else 0,
    )


def _levels(predictor: Predictor, pixels: torch.Tensor) -> tuple[torch.Tensor, ...]:
    encoders = predictor.encoders
    if encoders.encode is not None:
        dense, levels = encoders.encode(pixels)
    else:
        dense, levels = encoders.vlm.encode_dense(pixels), encoders.backbone(pixels)
    return (dense, *levels)


def _wait() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()
