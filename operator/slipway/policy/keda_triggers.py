"""The triggers of KEDA, filled in for one revision."""

from collections.abc import Iterator

from slipway.api.modeldeployment import Scaling, Trigger
from slipway.errors import SpecError
from slipway.policy.analysis.external.query import Arm, fill_placeholders

EXAMPLE = Arm("n", "n", "00000000", "0")


def fill_trigger(number: int, trigger: Trigger, arm: Arm) -> Trigger:
    """Return the trigger about this revision; `number` is its place in the list.

    Raises:
        SpecError: a placeholder is unknown; names the field and those that exist.

    """
    path = f"spec.scaling.keda.triggers[{number}].metadata"
    filled = {
        key: fill_placeholders(f"{path}.{key}", text, arm) for key, text in trigger.metadata.items()
    }
    return trigger.model_copy(update={"metadata": filled})


def describe_trigger_problems(scaling: Scaling) -> str:
    """Return what is wrong with the triggers for good; empty: nothing."""
    return "; ".join(_problems_of(scaling))


def _problems_of(scaling: Scaling) -> Iterator[str]:
    for number, trigger in enumerate(scaling.keda.triggers if scaling.keda is not None else ()):
        try:
            fill_trigger(number, trigger, EXAMPLE)
        except SpecError as error:
            yield str(error)
