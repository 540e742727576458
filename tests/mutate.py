"""Break a module in one place at a time, and see whether its tests notice.

    python -m tests.mutate lfss/edges.py
    python -m tests.mutate lfss/doubt.py --tests tests/test_doubt.py --lines 20-60
    python -m tests.mutate lfss/edges.py lfss/images.py --sample 40 --seed 0 --out out/mutants.json

Each arithmetic operator, comparison, ``and``, ``or``, ``not`` and number of the module is changed once (a
*mutant*), and the module's tests run on it. A mutant is killed if a test fails, or if the run takes far
longer than on the module as it is; otherwise it survives and is printed. Messages of ``raise`` and types are
not changed. ``--sample N`` draws N of a module's mutants, with a seed, where all of them take too long. With
``--out`` the results of each module are added to a JSON file, and ``--table`` writes all of that file as a
table. ``tests/mutate_equivalent.json`` lists changes that no test can notice, each with the reason; they are
counted apart. Nothing is written into the module: the changed code lives in a child process only, so tests
must call the module directly and not start a program that does.
"""

from __future__ import annotations

import argparse
import ast
import gc
import importlib
import importlib.machinery
import importlib.util
import json
import math
import os
import random
import resource
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from types import CodeType, FrameType, FunctionType, ModuleType
from typing import Any

from .mutants import Mutant, lines_of, mutants

ROOT = Path(__file__).resolve().parents[1]
EQUIVALENT = Path(__file__).with_name("mutate_equivalent.json")


def _workspace(*names: str) -> list[str]:
    return [f"tests/workspace/test_workspace_{name}.py" for name in names]


# Without those that start programs of their own, which do not see the change.
_WORKSPACE = [
    "tests/storage",
    *_workspace("classes", "damaged", "drafts", "history", "labels", "pictures", "thresholds"),
]
_FILES = ["tests/commands/files/test_segment_results.py", "tests/commands/files/test_segment_resume.py"]

# The tests of a module, or of a folder's modules, where they are not in the one file of the module's name.
TESTS: dict[str, list[str]] = {
    "lfss/annotations": ["tests/annotations"],
    "lfss/annotations/raster.py": ["tests/annotations/test_outlines.py"],
    "lfss/annotations/rings.py": ["tests/annotations/test_outlines.py"],
    "lfss/batch": ["tests/batch", "tests/commands"],
    "lfss/batch/folder.py": _FILES,
    "lfss/batch/loop.py": ["tests/batch/test_into_workspace.py"],
    "lfss/batch/on_ray.py": ["tests/batch/test_on_ray.py"],
    "lfss/batch/planning.py": _FILES,
    "lfss/batch/record.py": _FILES,
    "lfss/commands": ["tests/commands"],
    "lfss/decode.py": ["tests/test_images.py", "tests/test_budget.py"],
    "lfss/encoders": ["tests/encoders"],
    "lfss/methods": ["tests/methods"],
    "lfss/methods/lfss": ["tests/methods/lfss"],
    "lfss/methods/paia": ["tests/methods/paia"],
    "lfss/methods/tlg": ["tests/methods/test_tlg.py", "tests/methods/test_tlg_parts.py"],
    "lfss/storage": _WORKSPACE,
    "lfss/storage/database.py": _workspace("older", "read_only", "damaged"),
    "lfss/storage/failures.py": _workspace("pictures"),
    "lfss/storage/integrity.py": _workspace("damaged", "read_only"),
    "lfss/storage/listing.py": _workspace("drafts", "labels"),
    "lfss/storage/packed.py": _workspace("drafts", "history", "thresholds"),
    "lfss/storage/pictures.py": _workspace("pictures", "classes"),
    "lfss/storage/schema.py": _workspace("older"),
    "lfss/support.py": ["tests/predictor", "tests/test_class_file.py"],
    "lfss/text.py": ["tests/test_text_input.py"],
    "lfss/workspace": _WORKSPACE,
    "lfss/workspace/_drafts.py": _workspace("drafts"),
    "lfss/workspace/_labels.py": _workspace("labels", "classes"),
    "lfss/workspace/_pictures.py": _workspace("pictures", "imports"),
}

