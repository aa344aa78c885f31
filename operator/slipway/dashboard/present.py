"""What the pages say of a ModelDeployment: the command line's own words, in parts. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from slipway.cli.action import POSITIONED_VERBS
from slipway.cli.main import ACTIONS
from slipway.cli.object_events import OLDEST, ObjectEvent
from slipway.cli.objects import Metric, ModelDeployment, Rollout
from slipway.cli.text import paint_screen
from slipway.cli.time_format import format_age
from slipway.cli.views.description import (
    COUNTED,
    ROLES,
    describe_action,
    describe_finding,
    describe_rollback,
    list_rungs,
    style_status,
)
from slipway.cli.views.history_table import describe_outcome
from slipway.cli.views.next_steps import CommandLine, list_next_steps
from slipway.cli.views.serving import format_serving
from slipway.cli.views.styles import (
    MEAN_LATENCY,
    SHARES,
    format_figure,
    style_end,
    style_stage,
    style_word,
)
from slipway.dashboard.figures import RolloutTrack
from slipway.dashboard.models import (
    ActionButton,
    CaseLine,
    ConditionLine,
    EventLine,
    FleetRow,
    HistoryLine,
    Line,
    MetricCard,
    Moment,
    RevisionLine,
    RolloutPage,
    RungLine,
    Word,
)
from slipway.dashboard.tones import word_of

GOLDEN_SET = "golden-set"
WAITS_FOR_PERSON = frozenset({"AwaitingApproval", "Paused"})
SERVING_WIDTH = 10_000
Rights = Mapping[str, str]
"""By verb: why the user may not ask for it; empty: they may."""


def make_row(md: ModelDeployment) -> FleetRow:
    """Return the row of the table."""
    ready, group = md.condition("Ready"), choose_group(md)
    told = word_of(style_word(ready.status if ready else "Unknown"))
    rollout = md.rollout
    is_stepping = rollout.stage == "Progressing" and bool(rollout.steps)
    return FleetRow(
        namespace=md.namespace,
        name=md.name,
        stage=_stage_of(md),
        step=f"{rollout.step}/{rollout.steps}" if is_stepping else "",
        stable=md.stable.version if md.stable else "",
        candidate=md.candidate.version if md.candidate else "",
        weight=md.candidate.weight if md.candidate else None,
        # while a rollout runs, Ready is False because it runs: nothing is wrong
        ready=told if group != "moving" else Word(text=told.text),
        message=md.ready_message,
        since=ready.since if ready else md.created_at,
        group=group,
    )


def choose_group(md: ModelDeployment) -> str:
    """Return by what people look for it."""
    if md.needs_person or md.rollout.stage in WAITS_FOR_PERSON or md.is_paused:
        return "person"
    if md.trouble is not None:
        return "trouble"
    if md.candidate is not None:
        return "moving"
    return "calm" if md.holds("Ready") else "pending"


@dataclass(frozen=True, slots=True)
class Background:
    """What is known of a ModelDeployment besides its status."""

    track: RolloutTrack
    """What this program has seen of it."""
    events: Sequence[ObjectEvent] = ()
    """What the cluster tells of it, the newest first."""
    events_note: str = ""
    """Why there are none."""
    rights: Rights = field(default_factory=dict)


def make_page(
    md: ModelDeployment, known: Background, command_line: CommandLine, now: datetime
) -> RolloutPage:
    """Return all about one ModelDeployment, but what happens next."""
    return RolloutPage(
        namespace=md.namespace,
        name=md.name,
        version=md.version,
        stage=_stage_of(md),
        headline=_headline(md),
        message=md.ready_message,
        position=find_position(md),
        started=md.rollout.started_at,
        revisions=_revisions(md),
        rungs=_rungs(md),
        remarks=_remarks(md, now),
        metrics=[_card(metric, known) for metric in md.rollout.metrics],
        hooks=_hooks(md),
        moments=_moments(known),
        cases=golden_cases(md),
        cases_note=_cases_note(md),
        differences=_differences(md),
        history=_history(md),
        events=[_event_line(event) for event in known.events],
        events_note=known.events_note,
        conditions=_conditions(md),
        serving=paint_screen(format_serving(md, SERVING_WIDTH), colours=False).splitlines(),
        actions=list_actions(md, known.rights, command_line, now),
        history_since=known.track.since,
    )


def find_position(md: ModelDeployment) -> str:
    """Return what an action that means a step names; empty without a candidate."""
    return f"{md.candidate.revision}/{md.rollout.step}" if md.candidate is not None else ""


def has_moved_on(md: ModelDeployment, verb: str, seen: str) -> bool:
    """Return whether the rollout is elsewhere than where the person saw it, as far as it matters.

    A promotion or an abortion means the revision; an approval or a skip means the step as well.
    """
    if verb not in POSITIONED_VERBS:
        return False
    here = find_position(md)
    if verb in {"approve", "skip"}:
        return here != seen
    return here.partition("/")[0] != seen.partition("/")[0]


def list_actions(
    md: ModelDeployment, rights: Rights, command_line: CommandLine, now: datetime
) -> list[ActionButton]:
    """Return every action; those that the next steps name are suggested."""
    named: set[str] = set()

    def note(*words: str) -> str:
        named.update(words[:1])
        return command_line(*words)

    list_next_steps(md, now, note)
    return [
        ActionButton(
            verb=verb,
            help=text,
            command=command_line(verb),
            is_allowed=not rights.get(verb, ""),
            why_not=rights.get(verb, ""),
            is_suggested=verb in named,
            revisions=_earlier_revisions(md) if verb == "rollback" else [],
        )
        for verb, text in ACTIONS.items()
    ]


def _earlier_revisions(md: ModelDeployment) -> list[str]:
    stable = md.stable.revision if md.stable is not None else ""
    served = [entry for entry in reversed(md.history) if entry.outcome == "Promoted"]
    found = {entry.revision: entry.version for entry in served if entry.revision != stable}
    return [f"{revision} (version {version})" for revision, version in found.items()]


def _stage_of(md: ModelDeployment) -> Word:
    shown = word_of(style_stage(md))
    is_moving = shown.tone == "plain" and md.candidate is not None
    if shown.text == "Idle" and md.holds("Ready"):
        return Word(text="Serving", tone="good")
    return Word(text=shown.text, tone="accent") if is_moving else shown


def _headline(md: ModelDeployment) -> str:
    rollout = md.rollout
    if md.candidate is None:
        return f"version {md.stable.version} serves" if md.stable else "nothing serves yet"
    beside = f" beside version {md.stable.version}" if md.stable else ""
    at = f" at {rollout.acked_weight}%" if rollout.stage in COUNTED else ""
    text = f"version {md.candidate.version}{at}{beside}"
    if md.is_paused and rollout.stage != "Paused":
        return f"{text}, paused"
    if rollout.underlying and rollout.underlying != rollout.stage:
        return f"{text}, in {rollout.underlying}"
    return text


def _revisions(md: ModelDeployment) -> list[RevisionLine]:
    return [
        RevisionLine(
            role=role,
            version=found.version,
            revision=found.revision,
            weight=found.weight,
            ready=found.ready_replicas,
            since=found.since,
        )
        for role, found in (("stable", md.stable), ("candidate", md.candidate))
        if found is not None
    ]


def _rungs(md: ModelDeployment) -> list[RungLine]:
    if md.candidate is None or md.stable is None:
        return []
    if md.rollout.unjudged:
        text = f"straight to 100%: {md.rollout.unjudged}"
        return [RungLine(weight=100, text=text, state="now")]
    current = md.rollout.acked_weight
    return [
        RungLine(weight=weight, text=text, state=_rung_state(weight, current))
        for weight, text in (*list_rungs(md), (100, "100% promoted"))
    ]


def _rung_state(weight: int, current: int) -> str:
    if weight == current:
        return "now"
    return "done" if weight < current else "ahead"


def _remarks(md: ModelDeployment, now: datetime) -> list[Line]:
    """Return what describes the object besides, each with what it is about."""
    found = []
    shared, shadow, watched = md.rollout.capacity, md.rollout.shadow, md.after_promotion
    if shadow is not None and md.candidate is not None:
        counted = f"{shadow.pairs:,} pairs, {shadow.dropped:,} copies dropped; "
        text = f"{shadow.state.lower()}: {counted if shadow.state != 'Off' else ''}{shadow.message}"
        found.append(Line(label="shadow", text=text))
    if shared is not None:
        why = f": {shared.missing}" if shared.missing else ""
        text = f"swap: {shared.places} places, at least {shared.floor} ready{why}"
        found.append(Line(label="capacity", text=text))

    for label, action in (("last action", md.last_action), ("refused", md.refused_action)):
        if action is not None:
            found.append(Line(label=label, text=describe_action(action, now)))
    if md.last_rollback is not None:
        text = describe_rollback(md.last_rollback, now)
        found.append(Line(label="last rollback", text=text))
    if md.rollout.skipped and md.candidate is not None:
        found.append(Line(label="skipped", text=md.rollout.skipped, tone="warn"))
    if watched is not None and watched.finding:
        ago = format_age(watched.found_at, now)
        text = f"than in its rollout, found {ago} ago: {watched.finding}"
        found.append(Line(label="worse", text=text, tone="bad"))
    return found


def _card(metric: Metric, known: Background) -> MetricCard:
    unit = "share" if metric.name.startswith(SHARES) else ""
    return MetricCard(
        name=metric.name,
        role="" if metric.role == "Required" else ROLES.get(metric.role, metric.role),
        verdict=word_of(style_word(metric.verdict)),
        candidate=format_figure(metric.name, metric.candidate),
        stable=format_figure(metric.name, metric.stable),
        limit=format_figure(metric.name, metric.limit),
        samples=metric.samples,
        stable_samples=metric.stable_samples,
        finding=describe_finding(metric) if metric.message else "",
        unit="ms" if metric.name == MEAN_LATENCY else unit,
        since=metric.since,
        checked=metric.last_check,
        series=known.track.series(metric.name),
    )


def _hooks(md: ModelDeployment) -> list[Line]:
    return [
        Line(label=hook.name, text=f"{hook.verdict} {hook.reason}".strip(), tone=word.tone)
        for hook in md.rollout.hooks
        for word in [word_of(style_word(hook.verdict))]
        if hook.step == md.rollout.step
    ]


def _moments(known: Background) -> list[Moment]:
    """Return what was seen, and before that what the cluster's events tell of this rollout."""
    track, events = known.track, known.events
    began = track.last.rollout.started_at if track.last is not None else None
    told = [
        Moment(
            at=event.at,
            kind="event",
            text=f"{event.reason}: {event.message}",
            tone="bad" if event.type == "Warning" else "plain",
        )
        for event in events
        if event.at is not None and began is not None and began <= event.at < track.since
    ]
    return sorted((*told, *track.moments), key=lambda moment: moment.at)


