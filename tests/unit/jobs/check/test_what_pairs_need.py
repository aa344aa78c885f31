"""A check says what the comparison of answers has to know: state, streams, and the golden rules."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer as Loopback
from slipway.api.golden import ArgMaxRule, Compare, EqualRule, Rule, ToleranceRule
from slipway.api.request import CheckRequest
from slipway.api.result import CheckResult
from slipway.jobs.check.check_candidate import MOST_RULES, check_candidate, list_rules

METADATA = {
    "inputs": [{"name": "x", "datatype": "FP32", "shape": [-1, 3]}],
    "outputs": [{"name": "y", "datatype": "FP32", "shape": [-1, 2]}],
}
PLAIN: dict[str, Any] = {"max_batch_size": 8}
STATEFUL: dict[str, Any] = {"sequence_batching": {}}
DECOUPLED: dict[str, Any] = {"model_transaction_policy": {"decoupled": True}}


def steps(*models: str) -> dict[str, Any]:
    return {"ensemble_scheduling": {"step": [{"model_name": model} for model in models]}}


@asynccontextmanager
async def serving(configs: dict[str, dict[str, Any]]) -> AsyncIterator[str]:
    """Serve the model m and its parts, as far as they have a configuration."""

    async def answer_metadata(request: web.Request) -> web.Response:
        return web.json_response({"name": request.match_info["model"], **METADATA})

    async def answer_config(request: web.Request) -> web.Response:
        config = configs.get(request.match_info["model"])
        if config is None:
            return web.json_response({"error": "not allowed"}, status=403)
        return web.json_response(config)

    async def answer_inference(_request: web.Request) -> web.Response:
        output = {"name": "y", "datatype": "FP32", "shape": [1, 2], "data": [0.25, 0.75]}
        return web.json_response({"model_name": "m", "outputs": [output]})

    application = web.Application()
    application.router.add_post("/v2/models/{model}/infer", answer_inference)
    application.router.add_get("/v2/models/{model}", answer_metadata)
    application.router.add_get("/v2/models/{model}/config", answer_config)
    async with Loopback(application) as loopback:
        yield f"127.0.0.1:{loopback.port}"


async def checked(**configs: dict[str, Any]) -> CheckResult:
    async with serving(configs) as address:
        request = CheckRequest(http=address, model_name="m", timeout_seconds=10)
        return await check_candidate(request, lambda: None)


@pytest.mark.parametrize(
    ("configs", "keeps_state", "streams_answers"),
    [
        ({"m": PLAIN}, False, False),
        ({"m": STATEFUL}, True, False),
        ({"m": DECOUPLED}, False, True),
        ({"m": steps("a", "b"), "a": PLAIN, "b": STATEFUL}, True, False),
        ({"m": steps("a", "b"), "a": DECOUPLED, "b": PLAIN}, False, True),
        ({"m": steps("a"), "a": steps("b"), "b": STATEFUL}, True, False),
        ({"m": steps("a", "a"), "a": PLAIN}, False, False),
        ({"m": steps("m")}, False, False),
    ],
)
async def test_state_and_streams_are_found_in_every_part_of_an_ensemble(
    configs: dict[str, dict[str, Any]], keeps_state: bool, streams_answers: bool
) -> None:
    found = await checked(**configs)
    assert (found.keeps_state, found.streams_answers) == (keeps_state, streams_answers)


@pytest.mark.parametrize("configs", [{}, {"m": steps("a", "b"), "a": PLAIN}])
async def test_what_may_not_be_read_is_not_taken_for_a_plain_model(
    configs: dict[str, dict[str, Any]],
) -> None:
    found = await checked(**configs)
    assert (found.keeps_state, found.streams_answers) == (None, None)


def test_the_rules_of_the_golden_set_are_told_to_the_router() -> None:
    rules: dict[str, Rule] = {
        "label": EqualRule(compare=Compare.EQUAL),
        "scores": ArgMaxRule(compare=Compare.ARG_MAX),
        "boxes": ToleranceRule(compare=Compare.TOLERANCE, rtol=0.01, atol=2.0),
    }
    told = [(rule.name, rule.compare, rule.rtol, rule.atol) for rule in list_rules(rules)]
    assert told == [
        ("label", Compare.EQUAL, None, None),
        ("scores", Compare.ARG_MAX, None, None),
        ("boxes", Compare.TOLERANCE, 0.01, 2.0),
    ]


def test_no_golden_set_makes_the_result_or_the_route_too_large() -> None:
    rule: Rule = ToleranceRule(compare=Compare.TOLERANCE, rtol=50.0, atol=1e300)
    told = list_rules({f"output-{number}": rule for number in range(MOST_RULES + 8)})
    assert len(told) == MOST_RULES
    assert {(item.rtol, item.atol) for item in told} == {(1.0, 1e9)}
