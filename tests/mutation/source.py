"""Mutants of a module: one number, one comparison or one connective of its source made wrong.

A change within a function is made by giving the function other code, wherever it is held already. Any other is compiled
and put in the module's place before anything imports it, so whatever is computed from it, defaults of classes included, is
computed from the mutant. That takes as long as all tests of a policy, so it is done only where it must be.
"""

import ast
import copy
import functools
import importlib.abc
import importlib.machinery
import importlib.util
import inspect
import re
import sys
from collections.abc import Callable, Container, Iterator, Sequence
from pathlib import Path
from types import CodeType, FunctionType, ModuleType
from typing import Any, Final

import attrs

ROOT: Final = Path(__file__).resolve().parents[2]

CONTRARY: Final[dict[type[ast.cmpop], tuple[type[ast.cmpop], ...]]] = {
    ast.Lt: (ast.LtE, ast.GtE),
    ast.LtE: (ast.Lt, ast.Gt),
    ast.Gt: (ast.GtE, ast.LtE),
    ast.GtE: (ast.Gt, ast.Lt),
    ast.Eq: (ast.NotEq,),
    ast.NotEq: (ast.Eq,),
    ast.Is: (ast.IsNot,),
    ast.IsNot: (ast.Is,),
    ast.In: (ast.NotIn,),
    ast.NotIn: (ast.In,),
}
"""What a comparison is replaced by: the same one with its edge moved, and its contrary."""

DURATION: Final = re.compile(r"(\d+)(ms|s|m|h|d)")


@attrs.frozen
class SourceMutant:
    """One thing made wrong.

    Args:
        subject: the module, from the root of the tree.
        place: the class or function it is in, and the expression.
        change: what stands there instead.
        make: compiles the module with the change.
        function: the qualified name of the function that it is in the body of; empty for none.
    """

    subject: str
    place: str
    change: str
    make: Callable[[], CodeType] = attrs.field(repr=False)
    function: str = ""
    kind: str = "source"

    @property
    def name(self) -> str:
        """Return what tells it from all others."""
        return f"{self.subject}: {self.place}: {self.change}"

    def put(self, packages: Sequence[str]) -> None:
        """Make the change: in the function it is in, or else by having everything imported anew.

        Args:
            packages: the top names of what is imported anew.
        """
        name = self.subject.removesuffix(".py").replace("/", ".")
        if self.function and (function := _function(importlib.import_module(name), self.function)) is not None:
            function.__code__ = _code(self.make(), self.function)
            return
        for loaded in [loaded for loaded in sys.modules if loaded.partition(".")[0] in packages]:
            del sys.modules[loaded]
        sys.meta_path.insert(0, _Instead(name, self.make(), ROOT / self.subject))
        importlib.import_module(name)


