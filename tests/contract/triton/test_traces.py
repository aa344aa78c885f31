"""Spans of a real Triton: whose requests it traces, and a collector that is no good."""

import asyncio
import json
import signal
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from slipway.render.traces import ServerTraces
from tritonclient.http.aio import InferenceServerClient

from tests.contract.traces.collector import Collector
from tests.contract.triton import models
from tests.contract.triton.server import Running, a_server, running
from tests.unit.agent.waiting import until

TRACE, ROUTER = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
HEADERS = {"traceparent": f"00-{TRACE}-{ROUTER}-01"}
PIXELS = {"name": "pixels", "datatype": "FP32", "shape": [1, 4], "data": [1, 2, 3, 4]}
BODY = json.dumps({"inputs": [PIXELS]}).encode()
MANY = 3000
"""Requests, of three spans each: more than Triton keeps for a batch."""
MOST_SECONDS = 10
"""A server without requests ends in one or two seconds; Triton's own limit for a batch is ten."""
