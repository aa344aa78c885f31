"""Hooks: whether somebody outside agrees before the weight rises.

A hook is asked once per revision, attempt and step, and its answer is kept in status. After a crash
before that it is asked again, with the same id. What is no clear answer holds the rollout and is
asked again with back-off; it never blames the model.
"""

from dataclasses import replace
from datetime import datetime, timedelta
from urllib.parse import urlsplit

from slipway.api.canonical_json import sha256_of
from slipway.api.modeldeployment import Hook, HookStage, HookStatus, HookVerdict, Outcome, Stage
from slipway.api.times import backoff, from_wire, to_wire
from slipway.policy.decision import Decision, Event
from slipway.policy.facts import Facts
from slipway.policy.hook_call import HookCall, Said
from slipway.policy.rollout.rolling_back import refuse
from slipway.policy.rollout.transition import at

POLL = timedelta(seconds=1)
"""While a hook is asked: its answer is no event."""


def calls_of(facts: Facts) -> tuple[HookCall, ...]:
    """Return what each hook is asked, or was asked last, as status has it."""
    status = facts.status
    if status.rollout is None or status.candidate is None:
        return ()
    hooks = facts.spec.rollout.analysis.hooks
    return tuple(
        _call(hook, facts, status.candidate.revision, _place(hook, facts, status.rollout.step))
        for hook in hooks
        if status.candidate.revision in facts.revisions
    )


def _place(hook: Hook, facts: Facts, step: int) -> int:
    match hook.stage:
        case HookStage.BEFORE_TRAFFIC:
            return 0
        case HookStage.STEP:
            return step
        case HookStage.BEFORE_PROMOTION:
            return len(facts.spec.rollout.steps) + 1


def consents(d: Decision, facts: Facts, stage: HookStage, now: datetime) -> Decision:
    """Ask the hooks of a stage one after the other; `Decision.waits` says that one holds."""
    for hook in facts.spec.rollout.analysis.hooks:
        if hook.stage is not stage:
            continue
        d = _ask(d, facts, hook, now)
        if d.waits:
            return d
    return d


def _ask(d: Decision, facts: Facts, hook: Hook, now: datetime) -> Decision:
    step = _place(hook, facts, d.memory.step)
    entry = _known(d, hook, step)
    if entry is not None and entry.verdict is HookVerdict.PASSED:
        return d
    if entry is not None and entry.verdict is HookVerdict.REJECTED:
        return _refuse(d, facts, hook, now)
    call = _call(hook, facts, d.candidate or "", step, entry.tries if entry else 0)
    answer = facts.answers.get(call.key)
    if answer is None:
        return _wait(d, hook, entry, call, now)
    if answer.said is Said.PASSED:
        event = Event("HookPassed", f"hook {hook.name} at step {step}")
        d = replace(d, events=(*d.events, event))
        return _remember(d, call, HookVerdict.PASSED, answer.reason, now)
    if answer.said is Said.REJECTED:
        d = _remember(d, call, HookVerdict.REJECTED, answer.reason, now)
        return _refuse(d, facts, hook, now)
    d = _remember(d, call, HookVerdict.WAITING, answer.reason, now)
    return _wait(d, hook, _known(d, hook, step), None, now)


def _refuse(d: Decision, facts: Facts, hook: Hook, now: datetime) -> Decision:
    cause = f"HookRejected: the hook {hook.name} refuses revision {d.candidate}"
    refused = refuse(d, Outcome.ROLLED_BACK, cause, facts, now, metric=hook.name)
    return replace(refused, waits=True)


def _wait(
    d: Decision, hook: Hook, entry: HookStatus | None, call: HookCall | None, now: datetime
) -> Decision:
    """Hold the weight; the clock of the rollout stands once the hook has failed to answer."""
    retry_at = from_wire(entry.retry_at) if entry is not None else None
    look = POLL
    if retry_at is not None and retry_at > now:
        call, look = None, retry_at - now
    message = f"the hook {hook.name} is asked"
    if entry is not None:
        message = (
            f"the hook {hook.name} has not agreed: {entry.reason}, asked {entry.tries} times; "
            "it is asked again"
        )
    held = at(d, d.memory.stage, "AwaitingHook", message, requeue_after=look)
    calls = (*d.calls, call) if call is not None else d.calls
    stage = held.stage if entry is None else Stage.PAUSED
    return replace(held, stage=stage, calls=calls, waits=True)


