"""The agent as a process of its own, pointed at a fake API server by ``API_URL``."""

import asyncio
import logging
import os
import sys
from pathlib import Path

from slipway.agent.api_server import ApiServer
from slipway.agent.main import AgentSettings, run_agent, traces_from_environment
from slipway.agent.report import ProxyIdentity
from slipway.api.names import HOLDING_VARIABLE, LIVE_PORT_VARIABLE
from slipway.api.shadow_orders import COMPARER_VARIABLE
from slipway.render import envoy

LEAVE_SECONDS = 1
"""In the place of a production's time in which clients move away."""
POLL_VARIABLE = "POLL_TIMEOUT"
"""In the place of the day after which Envoy gives a poll up that was never answered."""

if __name__ == "__main__":
    logging.basicConfig(stream=sys.stderr, level=os.environ.get("LOG_LEVEL", "WARNING"))
    envoy.POLL_TIMEOUT = os.environ.get(POLL_VARIABLE, envoy.POLL_TIMEOUT)
    asyncio.run(
        run_agent(
            AgentSettings(
                proxy=ProxyIdentity(os.environ["POD_NAME"], os.environ["POD_UID"]),
                namespace=os.environ["POD_NAMESPACE"],
                directory=Path(os.environ["XDS_DIRECTORY"]),
                port=int(os.environ["AGENT_PORT"]),
                server=ApiServer(os.environ["API_URL"]),
                has_comparer=os.environ.get(COMPARER_VARIABLE) == "true",
                can_hold=os.environ.get(HOLDING_VARIABLE) == "true",
                live_port=int(os.environ[LIVE_PORT_VARIABLE]),
                leave_seconds=LEAVE_SECONDS,
                traced=traces_from_environment(),
            )
        )
    )