# Imported before the children are forked, so that none of them pays for it.
HEAVY = ("numpy", "cv2", "torch", "PIL.Image", "hypothesis.extra.numpy", "pytest")


class Changed(importlib.machinery.SourceFileLoader):
    """Loads a module from a tree instead of from its file."""

    tree: ast.Module

    def get_code(self, fullname: str) -> CodeType:
        return compile(self.tree, self.path, "exec")


class Finder:
    """Finds one module, with its changed tree; everything else is found as always."""

    def __init__(self, name: str, path: Path, tree: ast.Module):
        self.name, self.loader = name, Changed(name, str(path))
        self.loader.tree = tree

    def find_spec(
        self, name: str, path: object = None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if name != self.name:
            return None
        return importlib.util.spec_from_file_location(name, self.loader.path, loader=self.loader)


class Functions:
    """A pytest plugin that, in place of running the tests once, runs them on every mutant of a function.

    The tests are collected once, with the module as it is. Each mutant gets a copy of the process in which
    the code of the module's functions is exchanged: nothing is imported or collected again.
    """

    def __init__(self, path: Path, chosen: Sequence[Mutant], out: Path):
        self.path, self.chosen, self.out = path, chosen, out

    def pytest_runtestloop(self, session: Any) -> bool:
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        found = Path(tempfile.mkstemp(suffix=".json")[1])
        if not child(partial(self.record, session, found), 3600):
            return True  # the module's tests fail as it is
        order = json.loads(found.read_text())
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        limit = 3 * (after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime) + 5
        every = [test for test, _ in order]
        result: dict[str, Any] = {"tests": every, "limit": limit, "by_line": {}, "survived": []}
        for test, lines in order:
            for line in lines:
                result["by_line"].setdefault(line, []).append(test)
        for number, mutant in enumerate(self.chosen):
            tests = result["by_line"].get(mutant.line, [])
            if mutant.in_function and (not tests or child(partial(self.run, session, mutant, tests), limit)):
                result["survived"].append(number)
        self.out.write_text(json.dumps(result))
        return True

    def record(self, session: Any, out: Path) -> int:
        """Run every test and write down which lines of the module each runs; quick tests first."""
        lines: dict[str, set[int]] = {}
        seconds: dict[str, float] = {}
        for item in session.items:
            seen = lines[item.nodeid] = set()

            def line(frame: FrameType, event: str, argument: object, seen: set[int] = seen) -> Any:
                seen.add(frame.f_lineno)
                return line

            def call(frame: FrameType, event: str, argument: object, line: Any = line) -> Any:
                return line if frame.f_code.co_filename == str(self.path) else None

            start = time.monotonic()
            sys.settrace(call)
            item.config.hook.pytest_runtest_protocol(item=item, nextitem=None)
            sys.settrace(None)
            seconds[item.nodeid] = time.monotonic() - start
        order = sorted(lines, key=lambda test: seconds[test])
        out.write_text(json.dumps([(test, sorted(lines[test])) for test in order]))
        return int(session.testsfailed)

    def run(self, session: Any, mutant: Mutant, tests: Sequence[str]) -> int:
        """Exchange the code of the module's functions and run tests until one fails."""
        changed = dict(_codes(compile(mutant.tree, str(self.path), "exec")))
        for function in gc.get_objects():
            if isinstance(function, FunctionType) and function.__code__.co_filename == str(self.path):
                function.__code__ = changed[_key(function.__code__)]
        items = {item.nodeid: item for item in session.items}
        for test in tests:
            items[test].config.hook.pytest_runtest_protocol(item=items[test], nextitem=None)
            if session.testsfailed:
                return 1
        return 0


def _key(code: CodeType) -> tuple[str, int, int]:
    return code.co_qualname, code.co_firstlineno, len(code.co_varnames)


def _codes(code: CodeType) -> Iterator[tuple[tuple[str, int, int], CodeType]]:
    """A code object and all within it."""
    yield _key(code), code
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _codes(constant)


def child(work: Callable[[], int], limit: float) -> bool:
    """Whether ``work``, done in a process of its own without output, returns 0 within a limit.

    Args:
        work: what is done; its result is the exit code of the process.
        limit: seconds of the processor, and 30 times as many on the clock, since the machine may be busy.
    """
    process = os.fork()
    if process == 0:
        os.setsid()
        resource.setrlimit(resource.RLIMIT_CPU, (round(limit) + 1, round(limit) + 1))
        nothing = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nothing, 1)
        os.dup2(nothing, 2)
        code = 1
        with suppress(BaseException):
            code = work()
        os._exit(code)
    end = time.monotonic() + 30 * limit
    while time.monotonic() < end:
        done, status = os.waitpid(process, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status) == 0
        time.sleep(0.01)
    os.killpg(process, signal.SIGKILL)
    os.waitpid(process, 0)
    return False


