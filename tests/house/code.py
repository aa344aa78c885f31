"""Reads a tree of Python files: its modules, with their functions, classes and imports."""

import ast
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
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

    name: str
    """As written."""
    path: str
    """Of its module."""
    line: int
    """Of its ``def``."""
    length: int
    """Its lines from ``def`` to the end, docstring included."""
    body: Sequence[str]
    """The lines of its body, without the docstring."""
    is_command: bool
    """Whether its name is a command's: a decorator makes it a click command or group."""

    def place(self, note: str) -> Place:
        """A finding about it."""
        return Place(self.path, self.line, f"{self.name}: {note}")


@dataclass(frozen=True)
class Module:
    """One file: what is asked about it, without its syntax tree.

    The trees of all files are some millions of objects, and Python's collector of garbage goes
    through all that are kept, again and again.
    """

    name: str
    """The dotted name; a package's is that of its folder."""
    path: str
    """Relative to the repository."""
    functions: Sequence[Function]
    """All functions and methods in it."""
    module_functions: Sequence[Function]
    """The functions that stand at the module's level."""
    classes: Sequence[tuple[str, int]]
    """Names and lines of the classes that stand at the module's level."""
    imports: Sequence[tuple[str, int]]
    """Dotted names that it imports, at its top or inside functions, with their lines.

    ``from a import b`` is given as ``a.b``, whether b is a module or a name inside a.
    """


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
    place = str(path.relative_to(ROOT)) if path.is_relative_to(ROOT) else str(path)

    tree = ast.parse(text)
    lines = text.splitlines()
    statements = list(_statements_in(tree))
    functions = {
        node: _function_of(node, place, lines)
        for node in statements
        if isinstance(node, FunctionNode)
    }

    return Module(
        name=".".join(dotted),
        path=place,
        functions=tuple(functions.values()),
        module_functions=tuple(
            functions[node] for node in tree.body if isinstance(node, FunctionNode)
        ),
        classes=tuple(
            (node.name, node.lineno) for node in tree.body if isinstance(node, ast.ClassDef)
        ),
        imports=tuple(found for node in statements for found in _imports_of(node)),
    )


def _statements_in(node: ast.AST) -> Iterator[ast.AST]:
    # No function or import stands inside an expression, and nine nodes of ten are expressions.
    for block in ("body", "orelse", "handlers", "finalbody", "cases"):
        for statement in getattr(node, block, ()):
            yield statement
            yield from _statements_in(statement)


def _function_of(node: FunctionNode, path: str, lines: Sequence[str]) -> Function:
    has_docstring = ast.get_docstring(node, clean=False)
    statements = node.body[1:] if has_docstring else node.body
    body = lines[_first_line(statements[0]) - 1 : _end(node)] if statements else ()

    return Function(
        name=node.name,
        path=path,
        line=node.lineno,
        length=_end(node) - node.lineno + 1,
        body=tuple(body),
        is_command=any(_called(each) in {"command", "group"} for each in node.decorator_list),
    )


def _imports_of(node: ast.AST) -> Iterator[tuple[str, int]]:
    if isinstance(node, ast.Import):
        yield from ((alias.name, node.lineno) for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
        yield from ((f"{node.module}.{alias.name}", node.lineno) for alias in node.names)


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