def is_waited_for(d: Decision) -> bool:
    """Return whether a hook gave no clear answer, and is asked again after a back-off."""
    waits = any(item.retry_at is not None for item in d.memory.hooks)
    return waits and d.candidate is not None


def at_once(d: Decision) -> Decision:
    """Return the decision with no back-off left before a hook is asked again."""
    hooks = [item.model_copy(update={"retry_at": None}) for item in d.memory.hooks]
    return replace(d, memory=d.memory.model_copy(update={"hooks": hooks}))


def _known(d: Decision, hook: Hook, step: int) -> HookStatus | None:
    found = (item for item in d.memory.hooks if (item.name, item.step) == (hook.name, step))
    return next(found, None)


def _remember(
    d: Decision, call: HookCall, verdict: HookVerdict, reason: str, now: datetime
) -> Decision:
    tries = call.tries + 1
    entry = HookStatus(
        name=call.hook.name,
        step=call.step,
        verdict=verdict,
        reason=reason,
        tries=tries,
        retry_at=to_wire(now + backoff(tries)) if verdict is HookVerdict.WAITING else None,
        at=to_wire(now),
    )
    others = [item for item in d.memory.hooks if item.name != call.hook.name]
    return replace(d, memory=d.memory.model_copy(update={"hooks": [*others, entry]}))


def _call(hook: Hook, facts: Facts, revision: str, step: int, tries: int | None = None) -> HookCall:
    meta, rollout = facts.metadata, facts.status.rollout
    attempt = rollout.attempt if rollout else 1
    started = rollout.started_at if rollout else ""
    if tries is None:
        known = rollout.hooks if rollout else []
        same = (item for item in known if (item.name, item.step) == (hook.name, step))
        entry = next(same, None)
        tries = entry.tries if entry is not None else 0
    parts = [meta.uid, revision, started, attempt, hook.name, step]
    return HookCall(
        id=sha256_of(parts)[:32],
        hook=hook,
        namespace=meta.namespace,
        name=meta.name,
        revision=revision,
        version=facts.revisions[revision].snapshot.version,
        attempt=attempt,
        step=step,
        weight=facts.written_weight(revision),
        tries=tries,
    )


def is_allowed(url: str, namespace: str, hosts: list[str]) -> bool:
    """Return whether a hook may lead to a Service of the namespace, or where the admin allows."""
    try:
        parts = urlsplit(url)
        host, port = (parts.hostname or "").lower(), parts.port
    except ValueError:
        return False
    labels = host.removesuffix(".cluster.local").split(".")
    if len(labels) == 3 and labels[1:] == [namespace, "svc"]:  # noqa: PLR2004 -- service.namespace.svc
        return True
    return any(_matches(host, port, pattern.lower()) for pattern in hosts)


def _matches(host: str, port: int | None, pattern: str) -> bool:
    name, _, number = pattern.partition(":")
    if number and str(port) != number:
        return False
    if name.startswith("*."):
        return host.endswith(name[1:]) and host != name[2:]
    return host == name


def problem_of(hooks: list[Hook], namespace: str, hosts: list[str]) -> str:
    """Return what is wrong with the hooks for good; empty: nothing."""
    return "; ".join(
        f"spec.rollout.analysis.hooks[{hook.name}].webhook.url: its host is not allowed, expected "
        f"a Service of this namespace (<service>.{namespace}.svc) or one of the operator's "
        f"hooks.allowedHosts ({', '.join(hosts) or 'none'})"
        for hook in hooks
        if not is_allowed(hook.webhook.url, namespace, hosts)
    )