class _Instead(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Finds one module, and gives other code for it."""

    def __init__(self, name: str, code: CodeType, path: Path) -> None:
        self.name, self.code, self.path = name, code, path

    def find_spec(self, name: str, *_: object) -> importlib.machinery.ModuleSpec | None:
        return importlib.util.spec_from_file_location(name, self.path, loader=self) if name == self.name else None

    def exec_module(self, module: ModuleType) -> None:
        exec(self.code, module.__dict__)


def of(subject: str) -> list[SourceMutant]:
    """Return every mutant of a module."""
    tree = ast.parse((ROOT / subject).read_text())
    early = _called_early(tree)
    found: list[SourceMutant] = []
    seen: dict[str, int] = {}
    for where, path, node in _walk(tree, "", ()):
        for new in _changes(node):
            place, change = f"{where or 'module'}: {_shown(tree, path)}", f"{ast.unparse(node)} -> {ast.unparse(new)}"
            key = f"{place}: {change}"
            seen[key] = seen.get(key, 0) + 1
            again = f" ({seen[key]})" if seen[key] > 1 else ""
            make = functools.partial(_compiled, subject, tree, path, new)
            found.append(SourceMutant(subject, place, change + again, make, _around(tree, path, early)))
    return found


Path_ = tuple[tuple[str, int | None], ...]


def _walk(node: ast.AST, where: str, path: Path_) -> Iterator[tuple[str, Path_, ast.AST]]:
    """Go through what is computed: no annotations, no docstrings, and no tables, which have mutants of their own."""
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "Machine":
        return
    if isinstance(node, ast.FunctionDef | ast.ClassDef):
        where = f"{where}.{node.name}".lstrip(".")
    yield where, path, node
    for field, value in ast.iter_fields(node):
        if field in {"annotation", "returns", "decorator_list"}:
            continue
        if isinstance(value, ast.AST):
            yield from _walk(value, where, (*path, (field, None)))
        elif isinstance(value, list):
            for index, item in enumerate(value):
                if isinstance(item, ast.AST):
                    yield from _walk(item, where, (*path, (field, index)))


def _follow(tree: ast.AST, path: Path_) -> Any:
    node: Any = tree
    for field, index in path:
        node = getattr(node, field)
        node = node if index is None else node[index]
    return node


def _shown(tree: ast.Module, path: Path_) -> str:
    """Return the first line of the statement that an expression is part of."""
    for end in range(len(path), 0, -1):
        node = _follow(tree, path[:end])
        if isinstance(node, ast.stmt):
            return ast.unparse(node).partition("\n")[0][:100]
    return ""


def _called_early(tree: ast.Module) -> set[str]:
    """Return the names of what is called while the module is imported: what it gave then, others hold already."""
    todo: list[ast.AST] = [tree]
    called: set[str] = set()
    while todo:
        node = todo.pop()
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            called.add(node.func.id)
        if not isinstance(node, ast.FunctionDef):
            todo += ast.iter_child_nodes(node)
    return called


def _around(tree: ast.Module, path: Path_, early: Container[str]) -> str:
    """Return the name of the outermost function whose body an expression is in, unless it is one of those called *early*."""
    names: list[str] = []
    node: Any = tree
    for field, index in path:
        if isinstance(node, ast.FunctionDef):
            return ".".join([*names, node.name]) if field == "body" and node.name not in early else ""
        if isinstance(node, ast.ClassDef):
            names.append(node.name)
        node = getattr(node, field)
        node = node if index is None else node[index]
    return ""


def _function(module: ModuleType, name: str) -> FunctionType | None:
    """Return the function itself, under what its decorators made of it; None if they made too much of it."""
    *owners, last = name.split(".")
    held: Any = module
    for owner in owners:
        held = getattr(held, owner)
    held = vars(held)[last]
    held = held.fget if isinstance(held, property) else inspect.unwrap(getattr(held, "__func__", held))
    return held if isinstance(held, FunctionType) and held.__qualname__ == name else None


def _code(code: CodeType, name: str) -> CodeType:
    """Return the code of one function of a module."""
    todo = [code]
    while todo:
        code = todo.pop()
        if code.co_qualname == name:
            return code
        todo += [constant for constant in code.co_consts if isinstance(constant, CodeType)]
    raise LookupError(name)


def _compiled(subject: str, tree: ast.Module, path: Path_, new: ast.AST) -> CodeType:
    changed = copy.deepcopy(tree)
    above = _follow(changed, path[:-1])
    field, index = path[-1]
    ast.copy_location(new, _follow(changed, path))
    if index is None:
        setattr(above, field, new)
    else:
        getattr(above, field)[index] = new
    return compile(ast.fix_missing_locations(changed), str(ROOT / subject), "exec")


def _changes(node: ast.AST) -> Iterator[ast.expr]:
    if isinstance(node, ast.Constant) and isinstance(node.value, int | float) and not isinstance(node.value, bool):
        yield from (ast.Constant(value) for value in _other_numbers(node.value))
    elif isinstance(node, ast.Constant) and isinstance(node.value, str) and (match := DURATION.fullmatch(node.value)):
        number, unit = int(match[1]), match[2]
        numbers = [number * 2, *([number // 2] if number > 1 else []), 0]
        yield from (ast.Constant(f"{number}{unit}") for number in numbers)
    elif isinstance(node, ast.Compare):
        for index, op in enumerate(node.ops):
            for contrary in CONTRARY.get(type(op), ()):
                yield ast.Compare(node.left, [*node.ops[:index], contrary(), *node.ops[index + 1 :]], node.comparators)
    elif isinstance(node, ast.BoolOp):
        yield ast.BoolOp(ast.Or() if isinstance(node.op, ast.And) else ast.And(), node.values)


def _other_numbers(value: float) -> list[float]:
    half = value // 2 if isinstance(value, int) else value / 2
    return [other for other in dict.fromkeys((value * 2, half, value + 1, 0)) if other != value]
