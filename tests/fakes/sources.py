"""Prometheus, Triton and hooks in memory: they answer what a test puts into them."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from slipway.api.download import DownloadProgress
from slipway.api.reasons import Reason, Why
from slipway.policy.analysis.external.answer import Answer, Series
from slipway.policy.analysis.inputs import Count
from slipway.policy.hook_call import HookAnswer, HookCall


@dataclass
class FakePrometheus:
    """Fits `slipway.reconcile.ports.MetricSource`."""

    answers: dict[str, Answer] = field(default_factory=dict)
    """By query, as it is asked."""
    asked: list[str] = field(default_factory=list)
    is_slow: bool = False

    async def ask(self, provider: str, queries: Sequence[str]) -> tuple[Answer, ...] | None:
        self.asked += [f"{provider}: {query}" for query in queries]
        if self.is_slow:
            return None
        return tuple(self.answers.get(query, ()) for query in queries)


@dataclass
class FakeDownloads:
    """Fits `slipway.reconcile.ports.DownloadSource`."""

    told: dict[str, DownloadProgress] = field(default_factory=dict)
    """By the address of a pod."""
    asked: int = 0

    async def read(self, address: str) -> DownloadProgress | None:
        self.asked += 1
        return self.told.get(address)


@dataclass
class FakeFailures:
    """Fits `slipway.reconcile.ports.FailureSource`."""

    counts: dict[str, Count | Why] = field(default_factory=dict)
    """By the address of a pod."""

    async def read_failures(self, address: str, model: str) -> Count | Why:
        del model
        return self.counts.get(address, Why(Reason.SERVER_UNREACHABLE, "unreachable"))


@dataclass
class FakeHooks:
    """Fits `slipway.reconcile.ports.HookSource`; an answer is there at the next pass."""

    says: dict[str, list[HookAnswer]] = field(default_factory=dict)
    """By name of the hook; the last one is repeated. Nothing: no answer comes."""
    calls: list[HookCall] = field(default_factory=list)
    answers: dict[str, HookAnswer] = field(default_factory=dict)

    def answer(self, key: str) -> HookAnswer | None:
        return self.answers.get(key)

    async def ask(self, call: HookCall) -> None:
        if call.key in {known.key for known in self.calls}:
            return
        self.calls.append(call)
        said = self.says.get(call.hook.name)
        if said:
            self.answers[call.key] = said.pop(0) if len(said) > 1 else said[0]


def a_number(value: float) -> tuple[Series, ...]:
    """Return the answer of one series."""
    return (Series({}, value),)
