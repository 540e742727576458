"""What a mutant is: a module whose source is changed in one place."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

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
    """A change of a module.

    Attributes:
        line: where it is.
        shown: the line as it was, and what of it is changed into what.
        tree: the whole module with it.
        in_function: what is changed runs when a function is called, not when the module is imported.
    """

    line: int
    shown: str
    tree: ast.Module
    in_function: bool


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


def lines_of(source: str) -> list[int]:
    """The line of each place of a module that can be changed, in the order of its source."""
    return [node.lineno for node, _ in places(ast.parse(source))]


def mutants(source: str, numbers: Sequence[int]) -> Iterator[Mutant]:
    """Mutants of a module, which are the places of these numbers in ``lines_of``."""
    lines = source.splitlines()
    for number in numbers:
        tree = ast.parse(source)
        node, index = list(places(tree))[number]
        before = ast.unparse(node)
        change(node, index)
        shown = f"{lines[node.lineno - 1].strip()}   [{before} -> {ast.unparse(node)}]"
        yield Mutant(node.lineno, shown, tree, any(inner is node for inner in _in_functions(tree)))


def _in_functions(tree: ast.Module) -> Iterator[ast.AST]:
    """All nodes in the bodies of functions; their defaults and decorators run at import."""
    for function in ast.walk(tree):
        if isinstance(function, (ast.FunctionDef, ast.AsyncFunctionDef)):
            for statement in function.body:
                yield from ast.walk(statement)