def run_tests(path: Path, tree: ast.Module, tests: Sequence[str], plugin: object = None) -> int:
    """pytest's exit code for tests on a tree in place of the module; only in a child."""
    import pytest

    name = ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
    sys.meta_path.insert(0, Finder(name, path, tree))  # type: ignore[arg-type]
    plugins = ("no:cacheprovider", "no:unraisableexception", "_hypothesis_pytestplugin")
    options = ["-x", "-q", "--hypothesis-seed=0", *(f"-p{plugin}" for plugin in plugins)]
    return int(pytest.main([*options, *tests], plugins=[plugin] if plugin else []))


def tests_of(key: str) -> list[str]:
    """The tests of a module: what ``TESTS`` says of it, else the file of its name, else those of its folder.

    Args:
        key: the module's path below the root, as ``lfss/edges.py``.
    """
    module = Path(key)
    folders = module.parts[1:-1] if module.parts[0] == "lfss" else module.parts[:-1]
    own = Path("tests", *folders, f"test_{module.stem}.py")
    if key not in TESTS and (ROOT / own).is_file():
        return [str(own)]
    names = [key, *(folder.as_posix() for folder in module.parents)]
    return next((TESTS[name] for name in names if name in TESTS), [str(own)])


def sample(found: list[int], count: int | None, seed: str) -> list[int]:
    """At most ``count`` of the places, drawn with a seed, in the order of the source."""
    if count is None or count >= len(found):
        return found
    return [found[i] for i in sorted(random.Random(seed).sample(range(len(found)), count))]


def try_module(path: Path, tests: Sequence[str], chosen: Sequence[Mutant], equivalent: dict[str, str]) -> Any:
    """Run the tests on the chosen mutants of a module, and print what survives.

    Args:
        path: the module.
        tests: files or folders of tests.
        chosen: its mutants.
        equivalent: those that no test can notice, each with the reason.

    Returns:
        ``killed`` and ``equivalent``, how many; ``survived``, which.

    Raises:
        SystemExit: a test fails on the module as it is.
    """
    todo = [mutant for mutant in chosen if mutant.shown not in equivalent]
    out = Path(tempfile.mkstemp(suffix=".json")[1])
    tree = ast.parse(path.read_text(encoding="utf-8"))
    child(partial(run_tests, path, tree, tests, Functions(path, todo, out)), 1e6)
    if not out.stat().st_size:
        raise SystemExit(f"The tests {', '.join(tests)} fail on {path} as it is: mend them first.")
    found = json.loads(out.read_text())
    out.unlink()
    survived = []
    for number, mutant in enumerate(todo):
        # What runs at import is tried in a process that imports everything anew; so is what survived, since
        # its function may have been called at import.
        if mutant.in_function and number not in found["survived"]:
            continue
        lines = found["by_line"].get(str(mutant.line)) or found["tests"]
        if child(partial(run_tests, path, mutant.tree, lines), found["limit"] + 30):
            survived.append(mutant.shown)
            print(f"  survived, line {mutant.line}: {mutant.shown}", flush=True)
    killed = len(todo) - len(survived)
    return {"killed": killed, "equivalent": len(chosen) - len(todo), "survived": survived}


