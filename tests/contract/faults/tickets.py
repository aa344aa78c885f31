"""Tickets of customers: a Python model that reads topic, amount and date out of a text."""

import calendar
import io
import json
import unicodedata
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from sklearn.linear_model import LogisticRegression

from tests.contract.faults.version import Array, Arrays, Family, Question, Version

HERE = Path(__file__).parent / "text"
TEXT, TOPIC, AMOUNT, DUE = "text", "topic", "amount", "due"

TOPICS = {
    "billing": "invoice charged rechnung bezahlt refund rückerstattung payment überweisung receipt",
    "delivery": "parcel lieferung courier verspätung tracking päckchen shipped zustellung depot",
    "access": "password anmelden login schlüssel locked passwörter account gesperrt code",
    "damage": "broken beschädigt cracked zerstört scratch gehäuse dented stoßfest shattered",
    "praise": "thanks großartig wonderful zufrieden happy prächtig excellent schön delighted",
}
FILLER = [
    "please",
    "the",
    "my",
    "order",
    "again",
    "since",
    "still",
    "have",
    "about",
    "this",
    "with",
    "your",
    "team",
    "from",
    "last",
    "week",
    "and",
    "bitte",
    "meine",
    "heute",
    "immer",
    "noch",
    "seit",
    "wegen",
    "dieser",
    "mit",
    "von",
    "der",
    "letzten",
    "woche",
    "danke",
    "im",
    "voraus",
    "could",
    "you",
    "look",
    "into",
    "it",
    "as",
    "soon",
    "as",
    "possible",
    "because",
    "we",
    "need",
    "an",
    "answer",
]
GREETINGS = ("Hello,", "Guten Tag,", "Dear team,", "Hi there,")
EMPTY = ("???", "…", "+49 30 1234567", "12345")
"""What some customers send; it has no words."""

SHOUTING, DECOMPOSED, FORWARDED, GERMAN, WORDLESS, PRICED, DATED = (
    0.08,
    0.5,
    0.06,
    0.5,
    0.05,
    0.4,
    0.6,
)
"""Shares of tickets: all in capitals; typed on a Mac; below a long forwarded text; with an amount
as Germans write it; without a word; with an amount; with a date."""
FORWARDED_WORDS = 150
TRUNCATED = 128
BASE_SECONDS = 0.008
GOLDEN_SIZE = 24
TRAINING = 1500
SEED = 3


class Truth(NamedTuple):
    """What a ticket says."""

    topic: str
    amount: float
    due: int


# ── users ──


def ask(rng: np.random.Generator) -> Question:
    """Draw a request of spring: mostly one ticket."""
    rows = int(rng.integers(2, 5)) if rng.random() < 0.1 else 1
    drawn = [_ticket(rng, ODD, month=int(rng.integers(3, 6))) for _ in range(rows)]
    return _question([text for text, _ in drawn], [truth for _, truth in drawn])


def _question(texts: list[str], truths: list[Truth]) -> Question:
    column = np.array([[text.encode()] for text in texts], dtype=np.object_)
    return Question({TEXT: column}, truths)


class Habits(NamedTuple):
    """Shares of tickets that are written in an unusual way."""

    shouting: float
    decomposed: float
    forwarded: float
    german: float
    wordless: float


TIDY = Habits(0, 0, 0, 0, 0)
ODD = Habits(SHOUTING, 0.05, FORWARDED, 0.12, WORDLESS)


def _ticket(rng: np.random.Generator, habits: Habits, *, month: int) -> tuple[str, Truth]:
    topic = str(rng.choice(list(TOPICS)))
    if rng.random() < habits.wordless:
        return str(rng.choice(EMPTY)), Truth("other", 0.0, 0)

    words = _words(rng, topic)
    if rng.random() < habits.forwarded:
        quoted = " ".join(rng.choice(FILLER, FORWARDED_WORDS))
        words = [f"Fwd: {quoted}.", *words]
    amount, priced = _amount(rng, habits) if rng.random() < PRICED else (0.0, "")
    due, dated = _due(rng, month) if rng.random() < DATED else (0, "")

    text = " ".join(filter(None, [str(rng.choice(GREETINGS)), *words, priced, dated]))
    if rng.random() < habits.shouting:
        text = text.upper()
    if rng.random() < habits.decomposed:
        text = unicodedata.normalize("NFD", text)
    return text, Truth(topic, amount, due)


def _words(rng: np.random.Generator, topic: str) -> list[str]:
    telling = rng.choice(TOPICS[topic].split(), 3, replace=False)
    words = [*telling, *rng.choice(FILLER, 9)]
    return [str(word) for word in rng.permutation(words)]


def _amount(rng: np.random.Generator, habits: Habits) -> tuple[float, str]:
    cents = int(rng.integers(100, 500_000))
    plain = f"{cents / 100:,.2f}"
    if rng.random() < habits.german:
        plain = plain.translate(str.maketrans(",.", ".,"))
    return cents / 100, f"{plain} EUR"


def _due(rng: np.random.Generator, month: int) -> tuple[int, str]:
    day, hour = int(rng.integers(1, 29)), int(rng.integers(8, 19))
    local = calendar.timegm((2026, month, day, hour, 0, 0))
    is_summer = (3, 29) <= (month, day) < (10, 25)
    return local - (2 if is_summer else 1) * 3600, f"by 2026-{month:02}-{day:02} {hour:02}:00"


