"""Imports run one way, read from every import statement of the project."""

from __future__ import annotations

import ast
import importlib.util
from functools import cache
from itertools import accumulate
from pathlib import Path

import pytest

import lfss

ROOT = Path(__file__).resolve().parents[1]
FILES = sorted(p for part in ("lfss", "demo", "train") for p in (ROOT / part).rglob("*.py"))


def module_of(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts)


@cache
def imported(path: Path) -> set[str]:
    """Absolute names of everything that a file imports, wherever in it the statement stands."""
    package = module_of(path).rpartition(".")[0]
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"), str(path))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            name = "." * node.level + (node.module or "")
            base = importlib.util.resolve_name(name, package) if node.level else name
            found |= {base} | {f"{base}.{alias.name}" for alias in node.names}
    return found


def roots(path: Path) -> set[str]:
    return {name.partition(".")[0] for name in imported(path)}


def in_folder(name: str) -> list[Path]:
    return [p for p in FILES if p.relative_to(ROOT).parts[: name.count("/") + 1] == tuple(name.split("/"))]


def named(paths: list[Path], forbidden: set[str]) -> dict[str, set[str]]:
    """The files among ``paths`` that import something forbidden, and what."""
    hits = {str(p.relative_to(ROOT)): roots(p) & forbidden for p in paths}
    return {name: found for name, found in hits.items() if found}


def test_the_public_names_are_there_and_no_others():
    assert all(getattr(lfss, name) for name in lfss.__all__)
    with pytest.raises(AttributeError, match="no attribute 'annotate'"):
        _ = lfss.annotate


def test_there_are_files_to_read():
    assert len(in_folder("lfss")) > 20
    assert in_folder("lfss/methods/lfss")
    assert "torch" in roots(ROOT / "lfss" / "similarity.py")
    assert "lfss.similarity" in imported(ROOT / "lfss" / "methods" / "lfss" / "step2_refine.py")


def test_lfss_imports_neither_screen_nor_training():
    assert not named(
        in_folder("lfss"), {"demo", "train", "app", "tests", "gradio", "lightning", "tensorboard"}
    )


def test_demo_does_not_import_training():
    assert not named(in_folder("demo"), {"train", "app", "tests", "lightning"})


def test_train_does_not_import_the_screen():
    assert not named(in_folder("train"), {"demo", "app", "tests", "gradio"})


def test_matplotlib_is_imported_by_figures_alone():
    others = [p for p in in_folder("lfss") if p.name != "figures.py"]
    assert not named(others, {"matplotlib"})


def test_workspace_and_formats_work_without_torch():
    light = [p for part in ("workspace", "annotations", "storage") for p in in_folder(f"lfss/{part}")]
    assert ROOT / "lfss" / "workspace" / "__init__.py" in light
    assert not named(light, {"torch", "timm", "open_clip", "torchvision"})


def test_methods_see_neither_networks_nor_pictures():
    forbidden = ("lfss.encoders", "lfss.images", "lfss.predictor", "lfss.presets", "lfss.storage")
    for path in in_folder("lfss/methods"):
        assert not any(name.startswith(forbidden) for name in imported(path)), path


def test_the_steps_of_a_paper_know_neither_the_methods_nor_each_other():
    steps = [p for p in in_folder("lfss/methods/lfss") if p.name.startswith("step")]
    assert len(steps) == 5
    for path in steps:
        others = {name for name in imported(path) if name.startswith("lfss.methods.")}
        assert not any(".step" in name or name.endswith((".method", ".contract")) for name in others), path


def test_nothing_hostile_can_be_unpickled():
    assert not named(in_folder("lfss"), {"pickle", "dill", "joblib", "cloudpickle", "shelve"})


def test_no_module_imports_itself_in_a_circle():
    """Every import at the top of a module, followed until it ends."""
    known = {module_of(p).removesuffix(".__init__"): p for p in in_folder("lfss")}
    graph = {name: top_level(path) & set(known) - {name} for name, path in known.items()}
    done: set[str] = set()

    def visit(name: str, trail: tuple[str, ...]) -> None:
        assert name not in trail, " -> ".join((*trail, name))
        if name not in done:
            for other in graph[name]:
                # A package's own __init__ runs first anyway; it is not a dependency of its modules.
                if not name.startswith(f"{other}."):
                    visit(other, (*trail, name))
            done.add(name)

    for name in graph:
        visit(name, ())


def test_the_first_page_does_not_wait_for_torch():
    """Every import at the top of a module of the page, followed until it ends."""
    known = {module_of(p).removesuffix(".__init__"): p for part in ("lfss", "demo") for p in in_folder(part)}
    seen: set[str] = set()
    left = {"demo.page"}
    while left:
        name = left.pop()
        seen.add(name)
        whole = set(accumulate(name.split("."), lambda base, part: f"{base}.{part}"))  # with its packages
        left |= ((top_level(known[name]) if name in known else set()) | whole) - seen
    assert {"demo.service", "lfss.errors", "gradio"} <= seen
    assert not {name.partition(".")[0] for name in seen} & {"torch", "timm", "open_clip", "matplotlib"}


def top_level(path: Path) -> set[str]:
    """What a file imports as it is loaded: not inside functions, not for type checkers only."""
    package = module_of(path).rpartition(".")[0]
    found: set[str] = set()
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.ImportFrom):
            name = "." * node.level + (node.module or "")
            base = importlib.util.resolve_name(name, package) if node.level else name
            found |= {base} | {f"{base}.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
    return found
