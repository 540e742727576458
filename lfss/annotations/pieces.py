"""How an export writes the objects of a draft: one shape for all, or one for each."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal, get_args

from ..drafts import Draft
from ..errors import UnknownName
from ..objects import Mask, numbered, used
from ..separation import STRENGTH, separate

How = Literal["together", "parts", "each"]


def pieces(draft: Draft, how: How) -> Iterator[Mask]:
    """The (H, W) masks that an export writes for a draft.

    Args:
        draft: one picture and label.
        how: ``together``: one mask; ``parts``: one for each object, as a person has split and joined
            them, and for each connected part where nobody has; ``each``: the same, but where nobody
            has, parts that touch by a narrow neck are cut apart.

    Raises:
        UnknownName: another word.
    """
    check_how(how)
    if how == "together":
        yield draft.mask
        return
    if how == "each" and draft.objects is None:
        numbers = separate(draft.mask, STRENGTH)
    else:
        numbers = numbered(draft.mask, draft.objects)
    for number in used(numbers):
        yield numbers == number


def check_how(how: str) -> None:
    """Refuse a word that ``pieces`` would refuse, before any work.

    Raises:
        UnknownName: it is none of the known ones.
    """
    if how not in get_args(How):
        raise UnknownName("way to write objects", how, get_args(How))
