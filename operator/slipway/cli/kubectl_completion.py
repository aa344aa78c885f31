"""The program ``kubectl_complete-slipway``: answers the completion of kubectl itself.

kubectl runs it with the words so far, the last one unfinished, and expects a candidate a line with
its description after a tab, then a line ``:<directive>``; 4 means "no file names".
Source: kubectl's plugin handler (k8s.io/kubectl/pkg/cmd/plugin/plugin_completion.go).
"""

import sys

from click.shell_completion import ShellComplete

from slipway.cli.main import COMPLETE_VARIABLE, PROGRAM, slipway

NO_FILES = ":4"


def complete_words(words: list[str]) -> list[str]:
    """Return the lines for the words so far."""
    *before, last = words or [""]
    items = ShellComplete(slipway, {}, PROGRAM, COMPLETE_VARIABLE).get_completions(before, last)
    return [*(f"{item.value}\t{item.help or ''}".rstrip() for item in items), NO_FILES]


def main() -> int:
    """Print the candidates."""
    sys.stdout.write("\n".join(complete_words(sys.argv[1:])) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
