"""The machines of a Ray cluster as workers of a run.

Workers segment, this process stores: each worker loads the model once and sends back drafts of a few
kilobytes; only this process writes the workspace, which may not lie in a network folder. A draft is
known by its picture and label and is stored once, however often a worker dies and its pictures are
given to another. At most a few pictures for each worker are under way, so a list of a million paths
takes no more memory than a list of ten. Stopping at any moment and running again resumes.

The pictures must lie under the same paths on every machine, as on shared storage. Ray is an optional
extra: ``pip install 'ray[default]'``.
"""

from __future__ import annotations

import socket
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from ..errors import InputError, LfssError, WeightsError
from ..labels import Label
from ..storage.pictures import absolute
from .loop import Answer, Done, Query, Segment, Sink, Step, Workers, segment_query

QUEUED = 2  # pictures given to a worker at once: one it works on, one that waits
MAX_DEATHS = 3  # workers that may die of one picture before it is left alone
CONNECT_SECONDS = 5.0
RESTART_SECONDS = 60.0  # how long a worker may take to come back before it is given up

Load = Callable[[], Segment]  # runs on each worker, once


@dataclass(frozen=True, eq=False)
class LoadPreset:
    """Loads a preset and prepares classes, on the worker that calls it.

    Attributes:
        preset: name of the preset.
        classes: for each class, what to search for and ``Support`` objects of ``lfss.support``.
        method: name of the method.
        device: as in ``Predictor.load``.
        options: keyword arguments of ``Predictor.iterate_classes``.
    """

    preset: str
    classes: Sequence[tuple[Label, Sequence[Any]]]
    method: str = "lfss"
    device: str = "auto"
    options: Mapping[str, Any] = field(default_factory=dict)

    def __call__(self) -> Segment:
        from ..predictor import Predictor

        predictor = Predictor.load(self.preset, method=self.method, device=self.device)
        return partial(predictor.iterate_classes, predictor.prepare_classes(self.classes), **self.options)


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
        if address != "auto":  # Ray itself would try for five minutes where nobody answers
            host, _, port = address.rpartition(":")
            socket.create_connection((host, int(port)), timeout=CONNECT_SECONDS).close()
        ray.init(address=address, log_to_driver=False, logging_level="ERROR")
    except (OSError, RuntimeError, ValueError) as error:
        raise InputError(
            f"There is no Ray cluster at '{address}'. Start one with 'ray start --head', add machines "
            "with 'ray start --address=HOST:PORT', or leave out '--engine ray'."
        ) from error


def on_ray(
    load: Load,
    sink: Sink,
    *,
    workers: int | None = None,
    cpus: float = 1,
    gpus: float = 0,
    start_seconds: float = 300,
) -> Workers:
    """The cluster that ``connect`` joined as workers of ``loop.run``.

    Pictures come back in the order in which they are done.

    Args:
        load: called once on each worker, see ``LoadPreset``.
        sink: of the run; its ``make`` is called on the workers.
        workers: how many; as many as the cluster has room for if not given.
        cpus, gpus: what each worker takes of its machine.
        start_seconds: how long to wait for the workers to load the model; those that are ready by then
            begin without the others.

    Raises:
        InputError: the cluster has no room for a worker, or all workers died.
        WeightsError: a worker cannot load the model.
    """

    def work(items: Iterator[Query | Done]) -> Iterator[Step | Done | Answer]:
        # In a list, Ray leaves fetching to the worker; pictures of the supports travel once to each machine.
        model = [_ray().put((load, sink.make))]
        started = _start(model, workers or _room(cpus, gpus), cpus=cpus, gpus=gpus, seconds=start_seconds)
        try:
            yield from _Schedule(started, items, model).run()
        finally:
            for worker in started:
                _ray().kill(worker)

    return work


class _Worker:
    """Lives on a machine of the cluster; loads the model on first use and keeps it.

    ``model`` is a list of one reference to what loads it and to what makes results of predictions.
    """

    def __init__(self) -> None:
        self._segment: Segment | None = None
        self._make: Any = None

    def ready(self, model: list[Any]) -> bool:
        """Load the model."""
        if self._segment is None:
            load, self._make = _ray().get(model[0])
            self._segment = load()
        return True

    def segment(self, model: list[Any], query: Query) -> Answer:
        """What was made of a picture, or why there is nothing."""
        self.ready(model)
        assert self._segment is not None
        steps = segment_query(query, self._segment, self._make)
        while True:
            try:
                next(steps)
            except StopIteration as end:
                return end.value  # type: ignore[no-any-return]


