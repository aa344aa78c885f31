"""Finds long bodies without paragraphs, and measures functions."""

import statistics
from collections.abc import Iterable, Sequence

from tests.house.code import Function, Module, Place

LONG = 15
"""Lines from which a body, docstring not counted, needs at least one blank line."""


def long_bodies(modules: Iterable[Module]) -> list[Function]:
    """Functions whose bodies have `LONG` lines or more."""
    return [
        function
        for module in modules
        for function in module.functions
        if len(function.body) >= LONG
    ]


def without_paragraphs(bodies: Iterable[Function]) -> list[Place]:
    """Those of them that have no blank line."""
    return [
        function.place(f"{len(function.body)} lines without a blank line")
        for function in bodies
        if all(line.strip() for line in function.body)
    ]


def lengths(modules: Iterable[Module]) -> list[int]:
    """Lines of all functions, shortest first."""
    return sorted(function.length for module in modules for function in module.functions)


def summary_of(lines: Sequence[int]) -> str:
    """Median, ninth decile and maximum of sorted numbers."""
    ninth = lines[int(len(lines) * 0.9)]
    return f"{statistics.median(lines):g} / {ninth} / {lines[-1]}"


def longest(modules: Iterable[Module], at_least: int) -> list[Place]:
    """Functions of so many lines or more, the longest first."""
    found = [
        function
        for module in modules
        for function in module.functions
        if function.length >= at_least
    ]
    found.sort(key=lambda function: -function.length)
    return [function.place(f"{function.length} lines") for function in found]
