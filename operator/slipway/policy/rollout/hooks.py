"""Hooks: whether a service of the user agrees before the weight rises.

A hook is asked once per revision, attempt and weight; its answer is kept in status. After a crash
before that it is asked again, with the same id. An answer that is not clear holds the rollout, and
the hook is asked again with back-off; it is never held against the model.
"""

from dataclasses import replace
from datetime import timedelta
from urllib.parse import urlsplit

from slipway.api.canonical_json import sha256_of
from slipway.api.modeldeployment import Hook, HookStage, HookStatus, HookVerdict, Outcome, Stage
from slipway.api.reasons import Reason
from slipway.api.times import backoff
from slipway.policy.facts import Facts
from slipway.policy.hook_call import HookCall, Said
from slipway.policy.ladder import list_steps
from slipway.policy.rollout.draft import Agreed, Answer, Draft, Held
from slipway.policy.rollout.rolling_back import act_on_evidence
from slipway.policy.rollout_memory import HookMemory
from slipway.policy.weights import ALL

ANSWER_POLL = timedelta(seconds=1)
"""While a hook is being asked: its answer is no event."""
PATIENT_TRIES = 7
"""Requests without a clear answer, about ten minutes of back-off, after which a person is told."""


def calls_of(facts: Facts) -> tuple[HookCall, ...]:
    """Return what each hook is asked, or was asked last, as status has it."""
    rollout, candidate = facts.status.rollout, facts.status.candidate
    if rollout is None or candidate is None or candidate.revision not in facts.revisions:
        return ()

    calls = []
    for hook in facts.spec.rollout.analysis.hooks:
        step = _step_of(hook, facts, rollout.step)
        weight = _weight_of(hook, facts, candidate.revision)
        entries = (entry for entry in rollout.hooks if entry.name == hook.name)
        known = next((it for it in entries if _is_about(it, step, weight)), None)
        tries = known.tries if known is not None else 0
        calls.append(_make_call(hook, facts, candidate.revision, step, tries))
    return tuple(calls)


def ask_hooks(draft: Draft, stage: HookStage) -> Answer:
    """Ask the hooks of a stage one after the other; the first that does not agree holds."""
    for hook in draft.spec.rollout.analysis.hooks:
        if hook.stage is not stage:
            continue
        answer = _ask_hook(draft, hook)
        if isinstance(answer, Held):
            return answer
        draft = answer.draft
    return Agreed(draft)


def is_hook_waited_for(draft: Draft) -> bool:
    """Return whether a hook gave no clear answer, and is asked again after a back-off."""
    waits = any(entry.retry_at is not None for entry in draft.memory.hooks)
    return waits and bool(draft.candidate)


def forget_back_off(draft: Draft) -> Draft:
    """Return the draft with no back-off left before a hook is asked again."""
    hooks = tuple(replace(entry, retry_at=None) for entry in draft.memory.hooks)
    return draft.remember(replace(draft.memory, hooks=hooks))


def _ask_hook(draft: Draft, hook: Hook) -> Answer:
    step = _step_of(hook, draft.facts, draft.memory.step)
    known = _find_memory(draft, hook, step)
    if known is not None and known.verdict is HookVerdict.PASSED:
        return Agreed(draft)
    if known is not None and known.verdict is HookVerdict.REJECTED:
        return _reject_candidate(draft, hook)

    tries = known.tries if known is not None else 0
    call = _make_call(hook, draft.facts, draft.candidate, step, tries)
    answer = draft.facts.answers.get(call.key)
    if answer is None:
        return _wait_for_hook(draft, hook, known, call)

    match answer.said:
        case Said.PASSED:
            draft = draft.tell(Reason.HOOK_PASSED, f"hook {hook.name} approved step {step}")
            return Agreed(_note_answer(draft, call, HookVerdict.PASSED, answer.reason))
        case Said.REJECTED:
            return _reject_candidate(
                _note_answer(draft, call, HookVerdict.REJECTED, answer.reason), hook
            )
        case Said.UNCLEAR:
            draft = _note_answer(draft, call, HookVerdict.WAITING, answer.reason)
            return _wait_for_hook(draft, hook, _find_memory(draft, hook, step), None)


def _reject_candidate(draft: Draft, hook: Hook) -> Answer:
    cause = f"{Reason.HOOK_REJECTED}: hook {hook.name} rejected revision {draft.candidate}"
    return Held(act_on_evidence(draft, Outcome.ROLLED_BACK, cause, metric=hook.name))


def _wait_for_hook(
    draft: Draft, hook: Hook, known: HookMemory | None, call: HookCall | None
) -> Answer:
    """Hold the weight; the clock of the rollout stands once the hook has failed to answer."""
    retry_at = known.retry_at if known is not None else None
    requeue_after = ANSWER_POLL
    if retry_at is not None and retry_at > draft.now:
        call, requeue_after = None, retry_at - draft.now

    message, shown = f"waiting for hook {hook.name}", draft.memory.stage
    if known is not None:
        attempts = f"{known.reason}, {known.tries} attempt{'s' * (known.tries != 1)}"
        message = f"hook {hook.name} has not approved yet ({attempts}); retrying"
        shown = Stage.PAUSED
    held = draft.enter(
        draft.memory.stage,
        Reason.AWAITING_HOOK,
        message,
        shown=shown,
        requeue_after=requeue_after,
    )
    if known is not None and known.tries >= PATIENT_TRIES:
        held = held.stall(Reason.DEADLINE_EXCEEDED)  # and asked on: it heals by an answer
    if call is None:
        return Held(held)
    return Held(held.having(replace(held.decision, calls=(*held.decision.calls, call))))


