"""A batch over the machines of a Ray cluster, into one workspace.

Workers segment, this process stores: each worker loads the model once and sends back drafts of a few
kilobytes; only this process writes the workspace, which may not lie in a network folder. A draft is
known by its picture and label and is stored once, however often a worker dies and its pictures are
given to another. At most a few pictures for each worker are under way, so a list of a million paths
takes no more memory than a list of ten. Stopping at any moment and running again resumes.

The pictures must lie under the same paths on every machine, as on shared storage. Ray is an optional
extra: ``pip install 'ray[default]'``.
"""

from __future__ import annotations

import os
import socket
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Sized
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from .errors import InputError, LfssError, WeightsError
from .fill import Class, Filled, Predict, Progress, propose, why
from .images import read_image
from .labels import Label
from .storage.packed import PackedDraft, pack_draft
from .storage.pictures import absolute, stamp_of
from .workspace import Workspace

UNDER_WAY = 2  # pictures given to a worker at once: one it works on, one that waits
TRIES = 3  # workers that may die of one picture before it is left alone
KNOCK_SECONDS = 5.0
RETURNS = 10  # times in a row that a worker may fail to come back before it is given up

Load = Callable[[], tuple[Predict, Class]]  # runs on each worker, once


@dataclass(frozen=True, eq=False)
class LoadPreset:
    """Loads a preset and prepares a class, on the worker that calls it.

    Attributes:
        preset: name of the preset.
        label: what to search for.
        supports: ``Support`` objects of ``lfss.support``.
        device: as in ``Predictor.load``.
        options: keyword arguments of ``Predictor.predict``.
        method: name of the method.
    """

    preset: str
    label: Label
    supports: Sequence[Any]
    device: str = "auto"
    options: Mapping[str, Any] = field(default_factory=dict)
    method: str = "lfss"

    def __call__(self) -> tuple[Predict, Class]:
        from .predictor import Predictor

        predictor = Predictor.load(self.preset, method=self.method, device=self.device)
        prepared = predictor.prepare(self.label, self.supports)
        return partial(predictor.predict, **self.options), prepared


def connect(address: str = "auto") -> None:
    """Join a Ray cluster that is running; does nothing if this process has joined one.

    Args:
        address: ``auto`` for the cluster of this machine, or ``host:port`` of its head.

    Raises:
        InputError: Ray is not installed, or there is no cluster.
    """
    ray = _ray()
    if ray.is_initialized():
        return
    try:
        if address != "auto":  # Ray itself would knock for five minutes where nobody answers
            host, _, port = address.rpartition(":")
            socket.create_connection((host, int(port)), timeout=KNOCK_SECONDS).close()
        ray.init(address=address, log_to_driver=False, logging_level="ERROR")
    except (OSError, RuntimeError, ValueError) as error:
        raise InputError(
            f"There is no Ray cluster at '{address}'. Start one with 'ray start --head', add machines "
            "with 'ray start --address=HOST:PORT', or leave out '--engine ray'."
        ) from error


def fill_on_ray(
    workspace: Workspace,
    load: Load,
    paths: Iterable[str | os.PathLike[str]],
    *,
    workers: int | None = None,
    cpus: float = 1,
    gpus: float = 0,
    start_seconds: float = 300,
    settings: Mapping[str, str] | None = None,
    total: int | None = None,
    on_progress: Callable[[Progress], None] | None = None,
) -> Iterator[Filled]:
    """Segment the files that have no draft of a label yet on the cluster that ``connect`` joined.

    What is yielded is stored. Files come back in the order in which they are done.

    Args:
        workspace: where drafts go; on a disk of this machine.
        load: called once on each worker, see ``LoadPreset``.
        paths: read one by one, a few ahead of the workers.
        workers: how many; as many as the cluster has room for if not given.
        cpus, gpus: what each worker takes of its machine.
        start_seconds: how long to wait for the workers to load the model; those that are ready by then
            begin without the others.
        settings, total, on_progress: as in ``lfss.fill.fill``.

    Raises:
        InputError: the cluster has no room for a worker, or all workers died.
        WeightsError: a worker cannot load the model.
        WorkspaceError: the workspace cannot be written.
    """
    progress = Progress(len(paths) if total is None and isinstance(paths, Sized) else total)
    shared = [_ray().put(load)]  # pictures of the supports travel once to each machine
    count = workers or _room(cpus, gpus)
    team, label = _start(shared, count, cpus=cpus, gpus=gpus, seconds=start_seconds)
    files = (absolute(Path(path)) for path in paths)  # workers have folders of their own to count from
    try:
        for filled in _Batch(workspace, team, label, files, shared=shared, settings=settings).run():
            progress.count(filled.outcome)
            if on_progress:
                on_progress(progress)
            yield filled
    finally:
        for worker in team:
            _ray().kill(worker)


