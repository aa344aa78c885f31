"""What an end is called: nobody goes back from a first version, so it is rejected."""

import pytest
from slipway.api.modeldeployment import Outcome
from slipway.api.reasons import Reason
from slipway.policy.ends import name_end

P, R, G = Outcome.PROMOTED, Outcome.ROLLED_BACK, Outcome.REJECTED_BY_GOLDEN_SET
BACK, OUT = Reason.ROLLED_BACK, Reason.REVISION_REJECTED


@pytest.mark.parametrize(
    ("outcomes", "is_serving", "named"),
    [
        pytest.param([R], False, [OUT], id="the first one"),
        pytest.param([R, R], False, [OUT, OUT], id="two, before any served"),
        pytest.param([R, P, R], True, [OUT, P, BACK], id="one before and one after a promotion"),
        pytest.param([R, R], True, [BACK, BACK], id="a history that has lost its beginning"),
        pytest.param([P, R], False, [P, BACK], id="the stable one was deleted since"),
        pytest.param([G], False, [G], id="another end has its own name"),
        pytest.param(["LaterOutcome", R], True, ["LaterOutcome", BACK], id="of a newer operator"),
    ],
)
def test_an_end_is_called_what_it_is(
    outcomes: list[str], is_serving: bool, named: list[str]
) -> None:
    found = [name_end(outcomes, it, is_serving=is_serving) for it in range(len(outcomes))]

    assert found == named
