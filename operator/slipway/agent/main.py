"""The router agent's process: composition, signals, and the order of start and end.

The first SIGTERM only begins the drain. The pod's preStop hook sends it, because a native sidecar
gets the kubelet's own signal only after Envoy is gone. The second signal, or Envoy's end, ends the
process. The xDS directory is shared with Envoy and outlives this process.
"""

import asyncio
import contextlib
import logging
import signal
import sys
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from os import environ
from pathlib import Path

from aiohttp import web
from pydantic import ValidationError

from slipway.agent.access import Callers
from slipway.agent.admin import Admin, EnvoyGone, EnvoyUnavailable
from slipway.agent.api_server import ApiServer, ApiServerClient
from slipway.agent.conductor import Conductor
from slipway.agent.credentials import CERTIFICATES_FILE, Credentials
from slipway.agent.departure import Departure
from slipway.agent.desired import DesiredRoute
from slipway.agent.discovery import Discovery, serve_discovery
from slipway.agent.doubts import Doubts, PodReader
from slipway.agent.endpoints import parse_slice
from slipway.agent.files import Files
from slipway.agent.follow import NameFollower
from slipway.agent.health import Health
from slipway.agent.holding import Holding
from slipway.agent.key_sets import KeySetReader, KeySets
from slipway.agent.listen_address import choose_listen_address
from slipway.agent.pods import read_addresses
from slipway.agent.report import ProxyIdentity, Reporter
from slipway.agent.secrets import Secrets
from slipway.agent.server import AgentServer
from slipway.agent.shadows import Shadows
from slipway.api.base import Manifest
from slipway.api.kinds import CONFIG_MAP, ENDPOINT_SLICE, MODEL_ROUTE
from slipway.api.names import AGENT_PORT, HOLDING_VARIABLE, LIVE_PORT_VARIABLE
from slipway.api.shadow_orders import COMPARER_VARIABLE
from slipway.errors import SettingsError
from slipway.render import envoy
from slipway.render.departure import LEAVE_SECONDS
from slipway.render.traces import ENDPOINT_VARIABLE, PERCENT_VARIABLE, RouterTraces

log = logging.getLogger(__name__)

DEFAULT_DIRECTORY = "/xds"
LOOK_FOR_ENVOY_SECONDS = 0.5
POLL_BACKLOG = 4096
"""Envoy polls for all its clusters at once when the agent comes back."""


@dataclass(frozen=True, slots=True)
class AgentSettings:
    """Where this agent runs."""

    proxy: ProxyIdentity
    namespace: str
    directory: Path
    port: int
    server: ApiServer
    has_comparer: bool = False
    """Whether a comparer runs beside it."""
    can_hold: bool = False
    """Whether its Envoy was started with what holding requests takes."""
    live_port: int | None = None
    """Where its Envoy answers the kubelet; None: nowhere."""
    leave_seconds: float = LEAVE_SECONDS
    """How long its Envoy serves on at least when the pod is ending."""
    traced: RouterTraces | None = None
    """Where the spans of its Envoy go; None: it traces nothing."""


def settings_from_environment() -> AgentSettings:
    """Read the settings that the pod's specification sets.

    Raises:
        SettingsError: a variable is missing; the message names it.

    """
    try:
        return AgentSettings(
            proxy=ProxyIdentity(environ["POD_NAME"], environ["POD_UID"]),
            namespace=environ["POD_NAMESPACE"],
            directory=Path(environ.get("XDS_DIRECTORY", DEFAULT_DIRECTORY)),
            port=int(environ.get("AGENT_PORT", AGENT_PORT)),
            server=ApiServer.in_cluster(),
            has_comparer=environ.get(COMPARER_VARIABLE) == "true",
            can_hold=environ.get(HOLDING_VARIABLE) == "true",
            live_port=int(environ[LIVE_PORT_VARIABLE]) if LIVE_PORT_VARIABLE in environ else None,
            traced=traces_from_environment(),
        )
    except KeyError as error:
        raise SettingsError(f"environment variable {error.args[0]} is missing") from error