class _Worker:
    """Lives on a machine of the cluster; loads the model on first use and keeps it.

    ``model`` is a list of one reference to what loads it: in a list, Ray leaves fetching it to the worker.
    """

    def __init__(self) -> None:
        self._loaded: tuple[Predict, Class] | None = None

    def ready(self, model: list[Any]) -> str:
        """Load the model; returns the label of its class."""
        self._loaded = self._loaded or _ray().get(model[0])()
        return self._loaded[1].label.text

    def segment(self, model: list[Any], path: Path, settings: Mapping[str, str] | None) -> PackedDraft | str:
        """The draft of a picture, or why there is none."""
        self.ready(model)
        assert self._loaded is not None
        try:
            stamp = stamp_of(path)
            draft, scores = propose(*self._loaded, read_image(path), settings=settings)
            return pack_draft(draft, scores, stamp=stamp)
        except WeightsError:
            raise
        except Exception as error:  # one picture must not cost the others
            return why(error, path)


class _Died(Exception):
    """A worker was lost before it answered."""


@dataclass
class _Job:
    path: Path
    deaths: int = 0


class _Batch:
    """Hands files to workers, a few to each, and stores what they send back."""

    def __init__(
        self,
        workspace: Workspace,
        team: Sequence[Any],
        label: str,
        paths: Iterator[Path],
        *,
        shared: list[Any],
        settings: Mapping[str, str] | None,
    ):
        self.workspace, self.label, self.paths = workspace, label, paths
        self.shared, self.settings = shared, settings
        self.places = deque(worker for _ in range(UNDER_WAY) for worker in team)
        self.calls: dict[Any, tuple[Any, _Job | None]] = {}  # in the order in which they were made
        self.again: deque[_Job] = deque()
        self.silent: Counter[Any] = Counter()  # times in a row that a worker did not come back

    def run(self) -> Iterator[Filled]:
        while True:
            while self.places and (job := self._next()) is not None:
                if isinstance(job, Filled):
                    yield job
                else:
                    worker = self.places.popleft()
                    self.calls[worker.segment.remote(self.shared, job.path, self.settings)] = (worker, job)
            if not self.calls:
                if self.places:
                    return
                raise InputError(
                    "All workers of the Ray cluster have died. Look after its machines and run the same "
                    "again; what is done is kept."
                )
            (call, *_), _ = _ray().wait(list(self.calls))
            yield from self._receive(call)

    def _next(self) -> _Job | Filled | None:
        """Work for one worker, or a file that has its draft already; None at the end."""
        if self.again:
            return self.again.popleft()
        path = next(self.paths, None)
        if path is None:
            return None
        if next(self.workspace.pending(self.label, [path]), None) is None:
            return Filled(path, "kept")
        return _Job(path)

    def _receive(self, call: Any) -> Iterator[Filled]:
        worker = self.calls[call][0]
        try:
            result = _result(call)
        except _Died:
            yield from self._bury(worker)
            return
        _, job = self.calls.pop(call)
        if job is None:  # it came back, with its model loaded
            del self.silent[worker]
            self.places.extend([worker] * UNDER_WAY)
        else:
            self.places.append(worker)
            yield self._store(job, result)

    def _bury(self, worker: Any) -> Iterator[Filled]:
        """Take back what a dead worker held, and wait for Ray to start it anew."""
        held = [(call, job) for call, (owner, job) in self.calls.items() if owner is worker]
        self.places = deque(place for place in self.places if place is not worker)
        blamed = False
        for call, job in held:
            del self.calls[call]
            if job is None:
                continue
            try:
                yield self._store(job, _result(call, timeout=0))
            except _Died:
                job.deaths += not blamed  # files are worked on in order: it died of the first
                blamed = True
                if job.deaths < TRIES:
                    self.again.append(job)
                else:
                    yield self._give_up(job)
        self.silent[worker] += 1
        if self.silent[worker] <= RETURNS:
            time.sleep(0.1 * (self.silent[worker] - 1))
            self.calls[worker.ready.remote(self.shared)] = (worker, None)

    def _store(self, job: _Job, result: PackedDraft | str) -> Filled:
        if isinstance(result, str):
            self.workspace.record_failure(self.label, job.path, result)
            return Filled(job.path, "failed", message=result)
        if not self.workspace.put_packed(result, overwrite=False):
            return Filled(job.path, "kept")
        return Filled(job.path, "drafted", result.unpack())

    def _give_up(self, job: _Job) -> Filled:
        message = (
            f"{job.deaths} workers died while they segmented '{job.path.name}'. It may be too large for "
            "their memory: segment it by itself on a larger machine."
        )
        return self._store(job, message)