def import_heavy() -> list[ModuleType]:
    """Import what all children need, and give back the modules that must stay alive meanwhile."""
    os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    for name in HEAVY:
        importlib.import_module(name)
    sys.modules["torch"].set_num_threads(1)
    sys.modules["cv2"].setNumThreads(0)
    from lfss.compat import ensure_torchvision

    ensure_torchvision()
    gc.freeze()  # what is never looked at by a child's garbage collector is never copied for it
    # Children import the project themselves: one of its modules is another there.
    return [sys.modules.pop(name) for name in list(sys.modules) if name.partition(".")[0] == "lfss"]


def table(results: dict[str, dict[str, Any]]) -> str:
    """The results as a Markdown table, with a last row for all modules together."""
    rows = ["| module | places | tried | killed | survived | equivalent |", "|---|---|---|---|---|---|"]
    total = [0] * 5
    for key in sorted(results):
        found = results[key]
        survived = len(found["survived"])
        tried = found["killed"] + survived + found["equivalent"]
        numbers = [found["places"], tried, found["killed"], survived, found["equivalent"]]
        rows.append(f"| `{key}` | " + " | ".join(map(str, numbers)) + " |")
        total = [a + b for a, b in zip(total, numbers)]
    noticeable = total[1] - total[4]
    low, high = (100 * share for share in interval(total[3], noticeable))
    rows.append("| **all** | " + " | ".join(map(str, total)) + " |")
    told = (
        f"{100 * total[3] / max(noticeable, 1):.1f} % of the {noticeable} mutants that a test can notice "
        f"survived (95 % interval: {low:.1f} to {high:.1f} %)."
    )
    return "\n".join([*rows, "", told, ""])


def interval(count: int, of: int) -> tuple[float, float]:
    """Wilson's 95 % interval for a share, of which a sample shows ``count`` in ``of``."""
    if not of:
        return 0.0, 1.0
    z = 1.96
    share, spread = count / of, z * math.sqrt(count * (of - count) / of + z * z / 4) / of
    middle, width = share + z * z / (2 * of), 1 + z * z / of
    return max(0.0, (middle - spread) / width), min(1.0, (middle + spread) / width)


def main() -> int:
    """Command line; returns 1 if a mutant survived."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.mutate", description=(__doc__ or "").split("\n")[0]
    )
    parser.add_argument("modules", nargs="+", type=Path, help="files to break, such as lfss/edges.py")
    parser.add_argument("--tests", nargs="+", help="what runs; else the tests of the module")
    parser.add_argument("--lines", default="1-100000", help="only these lines, as 20-60")
    parser.add_argument("--sample", type=int, metavar="N", help="draw N mutants of each module")
    parser.add_argument("--seed", default="0", help="of the draw")
    parser.add_argument("--out", type=Path, help="add the results to this JSON file after each module")
    parser.add_argument("--table", type=Path, help="write all results of --out, or of this run, as a table")
    options = parser.parse_args()
    start, end = map(int, options.lines.split("-"))
    known = json.loads(EQUIVALENT.read_text(encoding="utf-8")) if EQUIVALENT.exists() else {}
    kept = import_heavy()
    results = json.loads(options.out.read_text()) if options.out and options.out.exists() else {}
    survived = 0
    for given in options.modules:
        path, key = given.resolve(), given.resolve().relative_to(ROOT).as_posix()
        source = path.read_text(encoding="utf-8")
        places = [number for number, line in enumerate(lines_of(source)) if start <= line <= end]
        chosen = list(mutants(source, sample(places, options.sample, f"{options.seed} {key}")))
        found = try_module(path, options.tests or tests_of(key), chosen, known.get(key, {}))
        results[key] = {"places": len(places), **found}
        survived += len(found["survived"])
        total = found["killed"] + len(found["survived"])
        print(f"{key}: {found['killed']} of {total} killed, {len(found['survived'])} survived, "
              f"{found['equivalent']} equivalent", flush=True)  # fmt: skip
        if options.out:
            options.out.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    del kept
    if options.table:
        options.table.write_text(table(results), encoding="utf-8")
    return 1 if survived else 0


if __name__ == "__main__":
    sys.exit(main())
