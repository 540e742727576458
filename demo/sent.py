"""What the page sends to a function of a component, checked before it is used."""

from __future__ import annotations

from typing import Any

from lfss.errors import InputError

MOST = 500  # marks in a text


def of(sent: Any, name: str) -> Any:
    """The part of that name, of whatever kind; None where there is none."""
    return sent.get(name) if isinstance(sent, dict) else None


def text(sent: Any, name: str) -> str:
    """The part of that name, a short text; raises InputError where it is none."""
    return checked(of(sent, name))


def checked(value: Any) -> str:
    """A short text; raises InputError where it is none."""
    if not isinstance(value, str) or len(value) > MOST:
        raise InputError("The page sent something that this version does not know. Reload it.")
    return value