class _WorkerLost(Exception):
    """A worker was lost before it answered."""


@dataclass
class _Job:
    query: Query
    deaths: int = 0


class _Schedule:
    """Hands pictures to workers, a few to each, and collects what they send back."""

    def __init__(self, workers: Sequence[Any], items: Iterator[Query | Done], model: list[Any]):
        self._items, self._model = items, model
        self._free = deque(worker for _ in range(QUEUED) for worker in workers)
        self._calls: dict[Any, tuple[Any, _Job | None]] = {}  # in the order in which they were made
        self._again: deque[_Job] = deque()
        self._lost: dict[Any, float] = {}  # since when a worker is waited for

    def run(self) -> Iterator[Done | Answer]:
        while True:
            while self._free and (job := self._next()) is not None:
                if isinstance(job, Done):
                    yield job
                else:
                    worker = self._free.popleft()
                    self._calls[worker.segment.remote(self._model, job.query)] = (worker, job)
            if not self._calls:
                if self._free:
                    return
                raise InputError(
                    "All workers of the Ray cluster have died. Look after its machines and run the same "
                    "again; what is done is kept."
                )
            (call, *_), _ = _ray().wait(list(self._calls))
            yield from self._receive(call)

    def _next(self) -> _Job | Done | None:
        """Work for one worker, or a picture that is done already; None at the end."""
        if self._again:
            return self._again.popleft()
        item = next(self._items, None)
        if item is None or isinstance(item, Done):
            return item
        return _Job(item._replace(path=absolute(item.path)))  # workers have folders of their own

    def _receive(self, call: Any) -> Iterator[Answer]:
        worker = self._calls[call][0]
        try:
            answer = _result(call)
        except _WorkerLost:
            yield from self._replace(worker)
            return
        _, job = self._calls.pop(call)
        if job is None:  # it came back, with its model loaded
            del self._lost[worker]
            self._free.extend([worker] * QUEUED)
        else:
            self._free.append(worker)
            yield answer

    def _replace(self, worker: Any) -> Iterator[Answer]:
        """Take back what a lost worker held, and wait for Ray to start it anew."""
        held = [(call, job) for call, (owner, job) in self._calls.items() if owner is worker]
        self._free = deque(free for free in self._free if free is not worker)
        blamed = False
        for call, job in held:
            del self._calls[call]
            if job is None:
                continue
            try:
                yield _result(call, timeout=0)
            except _WorkerLost:
                job.deaths += not blamed  # pictures are worked on in order: it died of the first
                blamed = True
                if job.deaths < MAX_DEATHS:
                    self._again.append(job)
                else:
                    yield _given_up(job)
        if worker in self._lost:
            time.sleep(0.1)  # Ray refuses calls at once while it starts the worker anew
        waited = time.monotonic() - self._lost.setdefault(worker, time.monotonic())
        if waited <= RESTART_SECONDS:
            self._calls[worker.ready.remote(self._model)] = (worker, None)


def _given_up(job: _Job) -> Answer:
    return Answer(
        job.query,
        message=f"{job.deaths} workers died while they segmented '{job.query.path.name}'. It may be too "
        "large for their memory: segment it by itself on a larger machine.",
    )


def _start(model: list[Any], count: int, *, cpus: float, gpus: float, seconds: float) -> list[Any]:
    """Workers that have loaded the model."""
    ray = _ray()
    actor = ray.remote(num_cpus=cpus, num_gpus=gpus, max_restarts=-1)(_Worker)
    calls = {worker.ready.remote(model): worker for worker in [actor.remote() for _ in range(count)]}
    ready: set[Any] = set()
    reason = "there is no room, or loading takes longer"
    try:
        for call in ray.wait(list(calls), num_returns=count, timeout=seconds)[0] if calls else []:
            try:
                _result(call)
                ready.add(call)
            except _WorkerLost as error:
                reason = str(error)
    except BaseException:
        ready.clear()
        raise
    finally:
        for call, worker in calls.items():
            if call not in ready:
                ray.kill(worker)
    if not ready:
        raise InputError(
            f"No worker of {cpus:g} processors and {gpus:g} GPUs could start on the Ray cluster within "
            f"{seconds:g} seconds ({reason}). Install this program on every machine, or ask for less."
        )
    return [calls[call] for call in ready]


def _result(call: Any, *, timeout: float | None = None) -> Any:
    """What a worker answered.

    Raises:
        _WorkerLost: it will not answer, or has not within ``timeout`` seconds.
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
        raise _WorkerLost(str(error).partition("\n")[0]) from error


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
