"""Episodes of several classes with auxiliary pictures: PAIA's setting, drawn under the protocol ``panet``.

An episode has N classes (ways). Each has K supports with masks and U auxiliary pictures of which only the
label is known; one query shows at least the first class. The draws are those of ``train.data.episodes``: the
same on every machine, and each episode has a stream of its own.

- The classes are drawn evenly, then query and supports, none of them twice in an episode.
- Auxiliary pictures are never supports or queries, of any episode. They come from another list of pictures,
  or else from a fixed third of the same list (``reserved``), which is then kept out of supports and queries
  for every U, so that results of different U compare. The pictures of a smaller U are the first of a larger.
- A share of them may be drawn from pictures that do not show the class: labels of real folders are wrong.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from lfss.errors import InputError

from .datasets import DataSet
from .episodes import Draws
from .splits import Rule

RESERVED = 1 / 3


@dataclass(frozen=True)
class Way:
    """One class of an episode.

    Attributes:
        class_name, class_id: the class.
        supports: ids of the pictures with masks.
        auxiliary: ids of the pictures without masks; of the auxiliary data set.
    """

    class_name: str
    class_id: int
    supports: tuple[str, ...]
    auxiliary: tuple[str, ...]


@dataclass(frozen=True)
class WaysEpisode:
    """One task: find these classes in the query."""

    query: str
    ways: tuple[Way, ...]


def reserved(sample_id: str) -> bool:
    """Whether a picture serves only as an auxiliary one; fixed by its id."""
    return int(hashlib.sha1(sample_id.encode()).hexdigest()[:8], 16) < RESERVED * 2**32


def sample_ways(
    data: DataSet, class_names: Sequence[str], *, ways: int, shots: int, auxiliary: int, count: int,
    seed: int, others: DataSet | None = None, foreign: float = 0.0, rule: Rule = "area",
) -> tuple[WaysEpisode, ...]:  # fmt: skip
    """Draw episodes.

    Args:
        data: pictures of queries and supports.
        class_names: the classes asked for.
        ways: N, at most the number of classes.
        shots: K, at least 1.
        auxiliary: U, at least 0.
        count: number of episodes.
        seed: any integer.
        others: pictures of the auxiliary ones; None: a reserved third of ``data``.
        foreign: share of the auxiliary pictures that does not show the class.
        rule: which pictures show enough of a class (``train.data.splits``).

    Raises:
        UnknownName: there is no such class.
        InputError: numbers that make no episode, or a class with too few pictures.
    """
    if not 1 <= ways <= len(set(class_names)):
        raise InputError(
            f"{ways} ways were asked for, of {len(set(class_names))} classes. Give as many classes as ways."
        )
    if shots < 1 or auxiliary < 0 or count < 1 or not 0 <= foreign <= 1:
        raise InputError(
            "Needed are at least one shot, no fewer than 0 auxiliary pictures, a foreign share of them "
            f"between 0 and 1, and one episode. Given were {shots}, {auxiliary}, {foreign} and {count}."
        )
    if others is not None and (both := {s.id for s in data.samples} & {s.id for s in others.samples}):
        raise InputError(
            f"{len(both)} pictures are in both lists, such as '{min(both)}'. Auxiliary pictures must never "
            "be supports or queries: give another list, or none."
        )
    pools = _Pools(data, others, class_names, rule)
    pools.check(ways * shots + 1, auxiliary, foreign)
    return tuple(
        pools.draw(f"ways|{seed}|{index}", ways, shots, _marked_wrong(auxiliary, foreign))
        for index in range(count)
    )


def digest_of(episodes: Sequence[WaysEpisode]) -> str:
    """SHA-256 of a list, which changes with anything in it."""
    text = json.dumps([asdict(episode) for episode in episodes], sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def _marked_wrong(auxiliary: int, foreign: float) -> list[bool]:
    """Which auxiliary pictures show something else: evenly spread, so that the first of them are too."""
    counts = [math.floor(foreign * n + 1e-9) for n in range(auxiliary + 1)]
    return [more > fewer for fewer, more in itertools.pairwise(counts)]


class _Pools:
    """Ids of the pictures that each class can be drawn from."""

    def __init__(self, data: DataSet, others: DataSet | None, names: Sequence[str], rule: Rule):
        self.names = {c: data.classes[c] for c in sorted(set(data.class_ids(names)))}
        free = [s.id for s in data.samples if others is not None or not reserved(s.id)]
        source = data if others is None else others
        kept = [s for s in source.samples if others is not None or reserved(s.id)]
        own, theirs = set(free), {s.id for s in kept}
        self.shown = {c: [i for i in data.ids_of(c, rule) if i in own] for c in self.names}
        self.label = {c: [i for i in source.ids_of(c, rule) if i in theirs] for c in self.names}
        self.without = {c: [s.id for s in kept if c not in s.areas] for c in self.names}

    def check(self, pictures: int, auxiliary: int, foreign: float) -> None:
        wrong = sum(_marked_wrong(auxiliary, foreign))
        for c, name in self.names.items():
            for found, needed, what in (
                (self.shown[c], pictures, "supports and queries"),
                (self.label[c], auxiliary - wrong, "auxiliary pictures"),
                (self.without[c], wrong, "auxiliary pictures without it"),
            ):
                if len(found) < needed:
                    raise InputError(
                        f"'{name}' has {len(found)} pictures for {what}; these episodes need {needed}. "
                        "Leave the class out, or ask for fewer shots or auxiliary pictures."
                    )

    def draw(self, key: str, ways: int, shots: int, wrong: Sequence[bool]) -> WaysEpisode:
        """One episode; ``wrong`` says for each auxiliary picture whether it shows something else."""
        draws = Draws(key)
        classes = draws.sample(list(self.names), ways)
        query = draws.choice(self.shown[classes[0]])
        used, made = {query}, []
        for c in classes:
            supports = draws.sample([i for i in self.shown[c] if i not in used], shots)
            used.update(supports)
            right = iter(Draws(f"{key}|{c}|auxiliary").sample(self.label[c], len(wrong) - sum(wrong)))
            foreign = iter(Draws(f"{key}|{c}|foreign").sample(self.without[c], sum(wrong)))
            auxiliary = tuple(next(foreign) if w else next(right) for w in wrong)
            made.append(Way(self.names[c], c, supports, auxiliary))
        return WaysEpisode(query, tuple(made))
