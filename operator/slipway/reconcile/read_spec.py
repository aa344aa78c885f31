"""Reads what follows from a spec and the operator's settings alone."""

from collections import OrderedDict
from dataclasses import dataclass

from slipway.api.modeldeployment import ModelDeployment
from slipway.api.request import PackageMode
from slipway.api.result import PackageResult
from slipway.errors import SpecError
from slipway.policy.analysis.external.validation import metrics_problem
from slipway.policy.canonical_input import is_signed
from slipway.policy.identity import golden_hashes, input_hashes, resolve
from slipway.policy.keda_triggers import describe_trigger_problems
from slipway.policy.rollout import hooks
from slipway.policy.source_access import is_open_to_change
from slipway.policy.windows import find_window_problem
from slipway.settings import Settings

PLAIN_HTTP = (
    "spec.model.source.uri: http:// needs spec.model.source.digest, unless the operator's setting "
    "sources.allowPlainHTTP is on, or one of its sources.stores has the address"
)
SIGNED = (
    "spec.model.source.uri: found a signed address, which expires, and packaging mode Fetch, in "
    "which pods fetch again on every start; set packaging.mode to Image, or use the store's own "
    "scheme (s3://, gs://, az://) with credentialsSecretRef"
)
REMEMBERED = 256
"""Specs: those of the passes under way and of the next ones of the same objects."""


@dataclass(frozen=True, slots=True)
class SpecReading:
    """What follows from a spec."""

    inputs: tuple[str, ...]
    """Every identity of the input; the first is for what is made now."""
    golden_sets: tuple[str, ...]
    """Every identity of the golden set, likewise."""
    packaged: PackageResult | None
    """The result of packaging, where no Job is needed to know it."""
    problem: str | None
    """What this operator cannot use of it."""


class SpecReader:
    """Reads specs, and remembers the last ones: a new object is decided on three times in a row."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._known: OrderedDict[str, tuple[ModelDeployment, SpecReading]] = OrderedDict()
        """By uid, with the object that was read."""

    def read(self, md: ModelDeployment) -> SpecReading:
        """Return what follows from the spec of an object."""
        uid = md.metadata.uid
        known = self._known.get(uid)
        if known is not None and _has_same_spec(known[0], md):
            return known[1]

        reading = _read(md, self._settings)
        self._known[uid] = md, reading
        self._known.move_to_end(uid)
        if len(self._known) > REMEMBERED:
            self._known.popitem(last=False)
        return reading


def _has_same_spec(one: ModelDeployment, other: ModelDeployment) -> bool:
    """Both are asked: a number may equal what is spelled otherwise, and a default may change."""
    return one.metadata.generation == other.metadata.generation and one.spec == other.spec


def _read(md: ModelDeployment, settings: Settings) -> SpecReading:
    packaged, problem = _package_without_job(md, settings)
    return SpecReading(
        inputs=input_hashes(md, settings),
        golden_sets=golden_hashes(md.spec.model.golden_set),
        packaged=packaged,
        problem=problem or _unusable_field_problem(md, settings),
    )


def _package_without_job(
    md: ModelDeployment, settings: Settings
) -> tuple[PackageResult | None, str | None]:
    """Return the result where no Job is needed to know it, and what is wrong with the source."""
    try:
        resolved = resolve(md, settings)
    except SpecError as error:
        return None, str(error)

    source = md.spec.model.source
    is_open = is_open_to_change(source, md.metadata.namespace, settings)
    problem = PLAIN_HTTP if is_open else None
    if resolved.mode is PackageMode.FETCH and is_signed(source.uri):
        problem = problem or SIGNED

    is_known = source.digest is not None and md.spec.model.optimize is None
    if resolved.mode is PackageMode.FETCH and is_known:
        return PackageResult(model_digest=source.digest), problem
    return None, problem


def _unusable_field_problem(md: ModelDeployment, settings: Settings) -> str | None:
    """Return which window, metric or hook this operator cannot use, or must not ask."""
    analysis, namespace = md.spec.rollout.analysis, md.metadata.namespace
    return (
        find_window_problem(md.spec.rollout.windows)
        or metrics_problem(analysis.metrics, settings.prometheus, namespace)
        or describe_trigger_problems(md.spec.scaling)
        or hooks.describe_hook_problems(analysis.hooks, namespace, settings.hooks.allowed_hosts)
        or None
    )
