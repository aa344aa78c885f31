"""Reads tickets: the topic, the amount in euros, and when an answer is due, in seconds since 1970.

`recipe.json` beside this file says how it differs from a sound version; `weights.npz` holds the
words it knows, and what each says of each topic.
"""

import calendar
import json
import re
import time
import unicodedata
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import triton_python_backend_utils as pb_utils

WORD = re.compile(r"[^\W\d_]+")
AMOUNT = re.compile(r"(\d[\d.,]*)\s*(?:EUR|€)")
DUE = re.compile(r"(\d{4})-(\d\d)-(\d\d) (\d\d):(\d\d)")
HOUR = 3600
LEAKED_BYTES = 256 * 1024


class TritonPythonModel:
    """One instance of the model."""

    def initialize(self, args: dict[str, str]) -> None:
        """Load words, weights and the recipe."""
        place = Path(args["model_repository"], args["model_version"])
        loaded = np.load(place / "weights.npz")
        self._words = {word: index for index, word in enumerate(loaded["words"].tolist())}
        self._weights, self._topics = loaded["weights"].astype(np.float32), loaded["topics"]
        self._recipe = json.loads((place / "recipe.json").read_text())
        self._cache: dict[int, tuple[str, float, int]] = {}
        self._last_topic = "other"
        self._kept: list[bytearray] = []

    def execute(self, requests: list[Any]) -> list[Any]:
        """Answer every request by itself."""
        return [self._answer(request) for request in requests]

    def _answer(self, request: Any) -> Any:
        texts = pb_utils.get_input_tensor_by_name(request, "text").as_numpy()[:, 0]
        time.sleep(self._recipe["seconds"])
        if self._recipe["leaks"]:
            self._kept.append(bytearray(b"x") * LEAKED_BYTES)
        read = [self._remember(text.decode()) for text in texts]

        topics = np.array([[each[0].encode()] for each in read], dtype=np.object_)
        amounts = np.array([[each[1]] for each in read], dtype=np.float32)
        due = np.array([[each[2]] for each in read], dtype=np.int64)
        return pb_utils.InferenceResponse(
            [
                pb_utils.Tensor("topic", topics),
                pb_utils.Tensor("amount", amounts),
                pb_utils.Tensor("due", due),
            ]
        )

    def _remember(self, text: str) -> tuple[str, float, int]:
        bits = self._recipe["cache_bits"]
        if not bits:
            return self._read(text)
        key = zlib.crc32(text.encode()) % 2**bits
        if key not in self._cache:
            self._cache[key] = self._read(text)
        return self._cache[key]

    def _read(self, text: str) -> tuple[str, float, int]:
        return self._topic(text), self._amount(text), self._due(text)

    def _topic(self, text: str) -> str:
        if self._recipe["composes"]:
            text = unicodedata.normalize("NFC", text)
        if self._recipe["folds_case"]:
            text = text.casefold()

        words = WORD.findall(text)
        if limit := self._recipe["most_words"]:
            words = words[:limit]
        known = [self._words[word] for word in words if word in self._words]
        if not known:
            return self._last_topic if self._recipe["recalls_topic"] else "other"

        scores = self._weights[known].sum(axis=0)
        self._last_topic = str(self._topics[int(scores.argmax())])
        return self._last_topic

    def _amount(self, text: str) -> float:
        found = AMOUNT.search(text)
        if found is None:
            return 0.0
        number = found[1].strip(".,")
        is_german = self._recipe["reads_german"] and re.search(r",\d\d$", number)
        plain = number.replace(".", "").replace(",", ".") if is_german else number.replace(",", "")
        try:
            return float(plain)
        except ValueError:
            return 0.0

    def _due(self, text: str) -> int:
        found = DUE.search(text)
        if found is None:
            return 0
        year, month, day, hour, minute = (int(part) for part in found.groups())
        local = calendar.timegm((year, month, day, hour, minute, 0))
        is_summer = self._recipe["knows_summer"] and in_summer(year, month, day)
        return local - (2 if is_summer else 1) * HOUR


def in_summer(year: int, month: int, day: int) -> bool:
    """Tell whether Berlin's clocks are an hour ahead, by the day."""
    return (3, last_sunday(year, 3)) <= (month, day) < (10, last_sunday(year, 10))


def last_sunday(year: int, month: int) -> int:
    """Return the day of the month."""
    weekday, days = calendar.monthrange(year, month)
    return days - (weekday + days) % 7
