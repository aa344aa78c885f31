"""A version on real Triton: packaged as its pods get it, in a process of its own, and asked."""

import http.client
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import tritonclient.http as triton_http
from slipway.comparer.copied import Part
from slipway.comparer.pair import Outcome, read_outcome
from tritonclient.utils import np_to_triton_dtype

from tests.contract.faults.version import Arrays, Question, Version
from tests.contract.triton.server import Running, a_server, running
from tests.contract.zoo.keeper import package

HEADER_LENGTH = "inference-header-content-length"
SOURCE = "source"


@dataclass(frozen=True, slots=True)
class Answered:
    """What a server said to one request."""

    part: Part
    """As the comparer has it from Envoy."""
    micros: int
    """From the last byte of the request to the first one of the answer, as Envoy takes it."""

    @property
    def outcome(self) -> Outcome:
        return read_outcome(self.part)

    def read(self) -> Arrays:
        """Return the outputs by name."""
        assert self.outcome is Outcome.OK, self.part.body[:500]
        result = triton_http.InferenceServerClient.parse_response_body(
            self.part.body, header_length=self.part.header_length
        )
        names = [each["name"] for each in result.get_response()["outputs"]]
        return {name: result.as_numpy(name) for name in names}


class Served:
    """A server with one version, on one connection that stays open."""

    def __init__(self, server: Running, model: str) -> None:
        self.server = server
        self._model = model
        self._connection = http.client.HTTPConnection(server.host, server.ports["http"])

    def ask(self, question: Question) -> Answered:
        """Send the request as Triton's own client writes it."""
        body, json_bytes = encode(question)
        path = f"/v2/models/{self._model}/infer"
        self._connection.request("POST", path, body, {HEADER_LENGTH: str(json_bytes)})
        sent = time.perf_counter()
        response = self._connection.getresponse()
        micros = round(1e6 * (time.perf_counter() - sent))

        headers = {name.lower(): value for name, value in response.getheaders()}
        headers[":status"] = str(response.status)
        data = response.read()
        part = Part(headers=headers, pieces=[data], size=len(data), is_whole=True)
        return Answered(part, micros)

    def close(self) -> None:
        self._connection.close()


def encode(question: Question) -> tuple[bytes, int]:
    """Return the body of a request, and how much of it is JSON."""
    inputs = [
        triton_http.InferInput(
            name, list(array.shape), np_to_triton_dtype(array.dtype)
        ).set_data_from_numpy(array)
        for name, array in question.inputs.items()
    ]
    body, json_bytes = triton_http.InferenceServerClient.generate_request_body(inputs)
    return bytes(body), int(json_bytes)


@contextmanager
def serving(version: Version, model: str, scratch: Path) -> Iterator[Served]:
    """Package a version, and run a server with it until the end of the block."""
    folder = scratch / version.name.replace(" ", "-").replace("%", "-percent")
    claim, repository = folder / "claim", folder / "repository"
    (claim / SOURCE).mkdir(parents=True)
    repository.mkdir()
    version.write(claim / SOURCE)
    result = package(model, SOURCE, claim, repository, folder)
    assert result.error is None, (version.name, result.error)

    with running(a_server(model), repository, folder) as server:
        served = Served(server.wait_ready(), model)
        try:
            yield served
        finally:
            served.close()
    shutil.rmtree(folder)
