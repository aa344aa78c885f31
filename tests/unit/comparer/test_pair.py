"""What a pair of answers comes to."""

import gzip
import math

import pytest
from slipway.answers.decode import Undecodable
from slipway.api.golden import Compare
from slipway.api.modelroute import ShadowOutput
from slipway.comparer.copied import Part
from slipway.comparer.pair import Outcome, digest_input, judge_pair, read_outcome

from tests.unit.comparer.exchanges import grpc, http, http_error, part

BEST = {"y": ShadowOutput(name="y", compare=Compare.ARG_MAX)}


@pytest.mark.parametrize(
    ("answer", "outcome"),
    [
        (http([1.0]), Outcome.OK),
        (http_error(400), Outcome.REFUSED),
        (http_error(429), Outcome.REFUSED),
        (http_error(500), Outcome.FAILED),
        (Part(), Outcome.FAILED),
        (grpc([1.0]), Outcome.OK),
        (grpc([], status=3), Outcome.REFUSED),
        (grpc([], status=13), Outcome.FAILED),
        (part(b"", **{":status": "200", "content-type": "application/grpc"}), Outcome.FAILED),
    ],
)
def test_an_outcome_is_read_from_the_status_of_either_protocol(
    answer: Part, outcome: Outcome
) -> None:
    assert read_outcome(answer) is outcome


@pytest.mark.parametrize("stable", [http([0.25, 0.75]), grpc([0.25, 0.75])])
def test_answers_within_the_tolerance_of_their_datatype_agree(stable: Part) -> None:
    verdict = judge_pair(stable, stable, {})
    assert (verdict.agrees, verdict.agreement, verdict.difference) == (True, {"y": True}, None)


def test_another_answer_differs_and_says_by_how_much() -> None:
    verdict = judge_pair(http([0.25, 0.75]), http([0.25, 0.5]), {})
    assert verdict.agrees is False
    assert verdict.difference is not None
    assert (verdict.difference.output, verdict.difference.largest) == ("y", 0.25)


def test_the_rule_of_the_golden_set_is_kept() -> None:
    assert judge_pair(http([0.1, 0.9]), http([0.4, 0.6]), BEST).agrees
    assert not judge_pair(http([0.1, 0.9]), http([0.6, 0.4]), BEST).agrees


@pytest.mark.parametrize(
    "found",
    [part(b"not JSON", **{":status": "200"}), part(b'{"outputs": [{}]}', **{":status": "200"})],
)
def test_an_answer_that_cannot_be_decoded_differs_from_one_that_can(found: Part) -> None:
    verdict = judge_pair(http([1.0]), found, {})
    assert (verdict.candidate, verdict.agrees) == (Outcome.OK, False)
    assert verdict.difference is not None


def test_nothing_is_compared_with_an_answer_of_stable_that_cannot_be_decoded() -> None:
    with pytest.raises(Undecodable):
        judge_pair(part(b"text", **{":status": "200"}), http([1.0]), {})


def test_a_missing_output_differs() -> None:
    verdict = judge_pair(http([1.0], name="y"), http([1.0], name="z"), {})
    assert (verdict.agrees, dict(verdict.agreement)) == (False, {"y": False})


def test_where_no_output_of_the_rules_was_asked_for_nothing_agrees_and_nothing_differs() -> None:
    assert judge_pair(http([1.0], name="z"), http([2.0], name="z"), BEST).agrees is None


def test_numbers_that_are_none_at_both_are_not_the_candidates_fault() -> None:
    both = judge_pair(grpc([math.nan, 1.0]), grpc([math.nan, 1.0]), {})
    alone = judge_pair(grpc([0.5, 1.0]), grpc([math.nan, 1.0]), {})
    assert (both.agrees, alone.agrees) == (True, False)


@pytest.mark.parametrize(
    ("stable", "candidate", "differs"),
    [
        (http([1.0]), http_error(500), True),
        (http([1.0]), http_error(400), True),
        (http_error(400), http([1.0]), True),
        (http_error(400), http_error(422), False),
        (http_error(500), http_error(502), False),
        (grpc([], status=3), grpc([1.0]), True),
    ],
)
def test_errors_of_either_side_are_outcomes_and_compare_no_outputs(
    stable: Part, candidate: Part, differs: bool
) -> None:
    verdict = judge_pair(stable, candidate, {})
    assert verdict.agrees is None
    assert (verdict.difference is not None) == differs


def test_a_value_of_a_text_output_is_never_kept() -> None:
    def texts(word: str) -> Part:
        body = f'{{"outputs":[{{"name":"t","datatype":"BYTES","shape":[1],"data":["{word}"]}}]}}'
        return part(body.encode(), **{":status": "200"})

    verdict = judge_pair(texts("secret"), texts("hidden"), {})
    assert verdict.difference is not None
    assert "secret" not in verdict.difference.text
    assert "hidden" not in verdict.difference.text


def test_one_request_has_one_digest_however_it_was_compressed() -> None:
    plain = part(b'{"inputs":[]}')
    packed = part(gzip.compress(b'{"inputs":[]}'), **{"content-encoding": "gzip"})
    broken = part(b"no gzip", **{"content-encoding": "gzip"})
    assert digest_input(plain) == digest_input(packed)
    assert digest_input(broken).startswith("sha256:")
