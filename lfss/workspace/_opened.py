"""What every part of a workspace works on: its folder and its database."""

from __future__ import annotations

from pathlib import Path

from ..storage.database import Database


class Opened:
    """An open workspace without any methods; the parts beside this file add them."""

    def __init__(self, folder: Path, database: Database):
        self.folder, self._database = folder, database
