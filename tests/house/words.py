"""Finds names that say too little, and names that stand for two things."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from tests.house.code import Function, Module, Place


@dataclass(frozen=True)
class Mirror:
    """Class names that two modules share on purpose: one speaks of the other's thing."""

    names: frozenset[str]
    one: str
    """Modules below this dotted name have one of the two classes."""
    other: str
    """Modules below this one have the other."""
    reason: str

    def covers(self, name: str, modules: Iterable[str]) -> bool:
        """Whether these are just the two modules that may share the name."""
        if name not in self.names:
            return False
        match sorted(modules, key=lambda module: not is_below(module, self.one)):
            case [one, other]:
                return is_below(one, self.one) and is_below(other, self.other)
            case _:
                return False


MIRRORS = (
    Mirror(
        names=frozenset(
            {
                "Condition",
                "HistoryEntry",
                "Hook",
                "LastAction",
                "LastRollback",
                "Metric",
                "ModelDeployment",
                "Rollout",
                "Scaling",
                "Step",
            }
        ),
        one="slipway.cli",
        other="slipway.api",
        reason="the command line's own model of a ModelDeployment (decision 0011)",
    ),
)


def is_one_word(name: str) -> bool:
    """Whether a name is a single word; underscores around it do not count."""
    return "_" not in name.strip("_")


def named_functions(modules: Iterable[Module]) -> list[Function]:
    """Functions at module level whose names were chosen by whoever wrote the module.

    Not those of click commands: their names are what users type.
    """
    return [
        function
        for module in modules
        for function in module.module_functions
        if not function.is_command
    ]


def one_word_functions(functions: Iterable[Function]) -> list[Place]:
    """Those of them that are named by one word."""
    return [function.place("one word") for function in functions if is_one_word(function.name)]


def shared_class_names(modules: Iterable[Module]) -> Mapping[str, list[Place]]:
    """Class names that two modules or more have at their level, with each place."""
    places: dict[str, list[Place]] = defaultdict(list)
    for module in modules:
        for name, line in module.classes:
            places[name].append(Place(module.path, line, name))
    return {name: found for name, found in sorted(places.items()) if len(found) > 1}


def module_of(place: Place) -> str:
    """The dotted name of the module of a finding below operator/."""
    dotted = place.path.removeprefix("operator/").removesuffix(".py").replace("/", ".")
    return dotted.removesuffix(".__init__")


def mirror_of(name: str, places: Iterable[Place]) -> Mirror | None:
    """The declared mirror that allows these places to share a class name."""
    modules = [module_of(place) for place in places]
    return next((mirror for mirror in MIRRORS if mirror.covers(name, modules)), None)


def shared_module_names(modules: Iterable[Module]) -> Mapping[str, list[Place]]:
    """Last parts of module names that two modules or more have; `main` is a program's entry."""
    places: dict[str, list[Place]] = defaultdict(list)
    for module in modules:
        last = module.name.rpartition(".")[2]
        if last not in {"main", "__main__"}:
            places[last].append(Place(module.path, 1, last))
    return {name: found for name, found in sorted(places.items()) if len(found) > 1}


def is_below(module: str, package: str) -> bool:
    """Whether a module is this package or inside it."""
    return f"{module}.".startswith(f"{package}.")
