"""Train the portable decoder on stored maps.

    python -m train.fit --maps cache/maps-mini --out runs/portable --epochs 12
    python -m train.fit --maps cache/maps-mini --out runs/portable --epochs 24 --resume
    python -m train.fit --maps cache/maps-a cache/maps-b --out runs/both --devices 2

Several map folders, of several backbones, are trained on together. Some classes are kept apart to choose
the best epoch by: their IoU is printed beside that of the training-free read-out, which bounds the claim.
The best weights are written to OUT/decoder as model.safetensors and config.json.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import math
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F
from torch.utils.data import ConcatDataset, DataLoader, Dataset

from lfss.compat import ensure_torchvision
from lfss.errors import InputError, LfssError
from lfss.methods.portable import NAMES
from lfss.pipeline import PortableDecoder
from lfss.similarity import resize_map
from lfss.weights import save_model

ensure_torchvision()  # Lightning's metrics import it

import lightning as L  # noqa: E402
from lightning.pytorch.callbacks import ModelCheckpoint, TQDMProgressBar  # noqa: E402
from lightning.pytorch.loggers import CSVLogger, TensorBoardLogger  # noqa: E402


@dataclass(frozen=True)
class Recipe:
    """How the decoder is trained; every field is a flag.

    Attributes:
        epochs: passes over the episodes.
        batch: episodes a step.
        rate: highest learning rate of the schedule (AdamW).
        decay: weight decay.
        width: channels of the decoder.
        overlap: weight of the soft IoU loss beside binary cross entropy.
        kept_apart: one in so many classes is only validated on.
        seed: of weights, order and flips.
    """

    epochs: int = 12
    batch: int = 16
    rate: float = 2e-3
    decay: float = 1e-2
    width: int = 48
    overlap: float = 0.5
    kept_apart: int = 7
    seed: int = 0


class Maps(Dataset[dict[str, Tensor]]):
    """Episodes of one map folder, read from disk one by one.

    Args:
        folder: made by ``train.maps``.
        classes: numbers of ``class_names``; only these classes' episodes.
        flip: mirror half of them.
    """

    def __init__(self, folder: Path, keep: set[str], class_names: list[str], *, flip: bool):
        about = read_about(folder)
        self.arrays = {
            k: np.load(folder / f"{k}.npy", mmap_mode="r")
            for k in ("maps", "logits", "picture", "target", "valid")
        }
        self.flip = flip
        self.index = [i for i, c in enumerate(about["classes"][: about["done"]]) if c in keep]
        self.class_of = [class_names.index(about["classes"][i]) for i in self.index]

    def __len__(self) -> int:
        return len(self.index)

    def __getitem__(self, item: int) -> dict[str, Tensor]:
        i = self.index[item]
        out = {k: torch.from_numpy(np.array(a[i])).float() for k, a in self.arrays.items()}
        out |= {k: out[k] / 255 for k in ("picture", "target", "valid")}
        if self.flip and torch.rand(()) < 0.5:
            out = {k: v.flip(-1) for k, v in out.items()}
        out["class"] = torch.tensor(self.class_of[item])
        return out


def read_about(folder: Path) -> dict[str, Any]:
    """about.json of a map folder.

    Raises:
        InputError: the folder holds no maps, maps of another version, or none yet.
    """
    path = folder / "about.json"
    if not path.is_file():
        raise InputError(f"{folder} holds no maps. Make them with: python -m train.maps --out {folder} ...")
    about = json.loads(path.read_text(encoding="utf-8"))
    if about["names"] != list(NAMES):
        raise InputError(f"{folder} holds the maps of another version of the decoder. Make them again.")
    if not about["done"]:
        raise InputError(f"{folder} holds no finished episode yet.")
    return about


def loss_of(logits: Tensor, target: Tensor, valid: Tensor, overlap: float) -> Tensor:
    """Binary cross entropy over the valid pixels, plus ``overlap`` times one minus the soft IoU."""
    cross = F.binary_cross_entropy_with_logits(logits, target, reduction="none")
    cross = (cross * valid).sum() / valid.sum().clamp_min(1)
    p = logits.sigmoid()
    both = (p * target * valid).sum((1, 2))
    either = ((p + target - p * target) * valid).sum((1, 2))
    return cross + overlap * (1 - (both + 1) / (either + 1)).mean()


class Training(L.LightningModule):
    """The loss, and the class-accumulated IoU of decoder and read-out."""

    sums: Tensor  # (read-out or decoder, class, intersection or union) in pixels

    def __init__(self, recipe: Recipe, class_names: list[str]):
        super().__init__()
        self.recipe = recipe
        self.decoder = PortableDecoder(maps=len(NAMES), width=recipe.width)
        self.register_buffer("sums", torch.zeros(2, len(class_names), 2), persistent=False)

    def training_step(self, batch: dict[str, Tensor]) -> Tensor:
        logits = self.decoder(batch["maps"], batch["logits"], batch["picture"])
        loss = loss_of(logits, batch["target"], batch["valid"], self.recipe.overlap)
        self.log("loss", loss, prog_bar=True)
        return loss

    def on_validation_epoch_start(self) -> None:
        self.sums.zero_()

    def validation_step(self, batch: dict[str, Tensor]) -> None:
        size = (batch["target"].shape[-2], batch["target"].shape[-1])
        decoded = self.decoder(batch["maps"], batch["logits"], batch["picture"])
        truth, valid = batch["target"] > 0.5, batch["valid"] > 0.5
        for row, logits in enumerate((resize_map(batch["logits"], size), decoded)):
            mask = logits > 0
            sums = torch.stack(((mask & truth & valid).sum((1, 2)), ((mask | truth) & valid).sum((1, 2))), 1)
            self.sums[row].index_add_(0, batch["class"], sums.float())

    def on_validation_epoch_end(self) -> None:
        gathered = self.all_gather(self.sums)
        assert isinstance(gathered, Tensor)
        sums = gathered.sum(0) if gathered.dim() == 4 else gathered
        seen = sums[0, :, 1] > 0
        iou = (sums[:, seen, 0] / sums[:, seen, 1].clamp_min(1)).mean(1)
        self.log("read_out", iou[0], prog_bar=True, rank_zero_only=True)
        self.log("iou", iou[1], prog_bar=True)

    def configure_optimizers(self) -> Any:
        optimizer = torch.optim.AdamW(self.parameters(), self.recipe.rate, weight_decay=self.recipe.decay)
        total = int(self.trainer.estimated_stepping_batches)
        # A function of the step alone, so that a resumed run may be longer than the first.
        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: rate_factor(step, total))
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}


def rate_factor(step: int, total: int) -> float:
    """Linear warm-up over the first tenth, then half a cosine to zero; in [0, 1]."""
    warm = max(1, total // 10)
    if step < warm:
        return (step + 1) / warm
    return 0.5 + 0.5 * math.cos(math.pi * min(1.0, (step - warm) / max(1, total - warm)))


def apart(name: str, one_in: int) -> bool:
    """Whether a class is only validated on: fixed by its name."""
    return int(hashlib.sha1(name.encode()).hexdigest()[:8], 16) % one_in == 0


def fit(
    folders: list[Path], out: Path, recipe: Recipe, *, resume: bool = False, devices: int = 1,
    threads: int | None = None, accelerator: str = "auto",
) -> Path:  # fmt: skip
    """Train, and write OUT/decoder. Returns that folder.

    Raises:
        InputError: no maps, or no classes left to train or to validate on.
    """
    if threads:
        torch.set_num_threads(threads)
    L.seed_everything(recipe.seed, verbose=False)
    names = sorted({c for folder in folders for c in read_about(folder)["classes"]})
    kept_apart = {name for name in names if apart(name, recipe.kept_apart)}
    if not kept_apart or len(kept_apart) == len(names):
        raise InputError(
            f"Of {len(names)} classes {len(kept_apart)} would be validated on; change kept_apart."
        )
    sets: list[ConcatDataset[dict[str, Tensor]]] = [
        ConcatDataset([Maps(f, keep, names, flip=flip) for f in folders])
        for keep, flip in ((set(names) - kept_apart, True), (kept_apart, False))
    ]
    # Spreads over devices by itself; with several processes each reads its own part.
    train, validate = (
        DataLoader(s, recipe.batch, shuffle=shuffled, drop_last=shuffled and len(s) > recipe.batch)
        for s, shuffled in zip(sets, (True, False))
    )
    print(
        f"{len(sets[0])} episodes to train on, {len(sets[1])} of {len(kept_apart)} other classes",
        file=sys.stderr,
    )
    module = Training(recipe, names)
    best = ModelCheckpoint(
        out, "best", monitor="iou", mode="max", save_last=True, enable_version_counter=False
    )
    trainer = L.Trainer(
        default_root_dir=out,
        max_epochs=recipe.epochs,
        accelerator=accelerator,
        devices=devices,
        strategy="ddp" if devices > 1 else "auto",
        precision="bf16-mixed" if torch.cuda.is_available() and accelerator != "cpu" else "32-true",
        callbacks=[best, TQDMProgressBar(refresh_rate=10)],
        logger=[CSVLogger(out, name="log"), TensorBoardLogger(out, name="tensorboard")],
        gradient_clip_val=1.0,
        log_every_n_steps=10,
        enable_model_summary=False,
    )
    last = out / "last.ckpt"
    trainer.fit(
        module, train, validate, ckpt_path=last if resume and last.exists() else None, weights_only=False
    )
    if trainer.is_global_zero:
        state = torch.load(best.best_model_path, weights_only=False)["state_dict"]
        decoder = {k.removeprefix("decoder."): v for k, v in state.items() if k.startswith("decoder.")}
        config = {
            "decoder": "portable",
            "maps": list(NAMES),
            "width": recipe.width,
            "recipe": asdict(recipe),
            "trained_on": [read_about(f)["preset"] for f in folders],
            "kept_apart": sorted(kept_apart),
            "iou": float(best.best_model_score or 0),
        }
        save_model(out / "decoder", {k: v.half() for k, v in decoder.items()}, config)
    return out / "decoder"


def main() -> int:
    """Command line."""
    parser = argparse.ArgumentParser(prog="python -m train.fit", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--maps", type=Path, nargs="+", required=True, help="folders made by train.maps")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--resume", action="store_true", help="go on from OUT/last.ckpt")
    parser.add_argument("--devices", type=int, default=1)
    parser.add_argument("--accelerator", default="auto", help="auto, cpu or gpu")
    parser.add_argument("--threads", type=int)
    for name, value in asdict(Recipe()).items():
        parser.add_argument(f"--{name.replace('_', '-')}", type=type(value), default=value)
    args = parser.parse_args()
    recipe = Recipe(**{k: getattr(args, k) for k in asdict(Recipe())})
    try:
        folder = fit(
            args.maps, args.out, recipe, resume=args.resume, devices=args.devices,
            threads=args.threads, accelerator=args.accelerator,
        )  # fmt: skip
    except (LfssError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(folder)
    return 0


if __name__ == "__main__":
    sys.exit(main())
