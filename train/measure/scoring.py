"""The loop over episodes: each one scored by all kinds of masks, written down at once, and never twice."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
from tqdm import tqdm

from lfss.errors import InputError
from lfss.images import Image
from lfss.methods import Method
from lfss.predictor import Predictor

from ..data.datasets import DataSet, write_text
from ..data.encode import Kind, prepare_episode
from ..data.episodes import Draws, EpisodeList, EpisodeSpec
from .masks import episode_masks, presence_without
from .metrics import PROTOCOLS, ClassIoU, Scores, roc_auc, sums_of


@dataclass(frozen=True)
class Settings:
    """All that a result depends on, besides the list of episodes.

    Attributes:
        preset: a name of ``lfss.presets``, or ``module:function``.
        kind: how supports are marked.
        protocol: how masks are scored (``train.measure.metrics``).
        lists: SHA-256 of each list of episodes.
        presence: also score one picture without the class for every episode, and the mask with the check of
            presence.
        decoders: name and folder of every trained decoder, and of other methods that are scored beside it.
        method: a name of ``lfss.methods``.
        word: whether the labels are treated as words that the model knows.
        weights: folder of the method's trained weights, if they are not the preset's.
    """

    preset: str
    kind: Kind
    protocol: str
    lists: tuple[str, ...]
    presence: bool
    decoders: tuple[tuple[str, str], ...] = ()
    method: str = "lfss"
    word: bool = True
    weights: str = ""


@dataclass(frozen=True)
class Record:
    """One scored episode: which, its sums by kind of mask, presence scores, seconds."""

    seed: int
    index: int
    sums: dict[str, list[int]]
    presence: tuple[float, float | None]
    seconds: float


def evaluate(
    predictor: Predictor, data: DataSet, lists: Sequence[EpisodeList], settings: Settings, *,
    partial: Path, progress: bool = False, beside: Mapping[str, Method] | None = None,
) -> list[Record]:  # fmt: skip
    """Score every episode, going on from a file of those already scored.

    Args:
        predictor: the model.
        data: the pictures of the lists.
        lists: one for each seed.
        settings: must be those that ``partial`` was begun with.
        partial: grows by a line an episode.
        progress: show a bar with time left.
        beside: see ``train.measure.masks.episode_masks``.

    Raises:
        InputError: ``partial`` belongs to other settings.
    """
    records = _resume(partial, settings)
    # Lists repeat themselves where pictures are few. Scribbles and absent pictures change with the place.
    same = "scribble" not in settings.kind and not settings.presence
    drawn = {e.seed: e.episodes for e in lists}
    known = {drawn[record.seed][record.index]: record for record in records} if same else {}
    done = {(record.seed, record.index) for record in records}
    tasks = [(e.seed, i, spec) for e in lists for i, spec in enumerate(e.episodes)]
    bar = tqdm(total=len(tasks), initial=len(done), unit="episode", disable=not progress)
    with partial.open("a", encoding="utf-8") as file, bar:
        for seed, index, spec in tasks:
            if (seed, index) in done:
                continue
            if spec in known:
                record = replace(known[spec], seed=seed, index=index)
            else:
                record = score_episode(predictor, data, spec, settings, beside, seed=seed, index=index)
                if same:
                    known[spec] = record
            records.append(record)
            file.write(json.dumps(asdict(record)) + "\n")
            file.flush()
            bar.update()
    return sorted(records, key=lambda record: (record.seed, record.index))


def score_episode(
    predictor: Predictor, data: DataSet, spec: EpisodeSpec, settings: Settings,
    beside: Mapping[str, Method] | None = None, *, seed: int, index: int,
) -> Record:  # fmt: skip
    """Segment one episode in all ways and count it.

    Args:
        predictor, data: what segments, and the pictures.
        spec: the episode.
        settings: kinds of marks and others.
        beside: LFSS with trained decoders, or other methods, by name.
        seed, index: of the list, and the episode's place in it.
    """
    start = time.perf_counter()
    episode = prepare_episode(predictor, data, spec, settings.kind, seed=seed, word=settings.word)
    outcome = episode_masks(predictor, episode, beside, shipped=settings.presence)
    query = episode.query
    protocol = PROTOCOLS[settings.protocol]
    counted = sums_of(outcome.masks, query.mask, query.ignore, protocol=protocol)
    sums = {name: value.tolist() for name, value in counted.items()}
    absent = None
    if settings.presence:
        other = _picture_without(data, spec, Draws(f"absent|{seed}|{index}"))
        absent = presence_without(predictor, episode.prepared, other)
    return Record(seed, index, sums, (outcome.presence, absent), time.perf_counter() - start)


def tally(records: Sequence[Record], episodes: EpisodeList, protocol: str) -> dict[str, Scores]:
    """Scores of each kind of mask over one list."""
    counters = {name: ClassIoU(episodes.classes, protocol) for name in records[0].sums}
    for record in records:
        for name, sums in record.sums.items():
            counters[name].add(episodes.episodes[record.index].class_name, np.array(sums, np.int64))
    return {name: counter.compute() for name, counter in counters.items()}


def presence_auc(records: Sequence[Record]) -> float | None:
    """How well presence scores part pictures with the class from those without; None if not asked for."""
    pairs = [record.presence for record in records if record.presence[1] is not None]
    if not pairs:
        return None
    with_it, without = [p for p, _ in pairs], [float(a) for _, a in pairs if a is not None]
    return roc_auc([*with_it, *without], [True] * len(with_it) + [False] * len(without))


def presence_at(records: Sequence[Record], limits: Sequence[float]) -> list[dict[str, float]] | None:
    """What limits of presence do; None if pictures without the class were not scored.

    Returns:
        for each ``limit``: ``kept``, the share of the pictures with the class that reach it, and ``emptied``,
        the share of those without it that do not.
    """
    pairs = [(shown, absent) for shown, absent in (r.presence for r in records) if absent is not None]
    if not pairs:
        return None
    shown, absent = np.array(pairs).T
    return [
        {"limit": t, "kept": float((shown >= t).mean()), "emptied": float((absent < t).mean())}
        for t in limits
    ]


def growth(records: Sequence[Record], episodes: EpisodeList, protocol: str) -> dict[str, list[float]]:
    """mIoU of each kind of mask after each episode."""
    counters = {name: ClassIoU(episodes.classes, protocol) for name in records[0].sums}
    means: dict[str, list[float]] = {name: [] for name in counters}
    for record in records:
        for name, sums in record.sums.items():
            counters[name].add(episodes.episodes[record.index].class_name, np.array(sums, np.int64))
            means[name].append(counters[name].compute().miou)
    return means


def _picture_without(data: DataSet, spec: EpisodeSpec, draws: Draws) -> Image:
    others = [s for s in data.samples if spec.class_id not in s.areas]
    if not others:
        raise InputError(f"Every picture of '{data.name}' shows {spec.class_name}; presence needs others.")
    sample = draws.choice(others)
    return Image(sample.read_image(), sample.image.name)


def _resume(partial: Path, settings: Settings) -> list[Record]:
    """Records of a file begun earlier; begins it otherwise."""
    head = json.dumps(asdict(settings))
    if not partial.exists():
        write_text(partial, head + "\n")
        return []
    first, *lines = partial.read_text(encoding="utf-8").split("\n")
    if first != head:
        raise InputError(f"'{partial}' was begun with other settings. Choose another --out, or remove it.")
    records = list(_records(lines))
    whole = "".join(json.dumps(asdict(record)) + "\n" for record in records)
    write_text(partial, head + "\n" + whole)  # without a line cut short
    return records


def _records(lines: Sequence[str]) -> Iterator[Record]:
    for line in lines:
        try:
            content = json.loads(line)
        except ValueError:
            return
        yield Record(**(content | {"presence": tuple(content["presence"])}))