def is_right(truth: Any, answers: Arrays) -> bool:
    """Tell whether topic, amount (to the cent) and date of every ticket are right."""
    return all(
        answers[TOPIC][row, 0] == said.topic.encode()
        and abs(float(answers[AMOUNT][row, 0]) - said.amount) < 0.005
        and int(answers[DUE][row, 0]) == said.due
        for row, said in enumerate(truth)
    )


def _golden() -> tuple[Question, ...]:
    """Tidy tickets of January."""
    rng = np.random.default_rng(24)
    drawn = [_ticket(rng, TIDY, month=1) for _ in range(GOLDEN_SIZE)]
    return tuple(_question([text], [truth]) for text, truth in drawn)


# ── versions ──


@dataclass(frozen=True, slots=True)
class Recipe:
    """How a version reads; the defaults are stable's."""

    seconds: float = BASE_SECONDS
    """That an answer takes beside the reading."""
    composes: bool = True
    """Whether letters and their accents become one."""
    folds_case: bool = True
    most_words: int = 0
    """0: all."""
    reads_german: bool = True
    knows_summer: bool = True
    recalls_topic: bool = False
    """Whether a text without a known word gets the topic of the text before."""
    cache_bits: int = 0
    """Of the key under which answers are kept; 0: none is."""
    leaks: bool = False


@cache
def train(seed: int, tickets: int = TRAINING) -> tuple[Array, Array, Array]:
    """Return words, weights by word and topic, and topics."""
    rng = np.random.default_rng(seed)
    drawn = [_ticket(rng, TIDY, month=1) for _ in range(tickets)]
    bags = [set(_known_words(text)) for text, _ in drawn]
    vocabulary = sorted(set().union(*bags))
    place = {word: index for index, word in enumerate(vocabulary)}
    counts = np.zeros((len(bags), len(vocabulary)))
    for row, bag in enumerate(bags):
        counts[row, [place[word] for word in bag]] = 1
    fitted = LogisticRegression(max_iter=300).fit(counts, [truth.topic for _, truth in drawn])
    return np.array(vocabulary), fitted.coef_.T, fitted.classes_


def _known_words(text: str) -> list[str]:
    plain = (word.strip(".,:") for word in text.casefold().split())
    return [word for word in plain if word.isalpha()]


def _write(
    folder: Path, recipe: Recipe, weights: tuple[Array, Array, Array], max_batch: int
) -> None:
    (folder / "1").mkdir()
    packed = io.BytesIO()
    words, table, topics = weights
    np.savez(packed, words=words, weights=table, topics=topics)
    (folder / "1/weights.npz").write_bytes(packed.getvalue())
    (folder / "1/recipe.json").write_text(json.dumps(asdict(recipe)))
    (folder / "1/model.py").write_text((HERE / "model.py").read_text())
    config = (HERE / "config.pbtxt").read_text()
    changed = config.replace("max_batch_size: 8", f"max_batch_size: {max_batch}")
    (folder / "config.pbtxt").write_text(changed)


def _version(
    name: str,
    what: str,
    *,
    weights: Callable[[], tuple[Array, Array, Array]] = lambda: train(SEED),
    max_batch: int = 8,
    **changes: Any,
) -> Version:
    recipe = replace(Recipe(), **changes)
    return Version(name, what, lambda folder: _write(folder, recipe, weights(), max_batch))


def _half() -> tuple[Array, Array, Array]:
    words, table, topics = train(SEED)
    return words, table.astype(np.float16), topics


def _shifted() -> tuple[Array, Array, Array]:
    words, table, topics = train(SEED)
    return words, np.roll(table, 1, axis=0), topics


STABLE = _version("stable", "reads tickets")
FAULTS = (
    _version("time zone", "summer time is not known", knows_summer=False),
    _version("number format", "1.234,50 is read as 1.2345", reads_german=False),
    _version("case", "capitals are no longer folded", folds_case=False),
    _version("Unicode form", "accents typed on a Mac are not composed", composes=False),
    _version("truncation", f"only {TRUNCATED} words are read", most_words=TRUNCATED),
    _version("state leak", "a text without words gets the last topic", recalls_topic=True),
    _version("stale cache", "answers are kept under a key of 12 bits", cache_bits=12),
    _version("memory leak", "256 KiB of every request are kept", leaks=True),
)
GOOD = (
    _version("other seed 4", "trained on other tickets", weights=lambda: train(4)),
    _version("other seed 5", "trained on other tickets", weights=lambda: train(5)),
    _version("more training", "on twice the tickets", weights=lambda: train(6, 2 * TRAINING)),
    _version("FP16 weights", "weights in half precision", weights=_half),
    _version("other batch size", "max_batch_size 16", max_batch=16),
    _version("faster by 5%", "sleeps less", seconds=0.95 * BASE_SECONDS),
    _version("faster by 25%", "sleeps less", seconds=0.75 * BASE_SECONDS),
    _version("slower by 5%", "sleeps longer", seconds=1.05 * BASE_SECONDS),
)


@cache
def family() -> Family:
    """Return the family."""
    return Family(
        "tickets",
        STABLE,
        FAULTS,
        GOOD,
        ask,
        is_right,
        _golden(),
        {TOPIC: {"compare": "Equal"}, AMOUNT: {"compare": "Tolerance"}, DUE: {"compare": "Equal"}},
    )
