"""The top-level fields that a config.pbtxt sets, which the parsed message no longer tells.

In proto3 an explicit ``max_batch_size: 0`` and an absent one are the same message, but the first is
the user's decision, and the second is to be filled in.
"""

import re

TOKEN = re.compile(
    r"""
    (?P<space>\s+|\#[^\n]*)
  | (?P<text>"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*')
  | (?P<mark>[{}\[\]<>:,;])
  | (?P<word>[^\s\#"'{}\[\]<>:,;]+)
    """,
    re.VERBOSE | re.DOTALL,
)
OPEN, CLOSE = "{[<", "}]>"


def top_level_fields(text: str) -> frozenset[str]:
    """Return the names of the fields outside all braces of a valid protobuf text.

    A name is a word before a colon or an opening brace; a value is never followed by either.
    """
    found: set[str] = set()
    depth = 0
    word: str | None = None

    for token in TOKEN.finditer(text):
        content = token.group()
        if token.lastgroup == "space":
            continue

        if depth == 0 and word is not None and content in {":", *OPEN}:
            found.add(word)
        depth += (content in OPEN) - (content in CLOSE)
        word = content if token.lastgroup == "word" else None

    return frozenset(found)