def traces_from_environment() -> RouterTraces | None:
    """Read where spans go; None: nowhere.

    Raises:
        KeyError: there is an address, and another variable is missing.

    """
    endpoint = environ.get(ENDPOINT_VARIABLE, "")
    if not endpoint:
        return None
    return RouterTraces(
        endpoint=endpoint,
        sampling_percent=float(environ[PERCENT_VARIABLE]),
        namespace=environ["POD_NAMESPACE"],
        pod=environ["POD_NAME"],
    )


class Agent:
    """All parts of a running agent."""

    def __init__(self, settings: AgentSettings) -> None:
        self._settings = settings
        self._api_server = ApiServerClient(settings.server, settings.namespace, settings.proxy.name)
        self._admin = Admin(settings.directory / envoy.ADMIN_SOCKET)
        self._discovery = Discovery()
        self._files = Files(settings.directory)

        self._secrets = Secrets(self._api_server, self._wake)
        kept = settings.directory / CERTIFICATES_FILE
        self._credentials = Credentials(self._secrets, settings.namespace, kept, _utc_now)

        self._key_reader = KeySetReader(self._api_server.read_key_set)
        self._access_secrets = Secrets(self._api_server, self._wake)
        self._config_maps = Secrets(self._api_server, self._wake, CONFIG_MAP)
        self._key_sets = KeySets(self._key_reader.read, self._wake)
        self._callers = Callers(self._access_secrets, self._config_maps, self._key_sets)

        shared = settings.directory if settings.has_comparer else None
        self._shadows = Shadows(settings.proxy.name, shared)
        self._reporter = Reporter(settings.proxy, self._api_server.apply_status, _utc_now)
        self._holding = Holding(self._note_asked, is_possible=settings.can_hold)
        self._pod_reader = PodReader()
        self._doubts = Doubts(self._pod_reader.is_ready, self._wake)
        self._conductor = Conductor(
            self._files,
            self._discovery,
            self._admin,
            self._reporter,
            self._credentials,
            callers=self._callers,
            shadows=self._shadows,
            holding=self._holding,
            doubts=self._doubts,
            clock=time.monotonic,
            listen_on=choose_listen_address(),
            traced=settings.traced,
        )
        self._departure = Departure(self._admin, leave_seconds=settings.leave_seconds)
        self._health = Health(self._conductor, self._admin, self._departure)
        self._server = AgentServer(
            settings.proxy.name,
            self._conductor,
            self._admin,
            self._health,
            _utc_now,
            departure=self._departure,
            shadows=self._shadows,
            holding=self._holding,
        )
        self._followers = (
            NameFollower(
                self._api_server,
                MODEL_ROUTE,
                put=self._put_route,
                remove=self._conductor.remove_route,
            ),
            NameFollower(
                self._api_server, ENDPOINT_SLICE, put=self._put_slice, remove=self._remove_slice
            ),
        )

        self._terminated = asyncio.Event()
        self._terminated_again = asyncio.Event()

    def terminate(self) -> None:
        """Begin the drain; the second call ends the process."""
        (self._terminated_again if self._terminated.is_set() else self._terminated).set()

    async def run(self) -> None:
        """Run until the end."""
        self._health.inherited = await self._admin.is_live()
        if not self._health.inherited:
            bootstrap = envoy.render_bootstrap(
                str(self._settings.directory),
                self._settings.proxy.name,
                counts_denials=True,
                has_comparer=self._settings.has_comparer,
                can_hold=self._settings.can_hold,
                live_on=self._live_address(),
                traced=self._settings.traced,
            )
            self._files.replace(envoy.BOOTSTRAP_FILE, bootstrap)

        async with contextlib.AsyncExitStack() as stack:
            await self._listen(stack)
            async with asyncio.TaskGroup() as tasks:
                running = [tasks.create_task(each.run()) for each in self._followers]
                running.append(tasks.create_task(self._conduct()))
                running.append(tasks.create_task(self._shadows.run(self._conductor.wake)))
                await self._terminated.wait()
                await self._drain()

                for task in running:
                    task.cancel()
            # Last: until here the operator waits for this proxy to acknowledge each weight.
            await self._reporter.retract()

    def _live_address(self) -> envoy.Address | None:
        port = self._settings.live_port
        return None if port is None else (choose_listen_address(), port)

    async def _conduct(self) -> None:
        for follower in self._followers:
            await follower.listed.wait()
        if self._health.inherited:
            await self._inherit_pods()
        await self._conductor.run()

    async def _inherit_pods(self) -> None:
        try:
            self._doubts.inherit(read_addresses(await self._admin.hosts()))
        except EnvoyUnavailable as error:
            log.warning("which pods were ready is not known: %s", error)

    async def _drain(self) -> None:
        """Wait until Envoy is gone; meanwhile the conductor still follows the weights.

        An Envoy that is too busy to answer may still have requests in flight.
        """
        log.info("draining")
        self._departure.begin()
        try:
            await self._ask_to_leave()
            while not self._terminated_again.is_set():
                await self._look_for_envoy()
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(LOOK_FOR_ENVOY_SECONDS):
                        await self._terminated_again.wait()
        except EnvoyGone as error:
            log.info("the drain is over: %s", error)

    async def _ask_to_leave(self) -> None:
        try:
            await self._admin.drain()
        except EnvoyGone:
            raise
        except EnvoyUnavailable as error:
            log.warning("Envoy does not begin to drain: %s", error)

    async def _look_for_envoy(self) -> None:
        try:
            await self._admin.observe()
        except EnvoyGone:
            raise
        except EnvoyUnavailable as error:
            log.debug("Envoy is busy: %s", error)

    def _put_route(self, manifest: Manifest) -> None:
        try:
            self._conductor.put_route(DesiredRoute.parse(manifest, self._settings.proxy.uid))
        except (ValidationError, KeyError) as error:
            log.warning("skipping ModelRoute %s: %s", manifest["metadata"]["name"], error)

    def _wake(self) -> None:
        self._conductor.wake()

    def _note_asked(self, route: str, at: datetime) -> None:
        self._reporter.report_asked(route, at)

    def _put_slice(self, manifest: Manifest) -> None:
        self._conductor.put_slice(manifest["metadata"]["name"], parse_slice(manifest))

    def _remove_slice(self, name: str) -> None:
        self._conductor.put_slice(name, None)

    async def _listen(self, stack: contextlib.AsyncExitStack) -> None:
        stack.push_async_callback(self._admin.close)
        stack.push_async_callback(self._api_server.close)
        stack.push_async_callback(self._key_reader.close)
        stack.push_async_callback(self._pod_reader.close)
        followers = (self._secrets, self._access_secrets, self._config_maps, self._key_sets)
        for each in (*followers, self._doubts):
            stack.push_async_callback(each.close)

        socket = str(self._settings.directory / envoy.ENDPOINTS_SOCKET)
        application = serve_discovery(
            self._discovery, self._credentials.discovery, self._callers.page, self._holding.answer
        )
        endpoints = await _start_runner(stack, application, ends_with_client=True)
        await web.UnixSite(endpoints, socket, backlog=POLL_BACKLOG).start()

        public = await _start_runner(stack, self._server.application())
        await web.TCPSite(public, port=self._settings.port).start()


async def _start_runner(
    stack: contextlib.AsyncExitStack,
    application: web.Application,
    *,
    ends_with_client: bool = False,
) -> web.AppRunner:
    runner = web.AppRunner(
        application,
        access_log=None,
        shutdown_timeout=0.1,
        handler_cancellation=ends_with_client,
    )
    await runner.setup()
    stack.push_async_callback(runner.cleanup)
    return runner


def _utc_now() -> datetime:
    return datetime.now(UTC)


async def run_agent(settings: AgentSettings) -> None:
    """Run an agent until a signal ends it."""
    agent = Agent(settings)
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, agent.terminate)
    await agent.run()


def main() -> int:
    """Run the router agent until its pod ends; return the exit code."""
    logging.basicConfig(
        stream=sys.stderr,
        level=environ.get("LOG_LEVEL", "INFO"),
        format="%(asctime)s %(levelname)s %(name)s %(message)s",
    )
    try:
        asyncio.run(run_agent(settings_from_environment()))
    except SettingsError as error:
        log.critical("%s", error)
        return 1
    return 0
