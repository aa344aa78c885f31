"""Reads a tree of Python files: its modules, with their functions, classes and imports."""

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

ROOT = Path(__file__).parents[2]

FunctionNode = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True)
class Place:
    """A finding: where it is, and what is said about it."""

    path: str
    line: int
    """0: all of it."""
    note: str

    def __str__(self) -> str:
        at = f"{self.path}:{self.line}" if self.line else self.path
        return f"{at}: {self.note}"


@dataclass(frozen=True)
class Function:
    """A function or method, nested ones included."""

    node: FunctionNode
    module: "Module"

    @property
    def name(self) -> str:
        """Its name, as written."""
        return self.node.name

    @property
    def length(self) -> int:
        """Its lines from ``def`` to the end, docstring included."""
        return _end(self.node) - self.node.lineno + 1

    @cached_property
    def body(self) -> list[str]:
        """The lines of its body, without the docstring."""
        statements = self.node.body[1:] if ast.get_docstring(self.node) else self.node.body
        if not statements:
            return []
        return self.module.lines[_first_line(statements[0]) - 1 : _end(self.node)]

    @property
    def is_command(self) -> bool:
        """Whether its name is a command's: a decorator makes it a click command or group."""
        return any(_called(decorator) in {"command", "group"} for decorator in self.decorators)

    @property
    def decorators(self) -> list[ast.expr]:
        """What decorates it."""
        return self.node.decorator_list

    def place(self, note: str) -> Place:
        """A finding about it."""
        return Place(self.module.path, self.node.lineno, f"{self.name}: {note}")


@dataclass(frozen=True)
class Module:
    """One file."""

    name: str
    """The dotted name; a package's is that of its folder."""
    path: str
    """Relative to the repository."""
    lines: list[str]
    tree: ast.Module

    @cached_property
    def functions(self) -> list[Function]:
        """All functions and methods in it."""
        nodes = (node for node in ast.walk(self.tree) if isinstance(node, FunctionNode))
        return [Function(node, self) for node in nodes]

    @property
    def module_functions(self) -> list[Function]:
        """The functions that stand at the module's level."""
        return [Function(node, self) for node in self.tree.body if isinstance(node, FunctionNode)]

    @property
    def classes(self) -> list[ast.ClassDef]:
        """The classes that stand at the module's level."""
        return [node for node in self.tree.body if isinstance(node, ast.ClassDef)]

    @property
    def imports(self) -> Iterator[tuple[str, int]]:
        """Dotted names that it imports, at its top or inside functions, with their lines.

        ``from a import b`` is given as ``a.b``, whether b is a module or a name inside a.
        """
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Import):
                yield from ((alias.name, node.lineno) for alias in node.names)
            elif isinstance(node, ast.ImportFrom):
                yield from ((f"{node.module}.{alias.name}", node.lineno) for alias in node.names)


def read_modules(folder: str, source: str = "") -> list[Module]:
    """All modules below a folder of the repository.

    Args:
        folder: Relative to the repository, such as ``operator/slipway``.
        source: The part of it that is no part of dotted names, such as ``operator``.
    """
    return [read_module(path, ROOT / source) for path in sorted((ROOT / folder).rglob("*.py"))]


def read_module(path: Path, source: Path) -> Module:
    """One file, named relative to the folder that stands on the import path."""
    text = path.read_text()
    parts = path.relative_to(source).with_suffix("").parts
    dotted = parts[:-1] if parts[-1] == "__init__" else parts
    return Module(
        name=".".join(dotted),
        path=str(path.relative_to(ROOT)) if path.is_relative_to(ROOT) else str(path),
        lines=text.splitlines(),
        tree=ast.parse(text),
    )


def _end(node: ast.stmt) -> int:
    return node.end_lineno or node.lineno


def _first_line(statement: ast.stmt) -> int:
    decorators = getattr(statement, "decorator_list", [])
    return min((decorator.lineno for decorator in decorators), default=statement.lineno)


def _called(decorator: ast.expr) -> str:
    called = decorator.func if isinstance(decorator, ast.Call) else decorator
    if isinstance(called, ast.Attribute):
        return called.attr
    return called.id if isinstance(called, ast.Name) else ""
