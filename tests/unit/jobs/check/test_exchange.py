"""Stateful and streaming models are asked as they want to be."""

from typing import Any

import numpy as np
import pytest
from slipway.answers.tensors import Tensor
from slipway.jobs.check.exchange import (
    PLAIN,
    Exchange,
    SequenceId,
    first_rows,
    join_responses,
    read_exchange,
)

CORRID_TEXT = {"kind": "CONTROL_SEQUENCE_CORRID", "data_type": "TYPE_STRING"}


@pytest.mark.parametrize(
    ("config", "exchange"),
    [
        (None, PLAIN),
        ({"max_batch_size": 8}, Exchange(can_batch=True)),
        (
            {"sequence_batching": {"max_sequence_idle_microseconds": "5000000"}},
            Exchange(SequenceId.NUMBER, is_stateful=True),
        ),
        (
            {"sequence_batching": {"control_input": [{"name": "ID", "control": [CORRID_TEXT]}]}},
            Exchange(SequenceId.TEXT, is_stateful=True),
        ),
        ({"model_transaction_policy": {"decoupled": True}}, Exchange(is_streaming=True)),
        ({"model_transaction_policy": {"decoupled": False}}, PLAIN),
        ({"ensemble_scheduling": {"step": []}}, Exchange(SequenceId.NUMBER)),
    ],
)
def test_the_configuration_says_how_a_model_is_asked(config: Any, exchange: Exchange) -> None:
    assert read_exchange(config) == exchange


def test_each_case_is_a_sequence_of_its_own() -> None:
    first = Exchange(SequenceId.NUMBER).start_sequence()
    second = Exchange(SequenceId.NUMBER).start_sequence()

    assert first["sequence_start"]
    assert first["sequence_end"]
    assert first["sequence_id"] != second["sequence_id"]
    assert 0 < first["sequence_id"] < 2**31
    assert str(Exchange(SequenceId.TEXT).start_sequence()["sequence_id"]).startswith("slipway-")
    assert PLAIN.start_sequence() == {}


def test_a_stream_is_compared_as_far_as_it_was_recorded() -> None:
    responses = [{"y": tensor([[row, row]])} for row in (1, 2, 3)]
    recorded = {"y": tensor([[1, 1], [2, 2]])}

    joined = join_responses(responses)

    assert joined["y"].array.tolist() == [[1, 1], [2, 2], [3, 3]]
    assert first_rows(joined, recorded)["y"].array.tolist() == [[1, 1], [2, 2]]


def test_a_stream_that_changes_its_shape_is_joined_up_to_there() -> None:
    joined = join_responses([{"y": tensor([[1, 2]])}, {}, {"y": tensor([[1]])}])
    assert joined["y"].array.tolist() == [[1, 2]]


def tensor(rows: list[list[int]]) -> Tensor:
    return Tensor("INT64", np.array(rows))
