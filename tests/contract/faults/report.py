"""The tables of the page, and which targets are missed."""

from collections.abc import Iterable, Sequence

from tests.contract.faults.peers import ARGO, FLAGGER, Peer
from tests.contract.faults.rehearsal import Caught
from tests.contract.faults.trial import Rollout, Trial

LEAST_CAUGHT = 21
"""Of the faults, before any user."""
MOST_REFUSED = 0
"""Of the good versions."""


def find_missed_targets(trials: Sequence[Trial]) -> list[str]:
    """Return what is missed, in words."""
    faults, good = _split(trials)
    caught, refused = _count_as_wanted(faults), len(good) - _count_as_wanted(good)
    missed = []
    if caught < LEAST_CAUGHT:
        missed.append(f"{caught} faults were caught before any user, wanted {LEAST_CAUGHT}")
    if refused > MOST_REFUSED:
        missed.append(f"{refused} good versions were refused, wanted {MOST_REFUSED}")
    return missed


def summarise(trials: Sequence[Trial]) -> str:
    """Return the results as a list."""
    faults, good = _split(trials)
    by_part = ", ".join(
        f"{sum(each.caught is caught for each in faults)} by the {caught}"
        for caught in Caught
        if caught.is_before_users
    )
    late = [
        f"{each.name} ({_say_caught(each.rollout)})" for each in faults if not each.is_as_wanted
    ]
    refused = [
        f"{each.name} of {each.family} ({each.caught})" for each in good if not each.is_as_wanted
    ]
    lines = [
        f"{_count_as_wanted(faults)} of {len(faults)} faults are caught before any user: {by_part}",
        _with_names("not caught before users", late),
        _with_names(f"{len(refused)} of {len(good)} good versions are refused", refused),
    ]
    return "\n".join(f"* {line}" for line in lines)


def _with_names(text: str, names: Sequence[str]) -> str:
    return f"{text}: {', '.join(names) or 'none'}"


def tabulate_faults(trials: Sequence[Trial]) -> str:
    """Return a row for each fault."""
    head = (
        "Model",
        "Fault",
        "Wrong answers",
        "Caught by",
        "After",
        "Users answered wrongly",
        "With `shadow.mode: Off`",
        f"{FLAGGER.name} promotes",
        f"{ARGO.name} promotes",
    )
    return _tabulate(
        head,
        (
            (
                each.family,
                _describe(each),
                f"{each.measured.wrong:.1%}",
                _say_caught(each.rollout),
                _say_after(each.rollout),
                f"{each.rollout.wronged:,}",
                f"{_say_caught(each.without_shadow)}, {each.without_shadow.wronged:,} users",
                _say_promotes(FLAGGER, each),
                _say_promotes(ARGO, each),
            )
            for each in _split(trials)[0]
        ),
    )


def tabulate_good(trials: Sequence[Trial]) -> str:
    """Return a row for each good version."""
    head = (
        "Model",
        "Version",
        "Time of an answer",
        "Refused",
        "Pairs",
        "Serves everybody after",
        f"{FLAGGER.name} promotes",
        f"{ARGO.name} promotes",
    )
    return _tabulate(
        head,
        (
            (
                each.family,
                _describe(each),
                f"x {each.measured.times_as_long:.2f}",
                "no" if each.is_as_wanted else f"by the {each.caught}",
                f"{each.rollout.ending.pairs:,}",
                _say_promoted(each.rollout),
                f"{FLAGGER.promotes(each.measured):.0%}",
                f"{ARGO.promotes(each.measured):.0%}",
            )
            for each in _split(trials)[1]
        ),
    )


def _split(trials: Sequence[Trial]) -> tuple[list[Trial], list[Trial]]:
    """Return the faults and the good versions."""
    return [each for each in trials if each.is_fault], [
        each for each in trials if not each.is_fault
    ]


def _count_as_wanted(trials: Sequence[Trial]) -> int:
    return sum(each.is_as_wanted for each in trials)


def _describe(trial: Trial) -> str:
    return f"{trial.name}: {trial.what}"


def _say_caught(rollout: Rollout) -> str:
    match rollout.ending.caught:
        case Caught.HELD:
            return "held by the steps"
        case Caught.NOT:
            return "not caught"
        case caught:
            return str(caught)


def _say_after(rollout: Rollout) -> str:
    """Return how much it took: pairs in the shadow, and after it the users' own requests."""
    ending = rollout.ending
    if ending.caught in {Caught.SIGNATURE, Caught.GOLDEN_SET}:
        return "the check"
    if ending.caught is Caught.SHADOW:
        return f"{ending.pairs:,} pairs"
    return f"{ending.pairs:,} pairs, {len(ending.served):,} requests"


def _say_promoted(rollout: Rollout) -> str:
    ending = rollout.ending
    return _say_caught(rollout) if ending.caught is not Caught.NOT else f"{ending.minutes} min"


def _say_promotes(peer: Peer, trial: Trial) -> str:
    """Return in how many rollouts, and how many users are answered wrongly until then."""
    wronged = round(peer.count_wronged(trial.measured))
    return f"{peer.promotes(trial.measured):.0%}, {wronged:,} users"


def _tabulate(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
