"""Break a module in one place at a time, and see whether its tests notice.

    python -m tests.mutate lfss/edges.py
    python -m tests.mutate lfss/edges.py lfss/packing.py --out mutants.json
    python -m tests.mutate lfss/doubt.py --tests tests/test_doubt.py --lines 20-60
    python -m tests.mutate lfss/images.py --sample 40 --seed 0
    python -m tests.mutate lfss/edges.py lfss/packing.py --out mutants.json --table mutants.md

Each arithmetic operator, comparison, ``and``, ``or``, ``not`` and number of the module is changed once (a
*mutant*), and the module's tests run on it. A mutant is killed if a test fails, or if the run takes far
longer than on the module as it is; otherwise it survives and is printed. Messages of ``raise`` and types are
not changed. ``--sample N`` draws N of a module's mutants, with a seed, where all of them take too long.
``tests/mutate_equivalent.json`` lists changes that no test can notice, each with the reason;
they are counted apart. Nothing is written into the module: the changed code lives in a child process only, so
tests must call the module directly and not start a program that does.
"""

from __future__ import annotations

import argparse
import ast
import copy
import gc
import importlib
import importlib.machinery
import importlib.util
import json
import os
import random
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from types import CodeType, FrameType, ModuleType
from typing import Any, NamedTuple

ROOT = Path(__file__).resolve().parents[1]
EQUIVALENT = Path(__file__).with_name("mutate_equivalent.json")

_WORKSPACE = ["tests/storage", "tests/test_workspace.py", "tests/test_workspace_faults.py"]
_COMMANDS = ["tests/test_cli.py", "tests/test_cli_workspace.py"]

# The tests of a module, or of a folder's modules, where they are not in the one file of the module's name.
TESTS: dict[str, list[str]] = {
    "lfss/annotations": ["tests/annotations"],
    "lfss/annotations/raster.py": ["tests/annotations/test_outlines.py"],
    "lfss/annotations/rings.py": ["tests/annotations/test_outlines.py"],
    "lfss/batch": ["tests/batch", *_COMMANDS],
    "lfss/commands": _COMMANDS,
    "lfss/decode.py": ["tests/test_images.py", "tests/test_budget.py"],
    "lfss/encoders": ["tests/encoders"],
    "lfss/methods": ["tests/methods"],
    "lfss/methods/lfss": ["tests/methods/lfss"],
    "lfss/methods/paia": ["tests/methods/paia"],
    "lfss/methods/tlg": ["tests/methods/test_tlg.py", "tests/methods/test_tlg_parts.py"],
    "lfss/separation.py": ["tests/test_objects.py"],
    "lfss/storage": _WORKSPACE,
    "lfss/support.py": ["tests/test_predictor.py", "tests/test_class_file.py"],
    "lfss/text.py": ["tests/test_text_input.py"],
    "lfss/workspace": _WORKSPACE,
}

# Imported before the children are forked, so that none of them pays for it.
HEAVY = ("numpy", "cv2", "torch", "PIL.Image", "hypothesis.extra.numpy", "pytest")

# What an operator becomes. A comparison becomes its opposite; changed numbers make the off-by-one faults.
SWAPS: dict[type[ast.AST], type[ast.AST]] = {
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult, ast.FloorDiv: ast.Mult,
    ast.Mod: ast.FloorDiv, ast.Pow: ast.Mult, ast.BitAnd: ast.BitOr, ast.BitOr: ast.BitAnd,
    ast.BitXor: ast.BitAnd, ast.LShift: ast.RShift, ast.RShift: ast.LShift,
    ast.Lt: ast.GtE, ast.GtE: ast.Lt, ast.Gt: ast.LtE, ast.LtE: ast.Gt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot, ast.IsNot: ast.Is, ast.In: ast.NotIn, ast.NotIn: ast.In,
    ast.And: ast.Or, ast.Or: ast.And,
}  # fmt: skip


class Mutant(NamedTuple):
    """A change: its line, what stood there, what stands there now, and the whole module with it."""

    line: int
    before: str
    after: str
    tree: ast.Module


def places(node: ast.AST) -> Iterator[tuple[Any, int]]:
    """Every node that can be changed and, for a comparison, which of its operators; else 0."""
    if isinstance(node, (ast.Raise, ast.JoinedStr)):
        return
    if isinstance(node, ast.Compare):
        yield from ((node, i) for i in range(len(node.ops)))
    elif _single(node):
        yield node, 0
    for name, value in ast.iter_fields(node):
        if name not in ("annotation", "returns"):
            for child in value if isinstance(value, list) else [value]:
                if isinstance(child, ast.AST):
                    yield from places(child)


def _single(node: ast.AST) -> bool:
    if isinstance(node, (ast.BinOp, ast.AugAssign, ast.BoolOp)):
        return type(node.op) in SWAPS
    if isinstance(node, ast.UnaryOp):
        return not isinstance(node.op, ast.UAdd)
    return isinstance(node, ast.Constant) and type(node.value) in (int, float)


def change(node: Any, index: int) -> None:
    """Change one place of a tree, in place."""
    if isinstance(node, ast.Compare):
        node.ops[index] = SWAPS[type(node.ops[index])]()
    elif isinstance(node, ast.UnaryOp):  # not x -> not not x, so that the kind of the result stays
        node.operand = ast.copy_location(ast.UnaryOp(node.op, node.operand), node)
    elif isinstance(node, ast.Constant):
        node.value = _other(node.value)
    else:
        node.op = SWAPS[type(node.op)]()


