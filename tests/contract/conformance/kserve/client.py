"""KServe's own clients; ``python client.py PACKAGES HTTP GRPC`` prints what each call got, as JSON.

A process of its own: KServe and Triton's client bring the same protocol buffers.
"""

import asyncio
import importlib
import json
import sys
import types
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

Call = Callable[[], Awaitable[Any]]
PIXELS = np.array([[0.1, 0.9, 0.2, 0.3]], dtype=np.float32)


def load(packages: Path) -> tuple[Any, Any]:
    """Return the modules of the clients and of their requests, without those of KServe's server.

    Nor with two packages of Slipway's that would hide KServe's: the `opentelemetry` of
    xds-protos, which has messages alone, and `cloudevents` 2, which has another API.
    """
    sys.path.append(str(packages))
    for name in ("kserve", "opentelemetry", "cloudevents"):
        package = types.ModuleType(name)
        package.__path__ = [str(packages / name)]
        sys.modules[name] = package

    clients = importlib.import_module("kserve.inference_client")
    return clients, importlib.import_module("kserve.protocol.infer_type")


async def calls(
    clients: Any, requests: Any, http: str, grpc: str
) -> AsyncIterator[tuple[str, Call]]:
    """Yield each call with its name."""

    def ask(model: str, *, binary: bool = False) -> Any:
        tensor = requests.InferInput("pixels", list(PIXELS.shape), "FP32")
        tensor.set_data_from_numpy(PIXELS, binary_data=binary)
        return requests.InferRequest(model, [tensor], request_id="7")

    async with _rest(clients) as rest:
        for name in ("is_server_live", "is_server_ready"):
            yield f"REST {name}", partial(getattr(rest, name), http)
        yield "REST is_model_ready", lambda: rest.is_model_ready(http, "digits")
        yield "REST infer", lambda: rest.infer(http, ask("digits"), "digits")
        yield (
            "REST infer with bytes",
            lambda: rest.infer(http, ask("digits", binary=True), "digits"),
        )
        yield "REST infer of an unknown model", lambda: rest.infer(http, ask("no"), "no")

    async with clients.InferenceGRPCClient(grpc) as over_grpc:
        for name in ("is_server_live", "is_server_ready"):
            yield f"gRPC {name}", getattr(over_grpc, name)
        yield "gRPC is_model_ready", lambda: over_grpc.is_model_ready("digits")
        yield "gRPC infer", lambda: over_grpc.infer(ask("digits"))
        yield "gRPC infer of an unknown model", lambda: over_grpc.infer(ask("no"))


@asynccontextmanager
async def _rest(clients: Any) -> AsyncIterator[Any]:
    client = clients.InferenceRESTClient(clients.RESTConfig(protocol="v2"))
    yield client
    await client.close()


async def main(packages: str, http: str, grpc: str) -> None:
    """Make each call once."""
    clients, requests = load(Path(packages))
    found: dict[str, tuple[str, str]] = {}

    async for name, call in calls(clients, requests, http, grpc):
        try:
            answer = await call()
        except Exception as error:  # noqa: BLE001 -- whatever it is, it is what the caller gets
            found[name] = (f"{type(error).__name__} {_without_details(error)}", "")
        else:
            found[name] = ("OK", _content(answer))
    print(json.dumps(found))


def _content(answer: Any) -> str:
    outputs = getattr(answer, "outputs", None)
    if outputs is None:
        return str(answer)
    tensors = {output.name: str(output.as_numpy()) for output in outputs}
    return f"{answer.id} {answer.model_name} {tensors}"


def _without_details(error: Exception) -> str:
    """Return what a person would read: an error of gRPC prints times and ports, too."""
    details = getattr(error, "details", None)
    return str(details() if callable(details) else error)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