def golden_cases(md: ModelDeployment) -> list[CaseLine]:
    """Return the cases that disagree, as far as the check told."""
    metric = next((found for found in md.rollout.metrics if found.name == GOLDEN_SET), None)
    if metric is not None and metric.disagreements:
        return [
            CaseLine(name=it.name, input=it.input, expected=it.expected, got=it.got, text=it.text)
            for it in metric.disagreements
        ]
    if metric is None or "; case " not in metric.message:
        return []
    # of an operator that tells no more, or must not: the message has the first one
    _, _, rest = metric.message.partition("; case ")
    name, _, text = rest.partition(": ")
    got, _, expected = text.partition(", expected ")
    return [CaseLine(name=name, input="", expected=expected, got=got, text=text)]


def _cases_note(md: ModelDeployment) -> str:
    metric = next((found for found in md.rollout.metrics if found.name == GOLDEN_SET), None)
    return metric.message if metric is not None else ""


def _differences(md: ModelDeployment) -> list[CaseLine]:
    shadow = (md.rollout or Rollout()).shadow
    if shadow is None:
        return []
    return [
        CaseLine(name="", input=found.input_digest, expected="", got="", text=found.text)
        for found in shadow.differences
    ]


def _history(md: ModelDeployment) -> list[HistoryLine]:
    return [
        HistoryLine(
            version=entry.version,
            revision=entry.revision,
            outcome=word_of(style_end(md, entry)),
            at=entry.at,
            unjudged=entry.unjudged,
            reason=describe_outcome(md, entry),
        )
        for entry in reversed(md.history)
    ]


def _event_line(event: ObjectEvent) -> EventLine:
    return EventLine(
        at=event.at if event.at != OLDEST else None,
        count=event.count,
        reason=event.reason,
        message=event.message,
        tone="bad" if event.type == "Warning" else "plain",
    )


def _conditions(md: ModelDeployment) -> list[ConditionLine]:
    return [
        ConditionLine(
            type=found.type,
            status=word_of(style_status(found.type, found.status)),
            reason=found.reason,
            message=found.message,
            since=found.since,
        )
        for found in md.conditions
    ]
