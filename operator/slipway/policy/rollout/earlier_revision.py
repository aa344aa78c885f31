"""Back to an earlier revision, because a person asked: `rollback=<revision>`.

The wish lies in `status.hold`: it keeps the spec's input out, and names the revision that is to
serve meanwhile, until the spec's input changes or somebody asks for `retry`. The revision becomes
the candidate: its pods are started, and only when all of them are ready it gets all of the traffic.
"""

from dataclasses import replace

from slipway.api.modeldeployment import Hold, Outcome
from slipway.policy.decision import Decision
from slipway.policy.facts import Facts, RevisionFact


def goes_back(d: Decision) -> bool:
    """Return whether the candidate is what a person wants back."""
    return d.hold is not None and d.hold.revision is not None and d.hold.revision == d.candidate


def wanted_back(d: Decision, facts: Facts) -> RevisionFact | None:
    """Return the revision that a person wants back and that does not serve yet."""
    name = d.hold.revision if d.hold is not None else None
    if name is None or name == d.stable or _rejection(name, d) is not None:
        return None
    return facts.revisions.get(name)


def no_way_back(name: str | None, d: Decision, facts: Facts) -> str | None:
    """Return why the revision cannot be gone back to; None: it can, or it means to abort."""
    if d.candidate is not None and name in {None, d.stable}:
        return None
    if name is None:
        return f"name the revision, as in rollback=0123abcd; {_kept(d, facts)}"
    if name == d.stable:
        return f"{name} serves already"
    if name == d.candidate:
        return f"{name} is the candidate: promote gives it all of the traffic"
    if name not in facts.revisions:
        return f"there is no revision {name} any more; {_kept(d, facts)}"
    if (reason := _rejection(name, d)) is not None:
        return f"{name} was rejected: {reason}"
    if not _has_served(name, d, facts):
        return f"{name} was never promoted; {_kept(d, facts)}"
    return None


def ask_back(d: Decision, facts: Facts, name: str, by: str) -> Decision:
    """Return the decision with the wish noted; a candidate that is in the way is withdrawn."""
    reason = f"rollback to {name} (version {facts.revisions[name].snapshot.version}) by {by}"
    d = replace(d, hold=Hold(input=facts.input, reason=reason, revision=name))
    if d.candidate is None:
        return d
    memory = d.memory.model_copy(update={"outcome": Outcome.ABORTED, "cause": reason})
    return replace(d, memory=memory)


def held_after(d: Decision, facts: Facts, cause: str) -> Hold | None:
    """Return what stays out after the candidate was taken away: its input, or the spec's."""
    if d.hold is not None and d.hold.revision not in {None, d.candidate}:
        return d.hold
    candidate, stable = facts.revisions.get(d.candidate or ""), facts.revisions.get(d.stable or "")
    input_ = facts.input if candidate is None or goes_back(d) else candidate.snapshot.input
    if stable is not None and stable.snapshot.input == input_:
        return None
    return Hold(input=input_, reason=cause[:1024])


def _rejection(name: str, d: Decision) -> str | None:
    return next((entry.reason for entry in d.rejected if entry.revision == name), None)


def _has_served(name: str, d: Decision, facts: Facts) -> bool:
    if facts.revisions[name].outcome is Outcome.PROMOTED:
        return True
    return any(entry.revision == name and entry.outcome is Outcome.PROMOTED for entry in d.history)


def _kept(d: Decision, facts: Facts) -> str:
    """Name the revisions that can be gone back to, the newest first."""
    made = sorted(facts.revisions.values(), key=lambda item: item.created, reverse=True)
    fit = [
        f"{item.name} (version {item.snapshot.version})"
        for item in made
        if item.name != d.stable
        and _rejection(item.name, d) is None
        and _has_served(item.name, d, facts)
    ]
    return f"kept are {', '.join(fit)}" if fit else "no earlier one that served is kept"
