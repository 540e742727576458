"""Photos with coloured rectangles, and the commands that tests give on a workspace."""

from __future__ import annotations

from pathlib import Path

import PIL.Image
from fakes import scene

from lfss.__main__ import main
from lfss.workspace import Workspace

AS_USUAL = {"snap": True, "second_look": False, "overlaps": ()}


def save_scene(path: Path, seed: int, box: tuple[int, int, int, int] = (40, 50, 100, 120)) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    PIL.Image.fromarray(scene(size=(144, 160), box=box, seed=seed)).save(path)
    return path


def segment(*more: str, to: str = "--workspace ws", what: str = "--label red --support s.png") -> int:
    pictures = () if "--list" in more or "--query" in more else ("--query", "photos")
    line = f"segment {what} {to} --preset tests.fakes:preset --device cpu"
    return main([*line.split(), *pictures, *more])


def lfss(line: str) -> int:
    return main(line.split())


def rows(folder: str = "ws") -> dict[str, str]:
    with Workspace.open(folder, create=False) as workspace:
        return {row.name: row.status for row in workspace.overview()}


def decide(folder: str = "ws", **states: str) -> None:
    """Give the draft of ``a.png`` and so on a state."""
    with Workspace.open(folder, create=False) as workspace:
        for row in workspace.overview():
            if state := states.get(Path(row.name).stem):
                workspace.set_status(row.digest, row.label, state)  # type: ignore[arg-type]


def two_scenes(place: Path) -> None:
    """Photos with a red and a blue rectangle, which lie side by side."""
    for seed, name in ((11, "two"), (12, "too")):
        pixels = scene(size=(144, 160), box=(40, 10, 100, 70), seed=seed)
        pixels[40:100, 90:150] = scene("blue", size=(144, 160), box=(0, 0, 144, 160), seed=seed)[
            40:100, 90:150
        ]
        (place / "both").mkdir(exist_ok=True)
        PIL.Image.fromarray(pixels).save(place / "both" / f"{name}.png")


BOTH = "--label red --label blue --support red=s.png blue=both/two.png --not red=yellow"
