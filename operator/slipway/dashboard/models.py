"""What the browser is sent, and what it sends: the only shapes that cross the edge."""

from datetime import datetime

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel


class Wire(BaseModel):
    """Names in camelCase; nothing that is not named."""

    model_config = ConfigDict(
        alias_generator=to_camel, populate_by_name=True, extra="forbid", frozen=True
    )


class Word(Wire):
    """A word, and what it means: good, bad, warn, accent or plain."""

    text: str
    tone: str = "plain"


class FleetRow(Wire):
    """One ModelDeployment in the table."""

    namespace: str
    name: str
    stage: Word
    step: str
    """``1/2``; empty outside of steps."""
    stable: str
    candidate: str
    weight: int | None
    ready: Word
    message: str
    since: datetime | None
    """Of the reason: since when it stands there."""
    group: str
    """``person``, ``trouble``, ``moving``, ``pending`` or ``calm``."""


class FleetUpdate(Wire):
    """What changed in the table."""

    rows: list[FleetRow]
    gone: list[tuple[str, str]] = []
    is_whole: bool = False
    """Whether it replaces all that was sent before."""
    outage: str = ""
    scope: str = ""
    user: str = ""


class RevisionLine(Wire):
    """A revision that runs."""

    role: str
    version: str
    revision: str
    weight: int
    ready: int
    since: datetime | None


class RungLine(Wire):
    """A step, in the order of the rollout."""

    weight: int
    text: str
    state: str
    """``done``, ``now`` or ``ahead``."""


class MetricSeries(Wire):
    """A metric over time; all lists have the same length, times are seconds since 1970."""

    at: list[float]
    candidate: list[float | None]
    stable: list[float | None]
    limit: list[float | None]
    samples: list[float | None]
    stable_samples: list[float | None]
    estimated: int
    """So many of the first points were read when the page began; their times are estimates."""


class MetricCard(Wire):
    """A metric: where it stands, and how it got there."""

    name: str
    role: str
    verdict: Word
    candidate: str
    stable: str
    limit: str
    samples: int
    stable_samples: int
    finding: str
    unit: str
    """``share``, ``ms`` or empty."""
    since: datetime | None
    checked: datetime | None
    series: MetricSeries


class Moment(Wire):
    """Something that was decided or happened, and when."""

    at: datetime
    kind: str
    """``weight``, ``stage``, ``verdict``, ``action`` or ``end``."""
    text: str
    tone: str = "plain"


class CaseLine(Wire):
    """A golden-set case, or a copy of a request, that was answered otherwise than expected."""

    name: str
    input: str
    expected: str
    got: str
    text: str


class HistoryLine(Wire):
    """How a revision ended."""

    version: str
    revision: str
    outcome: Word
    at: datetime | None
    unjudged: str
    reason: str


class EventLine(Wire):
    """What the cluster tells."""

    at: datetime | None
    count: int
    reason: str
    message: str
    tone: str


class ConditionLine(Wire):
    """One claim about the object."""

    type: str
    status: Word
    reason: str
    message: str
    since: datetime | None


class Line(Wire):
    """A label and a sentence."""

    label: str
    text: str
    tone: str = "plain"


class ActionButton(Wire):
    """An action, whether this user may ask for it, and how the command line asks for it."""

    verb: str
    help: str
    command: str
    is_allowed: bool
    why_not: str = ""
    is_suggested: bool
    """Whether what happens next names it."""
    revisions: list[str] = []
    """Of rollback: where it may go."""


class RolloutPage(Wire):
    """All about one ModelDeployment."""

    namespace: str
    name: str
    version: str
    is_there: bool = True
    stage: Word
    headline: str
    message: str
    position: str
    """``<revision>/<step>``, given back with an action; empty without a candidate."""
    started: datetime | None
    revisions: list[RevisionLine]
    rungs: list[RungLine]
    remarks: list[Line]
    metrics: list[MetricCard]
    hooks: list[Line]
    moments: list[Moment]
    cases: list[CaseLine]
    cases_note: str
    differences: list[CaseLine]
    history: list[HistoryLine]
    events: list[EventLine]
    events_note: str
    conditions: list[ConditionLine]
    serving: list[str]
    actions: list[ActionButton]
    history_since: datetime | None
    """From when on this program has seen the figures."""
    outage: str = ""


class NextSteps(Wire):
    """What happens next, as of this second."""

    next: list[str]
    outage: str = ""


class ActionCall(Wire):
    """An action that a person asks for on the page."""

    namespace: str = Field(max_length=63)
    name: str = Field(max_length=253)
    verb: str = Field(max_length=16)
    argument: str = Field(default="", max_length=128)
    reason: str = Field(default="", max_length=1024)
    position: str = Field(default="", max_length=16)
    """What the person saw."""


class ActionAnswer(Wire):
    """What became of it."""

    result: str
    text: str


class ErrorAnswer(Wire):
    """Why it did not, and what to try."""

    code: int
    message: str
    hint: str = Field(default="", serialization_alias="try")