def _find_memory(draft: Draft, hook: Hook, step: int) -> HookMemory | None:
    weight = _weight_of(hook, draft.facts, draft.candidate)
    entries = (entry for entry in draft.memory.hooks if entry.name == hook.name)
    return next((entry for entry in entries if _is_about(entry, step, weight)), None)


def _is_about(entry: HookMemory | HookStatus, step: int, weight: int) -> bool:
    """Return whether an answer was given for this weight; an older release knew only steps."""
    return entry.weight == weight if entry.weight is not None else entry.step == step


def _note_answer(draft: Draft, call: HookCall, verdict: HookVerdict, reason: str) -> Draft:
    tries = call.tries + 1
    entry = HookMemory(
        name=call.hook.name,
        step=call.step,
        weight=_weight_of(call.hook, draft.facts, draft.candidate),
        verdict=verdict,
        reason=reason,
        tries=tries,
        at=draft.now,
        retry_at=draft.now + backoff(tries) if verdict is HookVerdict.WAITING else None,
    )
    others = tuple(item for item in draft.memory.hooks if item.name != call.hook.name)
    return draft.remember(replace(draft.memory, hooks=(*others, entry)))


def _step_of(hook: Hook, facts: Facts, step: int) -> int:
    """Return where a hook is asked: 0 before traffic, one more than there are steps: the bake."""
    match hook.stage:
        case HookStage.BEFORE_TRAFFIC:
            return 0
        case HookStage.STEP:
            return step
        case HookStage.BEFORE_PROMOTION:
            rollout = facts.status.rollout
            schedule = rollout.schedule if rollout is not None else None
            places = facts.shared.places if facts.shared is not None else None
            return len(list_steps(facts.spec.rollout, schedule, places)) + 1


def _weight_of(hook: Hook, facts: Facts, revision: str) -> int:
    """Return the weight that a hook is asked about: that which the candidate is to leave."""
    match hook.stage:
        case HookStage.BEFORE_TRAFFIC:
            return 0
        case HookStage.STEP:
            return facts.written_weight(revision)
        case HookStage.BEFORE_PROMOTION:
            return ALL


def _make_call(hook: Hook, facts: Facts, revision: str, step: int, tries: int) -> HookCall:
    # The id follows from what status has: whoever asks again after a crash asks the same.
    rollout = facts.status.rollout
    attempt = rollout.attempt if rollout else 1
    started = rollout.started_at if rollout else ""
    weight = _weight_of(hook, facts, revision)
    parts = [facts.metadata.uid, revision, started, attempt, hook.name, weight]
    return HookCall(
        id=sha256_of(parts)[:32],
        hook=hook,
        namespace=facts.metadata.namespace,
        name=facts.metadata.name,
        revision=revision,
        version=facts.revisions[revision].snapshot.version,
        attempt=attempt,
        step=step,
        weight=facts.written_weight(revision),
        tries=tries,
    )


def is_hook_allowed(url: str, namespace: str, hosts: list[str]) -> bool:
    """Return whether a hook may lead to a Service of the namespace, or where the admin allows."""
    return service_in(url, namespace) is not None or is_host_listed(url, hosts)


def service_in(url: str, namespace: str) -> str | None:
    """Return the Service of the namespace that a URL names; None: it names another host."""
    host, _ = _host_and_port(url)
    labels = host.removesuffix(".cluster.local").split(".")
    is_service = len(labels) == 3 and labels[1:] == [namespace, "svc"]  # noqa: PLR2004 -- service.namespace.svc
    return labels[0] if is_service else None


def is_host_listed(url: str, hosts: list[str]) -> bool:
    """Return whether the administrator allows the host of a URL."""
    host, port = _host_and_port(url)
    return bool(host) and any(_host_matches(host, port, pattern.lower()) for pattern in hosts)


def _host_and_port(url: str) -> tuple[str, int | None]:
    """Return the host in lower case, empty where the URL has none, and the port."""
    try:
        parts = urlsplit(url)
        return (parts.hostname or "").lower(), parts.port
    except ValueError:
        return "", None


def _host_matches(host: str, port: int | None, pattern: str) -> bool:
    name, _, number = pattern.partition(":")
    if number and str(port) != number:
        return False
    if name.startswith("*."):
        return host.endswith(name[1:]) and host != name[2:]
    return host == name


def describe_hook_problems(hooks: list[Hook], namespace: str, hosts: list[str]) -> str:
    """Return what is wrong with the hooks for good; empty: nothing."""
    return "; ".join(
        f"spec.rollout.analysis.hooks[{hook.name}].webhook.url: its host is not allowed, expected "
        f"a Service of this namespace (<service>.{namespace}.svc) or one of the operator's "
        f"hooks.allowedHosts ({', '.join(hosts) or 'none'})"
        for hook in hooks
        if not is_hook_allowed(hook.webhook.url, namespace, hosts)
    )