def _start(
    model: list[Any], count: int, *, cpus: float, gpus: float, seconds: float
) -> tuple[list[Any], str]:
    """Workers that have loaded the model, and the label of its class."""
    ray = _ray()
    actor = ray.remote(num_cpus=cpus, num_gpus=gpus, max_restarts=-1)(_Worker)
    calls = {worker.ready.remote(model): worker for worker in [actor.remote() for _ in range(count)]}
    labels, reason = {}, "there is no room, or loading takes longer"
    try:
        for call in ray.wait(list(calls), num_returns=count, timeout=seconds)[0] if calls else []:
            try:
                labels[call] = _result(call)
            except _Died as error:
                reason = str(error)
    except BaseException:
        labels.clear()
        raise
    finally:
        for call, worker in calls.items():
            if call not in labels:
                ray.kill(worker)
    if not labels:
        raise InputError(
            f"No worker of {cpus:g} processors and {gpus:g} GPUs could start on the Ray cluster within "
            f"{seconds:g} seconds ({reason}). Install this program on every machine, or ask for less."
        )
    return [calls[call] for call in labels], next(iter(labels.values()))


def _result(call: Any, *, timeout: float | None = None) -> Any:
    """What a worker answered.

    Raises:
        _Died: it will not answer, or has not within ``timeout`` seconds.
        WeightsError: it cannot load the model.
    """
    ray = _ray()
    try:
        return ray.get(call, timeout=timeout)
    except ray.exceptions.RayTaskError as error:
        if isinstance(error.cause, LfssError):
            raise error.cause from None
        raise WeightsError(
            f"A worker of the Ray cluster cannot load the model ({error.cause}). Install the same version of "
            "this program, with its weights, on every machine."
        ) from error
    except ray.exceptions.RayError as error:
        raise _Died(str(error).partition("\n")[0]) from error


def _room(cpus: float, gpus: float) -> int:
    """How many workers the cluster has room for."""
    found = _ray().cluster_resources()
    shares = [found.get(kind, 0) / need for kind, need in (("CPU", cpus), ("GPU", gpus)) if need]
    return int(min(shares, default=1))


def _ray() -> Any:
    try:
        import ray
    except ImportError:
        raise InputError(
            "'--engine ray' needs the package Ray, which is not installed. Run "
            "pip install 'ray[default]', or leave out '--engine ray'."
        ) from None
    return ray
