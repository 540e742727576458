"""Speed and memory of the workspace: ``python -m train.bench_workspace [--images 10000] [--ray]``.

Each line shows the workspace beside a plain baseline that keeps the same in loose files: a mask as
PNG and a score map as JPEG for each picture, flushed to the disk one by one as the workspace does, and a
line of JSON. Pictures are imagined: masks and maps of one megapixel, smooth as a network's.

With ``--ray``, the plain loop is compared with Ray workers on this machine. Without ``--preset`` the
model is a stand-in that keeps one core busy for a set time or, with ``--wait``, waits as for a GPU.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import logging
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import PIL.Image

from lfss.batch.drafts import IntoWorkspace
from lfss.batch.loop import Query, Segment, Workers, finished, here, run
from lfss.batch.on_ray import Load, LoadPreset, on_ray
from lfss.drafts import Draft, Origin
from lfss.images import Image, read_image
from lfss.labels import Label
from lfss.stages import Prediction
from lfss.workspace import Workspace

from . import cli

OPEN_SECONDS = 2.0  # the most that opening a workspace of 10,000 pictures may take
VARIANTS = 16  # different masks; packing does not know that they come again
LABEL = Label("dog")
RECORDED = ("image_digest", "image_name", "label", "status", "score", "presence")


def main(argv: list[str] | None = None) -> int:
    """Run the benchmark; returns 1 if opening took longer than it may."""
    parser = cli.command("bench_workspace", __doc__)
    parser.add_argument("--images", type=int, default=10_000, help="pictures in the workspace")
    parser.add_argument("--side", type=int, default=1000, help="their height and width in pixels")
    parser.add_argument("--folder", type=Path, help="where to work; a temporary folder if not given")
    parser.add_argument("--ray", action="store_true", help="measure Ray workers beside the plain loop")
    parser.add_argument("--photos", type=Path, help="folder of pictures for --ray; imagined if not given")
    parser.add_argument("--count", type=int, default=60, help="pictures for --ray")
    parser.add_argument("--workers", type=int, default=2, help="most workers for --ray")
    parser.add_argument("--preset", help="model for --ray; a stand-in if not given")
    parser.add_argument("--seconds", type=float, default=0.2, help="work of the stand-in for each picture")
    parser.add_argument("--wait", action="store_true", help="let it wait instead, as for a GPU of its own")
    args = parser.parse_args(argv)
    with tempfile.TemporaryDirectory(dir=args.folder) as folder:
        return _ray_report(args, Path(folder)) if args.ray else _report(args.images, args.side, Path(folder))


def _report(count: int, side: int, folder: Path) -> int:
    print(f"{count} pictures of {side} x {side} pixels, {os.cpu_count()} cores")
    drafts = partial(_drafts, count, side, folder)
    for n in range(count):  # files whose size and time tell that they are known; their pixels are not read
        (folder / f"{n}.jpg").touch()
    ours, plain, grown = folder / "workspace", folder / "plain", []
    filling = _timed(lambda: grown.append(_fill(ours, drafts(), count)))
    _line("fill", filling, _timed(lambda: _fill_plain(plain, drafts())), count)
    seconds = min(_timed(lambda: _open(ours)) for _ in range(3))
    _line("open, count, list all", seconds, min(_timed(lambda: _open_plain(plain)) for _ in range(3)), 1)
    with Workspace.open(ours, create=False) as workspace:
        reading = _timed(lambda: grown.append(_watched(workspace.drafts(), count)))
        _line("read all masks", reading, _timed(lambda: _read_plain(plain)), count)
        paths = [folder / f"{n}.jpg" for n in range(count)]
        sink = IntoWorkspace(workspace, {LABEL.text: ()})
        resume = _timed(lambda: [sink.kept(Query(path, path.name)) for path in paths])
        _line("resume: nothing to do", resume, _timed(lambda: [path.stat() for path in paths]), count)
        threshold = _timed(lambda: workspace.rethreshold(LABEL.text, 0.6))
        print(f"{'another threshold':24} {threshold:9.2f} s   {1e3 * threshold / count:8.2f} ms each")
        size = workspace.stats().bytes
    loose = sum(file.stat().st_size for file in plain.iterdir())
    print(f"{'on the disk':24} {size / 2**20:9.1f} MB  {loose / 2**20:8.1f} MB in loose files")
    filled, read = (size / 2**20 for size in grown)
    print(f"{'memory grown after 1/10':24} {filled:9.1f} MB filling, {read:.1f} MB reading")
    print(f"opening may take {OPEN_SECONDS:g} s: {'kept' if seconds <= OPEN_SECONDS else 'NOT KEPT'}")
    return int(seconds > OPEN_SECONDS)


def _drafts(count: int, side: int, folder: Path) -> Iterator[tuple[Draft, np.ndarray]]:
    maps = [_scores(side, side, seed) for seed in range(VARIANTS)]
    masks = [scores >= 0.5 for scores in maps]
    origin = Origin("bench", LABEL.text, 0.5)
    for n in range(count):
        digest = hashlib.sha256(str(n).encode()).hexdigest()
        which = n % VARIANTS
        draft = Draft(
            f"{n}.jpg",
            digest,
            LABEL.text,
            masks[which],
            score=0.8,
            presence=0.9,
            image_path=folder / f"{n}.jpg",
            origin=origin,
        )
        yield draft, maps[which]


def _scores(height: int, width: int, seed: int) -> np.ndarray:
    """(H, W) float32 in [0, 1]: 50 x 50 cells of smooth noise, enlarged."""
    noise = np.random.default_rng(seed).random((50, 50), np.float32)
    smooth = np.asarray(cv2.GaussianBlur(noise, (0, 0), 4))
    smooth = (smooth - smooth.min()) / (smooth.max() - smooth.min())
    return np.asarray(cv2.resize(smooth, (width, height), interpolation=cv2.INTER_LINEAR))


def _fill(folder: Path, drafts: Iterable[tuple[Draft, np.ndarray]], count: int) -> int:
    with Workspace.open(folder) as workspace:
        return _watched((workspace.put_draft(draft, scores) for draft, scores in drafts), count)


def _watched(steps: Iterable[object], count: int) -> int:
    """Take all steps; returns by how many bytes this process grew after the first tenth of them."""
    sizes = [_resident() for n, _ in enumerate(steps, start=1) if n in (max(1, count // 10), count)]
    return sizes[-1] - sizes[0]


def _fill_plain(folder: Path, drafts: Iterable[tuple[Draft, np.ndarray]]) -> None:
    folder.mkdir()
    with (folder / "drafts.jsonl").open("w") as records:
        for draft, scores in drafts:
            with (folder / f"{draft.image_digest}.png").open("wb") as file:
                PIL.Image.fromarray(draft.mask).save(file, "PNG")
                os.fsync(file.fileno())
            grey = np.rint(scores * 255).astype(np.uint8)
            cv2.imwrite(str(folder / f"{draft.image_digest}.jpg"), grey)
            about = {key: getattr(draft, key) for key in RECORDED}
            records.write(json.dumps(about) + "\n")


def _open(folder: Path) -> None:
    with Workspace.open(folder, create=False) as workspace:
        workspace.stats()
        workspace.overview(order="doubt")


def _open_plain(folder: Path) -> None:
    with (folder / "drafts.jsonl").open() as records:
        sorted((json.loads(line) for line in records), key=lambda about: about["score"])


def _read_plain(folder: Path) -> None:
    for file in folder.glob("*.png"):
        np.asarray(PIL.Image.open(file))


def _timed(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def _line(what: str, ours: float, plain: float, count: int) -> None:
    each = f"{1e3 * ours / count:8.2f} ms each" if count > 1 else ""
    print(f"{what:24} {ours:9.2f} s   plain files {plain:9.2f} s   ratio {ours / plain:6.2f}   {each}")
    sys.stdout.flush()


def _resident() -> int:
    """Bytes of memory that this process holds; 0 where the system does not tell."""
    status = Path("/proc/self/statm")
    return int(status.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") if status.exists() else 0


@dataclass(frozen=True)
class StandIn:
    """A model that works or waits for a set time, and what loads it."""

    seconds: float
    wait: bool

    def __call__(self) -> Segment:
        return self.segment

    def segment(self, query: Image) -> Iterator[tuple[int, Prediction]]:
        """The prediction of the one class, (H, W) as the picture, after ``seconds``."""
        clock = time.monotonic if self.wait else time.thread_time
        until = clock() + self.seconds
        scores = _scores(*query.size, seed=0)
        while clock() < until:
            if self.wait:
                time.sleep(until - clock())
            else:
                scores = _scores(*query.size, seed=0)
        yield 0, Prediction(scores >= 0.5, scores, 0.9, (), LABEL, "stand-in", 0.5, self.seconds)


def _ray_report(args: argparse.Namespace, folder: Path) -> int:
    import ray

    photos = sorted(args.photos.iterdir())[: args.count] if args.photos else _photos(folder, args.count)
    load: Load = StandIn(args.seconds, args.wait)
    if args.preset:
        from lfss.support import Support

        load = LoadPreset(args.preset, [(LABEL, [Support(read_image(photos[0]))])])
    model = args.preset or f"a stand-in that {'waits' if args.wait else 'works'} {args.seconds:g} s"
    print(f"{len(photos)} pictures, {model}, {os.cpu_count()} cores")
    segment = load()
    plain = _speed(photos, folder / "plain", lambda sink: here(segment, sink))
    print(f"plain loop   {plain:7.2f} pictures/s", flush=True)
    ray.init(
        num_cpus=args.workers,
        include_dashboard=False,
        log_to_driver=False,
        logging_level=logging.ERROR,
        _system_config={"worker_niceness": 0},  # as the plain loop; Ray's own 15 gives way to everything else
    )
    earlier = 0.0
    for workers in range(1, args.workers + 1):
        now = _speed(photos, folder / f"ray{workers}", partial(on_ray, load, workers=workers))
        gain = now - earlier
        print(f"{workers:2} worker(s) {now:7.2f} pictures/s   {now / plain:5.2f} x plain   {gain:+.2f} added")
        earlier = now
    ray.shutdown()
    return 0


def _speed(photos: list[Path], folder: Path, workers: Callable[[IntoWorkspace], Workers]) -> float:
    """Pictures a second between the first and the last, so that loading does not count."""
    with Workspace.open(folder) as workspace:
        sink = IntoWorkspace(workspace, {LABEL.text: ()})
        done = finished(run((Query(path, path.name) for path in photos), workers(sink), sink))
        times = [time.perf_counter() for one in done if one.outcomes[0].status == "done"]
    if len(times) != len(photos):
        raise SystemExit(f"{len(photos) - len(times)} of {len(photos)} pictures failed.")
    return (len(times) - 1) / (times[-1] - times[0])


def _photos(folder: Path, count: int) -> list[Path]:
    rng = np.random.default_rng(0)
    paths = [folder / f"{n}.jpg" for n in range(count)]
    for path in paths:
        small = rng.integers(0, 256, (30, 40, 3), np.uint8)
        PIL.Image.fromarray(small).resize((640, 480)).save(path)
    return paths


if __name__ == "__main__":
    sys.exit(main())
