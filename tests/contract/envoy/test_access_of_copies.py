"""Copies of requests of callers who are known: behind real Envoy, with a comparer."""

import json
from pathlib import Path

from tests.contract.envoy.conftest import CANDIDATE, STABLE
from tests.contract.envoy.harness import Router
from tests.contract.envoy.model import Model
from tests.contract.envoy.shadowing import MOST_BYTES, pairs_of
from tests.contract.envoy.test_access import KEYS, Door, basic
from tests.contract.envoy.test_shadow import JSON_REQUEST, post
from tests.unit.agent.fake_api import FakeApi
from tests.unit.agent.waiting import until


async def test_what_is_refused_is_not_copied_and_a_copy_carries_no_key(
    tmp_path: Path, api: FakeApi, models: tuple[Model, Model]
) -> None:
    router = Router(tmp_path, api, has_comparer=True)
    for model in models:
        model.output = [0.25, 0.75]
        router.serve(model)
    api.readable_secrets.add("digits-keys")
    door = Door(router, models[0])
    door.put_keys(ci="secret")
    shadow = {"revision": CANDIDATE, "maxPairsPerSecond": 1000, "maxBodyBytes": MOST_BYTES}
    router.ask({STABLE: 100, CANDIDATE: 0}, access={"apiKeys": KEYS}, shadow=shadow)
    try:
        await router.start()
        await router.in_force({STABLE: 100, CANDIDATE: 0})
        router.start_comparer()
        body = json.dumps(JSON_REQUEST).encode()
        assert [(await post(router, body))[0] for _ in range(3)] == [401] * 3

        async def has_pairs() -> bool:
            status, _ = await post(router, body, **basic("ci", "secret"))
            assert status == 200
            found = await pairs_of(router)
            return found is not None and found.outcomes.ok_ok >= 5

        await until("allowed requests become pairs", has_pairs)
        found = await pairs_of(router)
        assert found is not None
        assert (found.outcomes.total, found.disagreed) == (found.outcomes.ok_ok, 0)
        copied = {name.lower() for seen in models[1].headers_seen for name in seen}
        assert copied.isdisjoint({"authorization", "x-slipway-key"})
    finally:
        router.stop()
