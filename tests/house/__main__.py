"""``python -m tests.house [--list KEY [PATH]]``: the figures, or what stands behind one."""

import argparse
from collections.abc import Sequence

from tests.house.figures import Figure, figures


def main() -> None:
    """Print the table, or the places of one figure."""
    arguments = argparse.ArgumentParser(prog="python -m tests.house", description=__doc__)
    arguments.add_argument(
        "--list",
        nargs="+",
        metavar=("KEY", "PATH"),
        help="print what stands behind a figure, here or below these paths",
    )
    chosen = arguments.parse_args().list

    measured = figures()
    if chosen is None:
        print_table(measured)
        return

    key, *paths = chosen
    found = {figure.key: figure for figure in measured}.get(key)
    if found is None:
        arguments.error(f"no figure {key!r}; there are: {', '.join(f.key for f in measured)}")
    print_places(found, paths)


def print_table(measured: Sequence[Figure]) -> None:
    """One line per figure: key, what it is, value, target and whether it is met."""
    rows = [(figure.key, figure.what, figure.text, *_target_of(figure)) for figure in measured]
    head = ("key", "what", "measured", "target", "")
    widths = [max(len(row[column]) for row in (head, *rows)) for column in range(len(head))]
    for row in (head, *rows):
        print(
            "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        )


def print_places(figure: Figure, paths: Sequence[str]) -> None:
    """One line per place, of those below the paths where any is given."""
    wanted = tuple(path.removeprefix("./") for path in paths)
    for place in figure.places:
        if not wanted or place.path.startswith(wanted):
            print(place)


def _target_of(figure: Figure) -> tuple[str, str]:
    if figure.target is None:
        return "-", ""
    return f"<= {figure.target:g}", "met" if figure.is_met else "MISSED"


if __name__ == "__main__":
    main()
