"""Episode lists: made once from a seed, stored, and shared by all methods that are compared.

A list is the same byte for byte on every machine. Random numbers are 64-bit words of SHA-256 over a
text and a counter, cut to a range by rejection, because the streams of ``random`` and numpy may change
with their versions. Every episode draws from a text of its own, so a list of 100 is the beginning of
a list of 1,000, and neither batch size nor number of workers can matter.

Protocols:

- ``hsnet``: episode i asks for pair i modulo their number, pairs being ordered by picture, then class;
  supports are drawn one by one, never the query, but one may come twice. So classes weigh as the list
  does: in fold 2 of PASCAL-5i more than half of the queries are persons.
- ``hsnet-coco``: as ``hsnet``, but with a class drawn evenly, then a picture of it.
- ``panet``: a class drawn evenly, then query and supports together, without repetition.
- ``balanced``, our own: classes in turn; every picture of a class is asked for once before any is
  asked for twice; supports without repetition. Its means scatter least.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TypeVar

from lfss.errors import InputError, UnknownName

from .datasets import DataSet, write_text
from .splits import Rule

FORMAT = "lfss-episodes 1"

T = TypeVar("T")
Pool = Mapping[int, Sequence[str]]


class Draws:
    """Random numbers that follow from a text alone, on every machine and version.

    Args:
        key: any text; another text gives another, unrelated stream.
    """

    def __init__(self, key: str):
        self._words = self._stream(key)

    @staticmethod
    def _stream(key: str) -> Iterator[int]:
        block = 0
        while True:
            digest = hashlib.sha256(f"{key}|{block}".encode()).digest()
            yield from (int.from_bytes(digest[i : i + 8], "big") for i in range(0, 32, 8))
            block += 1

    def below(self, limit: int) -> int:
        """An integer in [0, limit), each as likely as the others; limit is at least 1."""
        fair = 2**64 - 2**64 % limit
        return next(word for word in self._words if word < fair) % limit

    def choice(self, items: Sequence[T]) -> T:
        """One of the items."""
        return items[self.below(len(items))]

    def sample(self, items: Sequence[T], count: int) -> tuple[T, ...]:
        """Some of the items, none twice, in random order; count is at most their number."""
        rest = list(items)
        for place in range(count):
            other = place + self.below(len(rest) - place)
            rest[place], rest[other] = rest[other], rest[place]
        return tuple(rest[:count])


@dataclass(frozen=True)
class EpisodeSpec:
    """One task, by name: find this class in the query, given the supports.

    Attributes:
        class_name, class_id: the class.
        query: id of the picture to segment.
        supports: ids of the annotated pictures.
    """

    class_name: str
    class_id: int
    query: str
    supports: tuple[str, ...]


@dataclass(frozen=True)
class EpisodeList:
    """Episodes, and all that they were made from.

    Attributes:
        data, split: the data set's name and list.
        protocol, rule, seed, shots: how they were drawn.
        classes: names of the classes asked for.
        pool: SHA-256 of the pictures they were drawn from, class by class.
        episodes: the tasks, in order.
    """

    data: str
    split: str
    protocol: str
    rule: Rule
    seed: int
    shots: int
    classes: tuple[str, ...]
    pool: str
    episodes: tuple[EpisodeSpec, ...]

    @property
    def digest(self) -> str:
        """SHA-256 of the stored list."""
        return _sha256(self.text())

    def text(self) -> str:
        """The list as it is stored: a header, then an episode a line, as JSON."""
        lines = "".join(_line(asdict(episode)) for episode in self.episodes)
        header = {k: v for k, v in self.__dict__.items() if k != "episodes"}
        header |= {"format": FORMAT, "count": len(self.episodes), "digest": _sha256(lines)}
        return _line(header) + lines


def sample_episodes(
    data: DataSet, class_names: Sequence[str], *, shots: int, count: int, seed: int,
    protocol: str = "balanced", rule: Rule = "area",
) -> EpisodeList:  # fmt: skip
    """Draw episodes.

    Args:
        data: where the pictures are.
        class_names: the classes asked for.
        shots: supports per episode, at least 1.
        count: number of episodes.
        seed: any integer; another one gives another list.
        protocol: see above.
        rule: which pictures show enough of a class (see ``train.data.splits``).

    Raises:
        UnknownName: no such class or protocol.
        InputError: fewer than one shot or episode, or a class with too few pictures for the shots.
    """
    if protocol not in PROTOCOLS:
        raise UnknownName("protocol", protocol, PROTOCOLS)
    if shots < 1 or count < 1 or not class_names:
        raise InputError("Episodes need at least one class, one shot and one episode.")
    ids = data.class_ids(class_names)
    pool = {class_id: data.ids_of(class_id, rule) for class_id in sorted(set(ids))}
    _check_pool(data, pool, shots if protocol in ("panet", "balanced") else 1, shots, rule)
    draw = PROTOCOLS[protocol](pool, shots, f"{protocol}|{seed}")
    episodes = []
    for index in range(count):
        class_id, query, supports = draw(index)
        episodes.append(EpisodeSpec(data.classes[class_id], class_id, query, supports))
    names = tuple(data.classes[class_id] for class_id in pool)
    return EpisodeList(
        data.name, data.split, protocol, rule, seed, shots, names, _pool_digest(pool), tuple(episodes)
    )


def save_episodes(episodes: EpisodeList, path: Path) -> None:
    """Store a list, atomically."""
    write_text(path, episodes.text())


def load_episodes(path: Path, data: DataSet | None = None) -> EpisodeList:
    """Load a list and verify it.

    Args:
        path: the file.
        data: if given, the list must have been drawn from exactly its pictures.

    Raises:
        InputError: no such file, no episode list, changed since it was made, or made from other
            pictures.
    """
    if not path.is_file():
        raise InputError(f"There is no episode list '{path}'. Make it first.")
    head, _, lines = path.read_text(encoding="utf-8").partition("\n")
    try:
        header = json.loads(head)
        if header.pop("format") != FORMAT:
            raise ValueError("another format")
        digest, count = header.pop("digest"), header.pop("count")
        rows = [json.loads(line) for line in lines.splitlines()]
        specs = tuple(EpisodeSpec(**(row | {"supports": tuple(row["supports"])})) for row in rows)
        episodes = EpisodeList(**(header | {"classes": tuple(header["classes"]), "episodes": specs}))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(f"'{path}' is no episode list of this version ({error}). Make it again.") from error
    if _sha256(lines) != digest or len(specs) != count:
        raise InputError(f"The episode list '{path}' was changed after it was made. Make it again.")
    if data is not None:
        ids = sorted(data.class_ids(episodes.classes))
        if _pool_digest({c: data.ids_of(c, episodes.rule) for c in ids}) != episodes.pool:
            raise InputError(
                f"The episode list '{path}' was made from other pictures than '{data.name}' "
                f"(split '{data.split}') holds. Use the same data, or make the list again."
            )
    return episodes


Draw = Callable[[int], tuple[int, str, tuple[str, ...]]]


def _hsnet(pool: Pool, shots: int, key: str) -> Draw:
    pairs = sorted((picture, class_id) for class_id, pictures in pool.items() for picture in pictures)

    def draw(index: int) -> tuple[int, str, tuple[str, ...]]:
        query, class_id = pairs[index % len(pairs)]
        return class_id, query, _with_repetition(pool[class_id], query, shots, Draws(f"{key}|{index}"))

    return draw


def _hsnet_coco(pool: Pool, shots: int, key: str) -> Draw:
    def draw(index: int) -> tuple[int, str, tuple[str, ...]]:
        draws = Draws(f"{key}|{index}")
        class_id = draws.choice(list(pool))
        query = draws.choice(pool[class_id])
        return class_id, query, _with_repetition(pool[class_id], query, shots, draws)

    return draw


def _panet(pool: Pool, shots: int, key: str) -> Draw:
    def draw(index: int) -> tuple[int, str, tuple[str, ...]]:
        draws = Draws(f"{key}|{index}")
        class_id = draws.choice(list(pool))
        query, *supports = draws.sample(pool[class_id], shots + 1)
        return class_id, query, tuple(supports)

    return draw


def _balanced(pool: Pool, shots: int, key: str) -> Draw:
    classes = list(pool)

    def draw(index: int) -> tuple[int, str, tuple[str, ...]]:
        visit, place = divmod(index, len(classes))
        class_id = classes[place]
        pictures = pool[class_id]
        turn, position = divmod(visit, len(pictures))
        query = Draws(f"{key}|class {class_id}|turn {turn}").sample(pictures, position + 1)[-1]
        others = [picture for picture in pictures if picture != query]
        return class_id, query, Draws(f"{key}|{index}").sample(others, shots)

    return draw


PROTOCOLS: dict[str, Callable[[Pool, int, str], Draw]] = {
    "hsnet": _hsnet, "hsnet-coco": _hsnet_coco, "panet": _panet, "balanced": _balanced,
}  # fmt: skip


def _with_repetition(pictures: Sequence[str], query: str, shots: int, draws: Draws) -> tuple[str, ...]:
    others = [picture for picture in pictures if picture != query]
    return tuple(draws.choice(others) for _ in range(shots))


def _check_pool(data: DataSet, pool: Pool, distinct: int, shots: int, rule: Rule) -> None:
    short = [f"{data.classes[c]} ({len(p)})" for c, p in pool.items() if len(p) <= distinct]
    if short:
        raise InputError(
            f"{shots}-shot episodes need {distinct + 1} pictures a class that show enough of it (rule "
            f"'{rule}'); too few in '{data.name}': {', '.join(short)}. Leave these out or take fewer shots."
        )


def _pool_digest(pool: Pool) -> str:
    return _sha256("".join(f"{class_id}\t{p}\n" for class_id, pictures in pool.items() for p in pictures))


def _line(content: Mapping[str, object]) -> str:
    return json.dumps(content, sort_keys=True, separators=(",", ":")) + "\n"


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
