"""Files that come with the project and are no code: weights, their configuration, the app's style sheet.

In a clone they lie in ``assets`` beside ``lfss``. An installed package holds the same folder inside itself.
"""

from __future__ import annotations

from importlib import resources
from pathlib import Path


def shipped(name: str) -> Path:
    """The path of a file or folder of ``assets``, whether or not it exists."""
    package = Path(str(resources.files("lfss")))
    installed = package / "assets"
    return (installed if installed.is_dir() else package.parent / "assets") / name