def _other(value: float) -> float:
    """A clearly different number: off by one if it is small, twice as large if it is not."""
    if isinstance(value, float):
        return 3 * value + 0.1
    return value + 1 if value < 10 else 2 * value


def mutants(source: str) -> Iterator[Mutant]:
    """Every mutant of a module, in the order of its source."""
    count = sum(1 for _ in places(ast.parse(source)))
    lines = source.splitlines()
    for number in range(count):
        tree = ast.parse(source)
        node, index = list(places(tree))[number]
        before = ast.unparse(node)
        change(node, index)
        shown = f"{lines[node.lineno - 1].strip()}   [{before} -> {ast.unparse(node)}]"
        yield Mutant(node.lineno, lines[node.lineno - 1].strip(), shown, copy.deepcopy(tree))


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


class Recorder:
    """A pytest plugin that writes down which lines of a file each test runs, and how long the test takes."""

    def __init__(self, path: Path):
        self.file, self.lines, self.seconds = str(path), {}, {}  # type: ignore[var-annotated]

    def pytest_runtest_logreport(self, report: Any) -> None:
        self.seconds[report.nodeid] = self.seconds.get(report.nodeid, 0.0) + report.duration

    def pytest_runtest_setup(self, item: Any) -> None:
        seen = self.lines[item.nodeid] = set()

        def line(frame: FrameType, event: str, argument: object) -> Any:
            seen.add(frame.f_lineno)
            return line

        sys.settrace(lambda frame, event, argument: line if frame.f_code.co_filename == self.file else None)

    def pytest_runtest_teardown(self) -> None:
        sys.settrace(None)


def child(work: Callable[[], int], limit: float) -> bool:
    """Whether ``work``, done in a process of its own without output, returns 0 within a limit of seconds."""
    process = os.fork()
    if process == 0:
        os.setsid()
        nothing = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nothing, 1)
        os.dup2(nothing, 2)
        code = 1
        with suppress(BaseException):
            code = work()
        os._exit(code)
    end = time.monotonic() + limit
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


def record(path: Path, tree: ast.Module, tests: Sequence[str]) -> tuple[dict[int, list[str]], list[str]]:
    """The tests that run each line of a module, and all of them; quick ones first.

    Raises:
        SystemExit: a test fails on the module as it is.
    """
    found = Path(tempfile.mkstemp(suffix=".json")[1])

    def work() -> int:
        recorder = Recorder(path)
        code = run_tests(path, tree, tests, recorder)
        order = sorted(recorder.lines, key=lambda test: recorder.seconds[test])
        found.write_text(json.dumps([(test, sorted(recorder.lines[test])) for test in order]))
        return code

    if not child(work, 1800):
        raise SystemExit(f"The tests {', '.join(tests)} fail on {path} as it is: mend them first.")
    order = json.loads(found.read_text())
    found.unlink()
    by_line: dict[int, list[str]] = {}
    for test, lines in order:
        for line in lines:
            by_line.setdefault(line, []).append(test)
    return by_line, [test for test, _ in order]


def tests_of(key: str) -> list[str]:
    """The tests of a module: what ``TESTS`` says of it, else the file of its name, else those of its folder.

    Args:
        key: the module's path below the root, as ``lfss/edges.py``.
    """
    module = Path(key)
    own = Path("tests", *module.parts[1:-1], f"test_{module.stem}.py")
    if key not in TESTS and (ROOT / own).is_file():
        return [str(own)]
    names = [key, *(folder.as_posix() for folder in module.parents)]
    return next((TESTS[name] for name in names if name in TESTS), [str(own)])


def sample(found: list[Mutant], count: int | None, seed: str) -> list[Mutant]:
    """At most ``count`` of the mutants, drawn with a seed, in the order of the source."""
    if count is None or count >= len(found):
        return found
    return [found[i] for i in sorted(random.Random(seed).sample(range(len(found)), count))]


def test_module(path: Path, tests: Sequence[str], choose: Callable[[list[Mutant]], list[Mutant]],
                equivalent: dict[str, str]) -> dict[str, Any]:  # fmt: skip
    """Run the tests on the chosen mutants of a module, and print what survives."""
    source = path.read_text(encoding="utf-8")
    start = time.monotonic()
    by_line, every = record(path, ast.parse(source), tests)
    limit = 5 * (time.monotonic() - start) + 10
    found = list(mutants(source))
    result: dict[str, Any] = {"places": len(found), "killed": 0, "equivalent": 0, "survived": []}
    for mutant in choose(found):
        if mutant.after in equivalent:
            result["equivalent"] += 1
        # A line that no test runs, such as a constant at the top, concerns all of them.
        elif child(partial(run_tests, path, mutant.tree, by_line.get(mutant.line) or every), limit):
            result["survived"].append(mutant.after)
            print(f"  survived, line {mutant.line}: {mutant.after}", flush=True)
        else:
            result["killed"] += 1
    return result


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
    share = 100 * total[3] / max(total[1] - total[4], 1)
    rows.append("| **all** | " + " | ".join(map(str, total)) + " |")
    return "\n".join([*rows, "", f"{share:.1f} % of the mutants that a test can notice survived.", ""])


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

        def choose(found: list[Mutant], key: str = key) -> list[Mutant]:
            found = [mutant for mutant in found if start <= mutant.line <= end]
            return sample(found, options.sample, f"{options.seed} {key}")

        found = test_module(path, options.tests or tests_of(key), choose, known.get(key, {}))
        results[key] = found
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
