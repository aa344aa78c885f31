"""The page's server: what the routes answer, and the run on a listening socket.

Pages are files of this package and carry nothing; all that is of the cluster comes by `/api/`,
with the token.
"""

import asyncio
import socket
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Protocol

import uvicorn
from anyio.to_thread import run_sync
from pydantic import ValidationError
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import FileResponse, Response, StreamingResponse
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from slipway.api.plain_text import printable
from slipway.cli.changes import Scope
from slipway.cli.cli_error import CliError, ExitCode
from slipway.cli.commands.actions import Wish, find_user, perform_action
from slipway.cli.main import ACTIONS
from slipway.cli.objects import ModelDeployment
from slipway.cli.session import Session, utc_now
from slipway.cli.views.next_steps import list_next_steps
from slipway.dashboard.fleet import Fleet, Key, Listener
from slipway.dashboard.guard import PageGuard
from slipway.dashboard.models import (
    ActionAnswer,
    ActionCall,
    ErrorAnswer,
    FleetUpdate,
    NextSteps,
    RolloutPage,
    Wire,
)
from slipway.dashboard.present import Background, has_moved_on, make_page
from slipway.dashboard.rights import RightsBook
from slipway.dashboard.watches import Watches

STATIC = Path(__file__).parent / "static"
CLOCK_SECONDS = 1.0
"""How often what happens next is told anew: it names times."""
PAUSE_SECONDS = 0.1
"""Between two updates of a page: a list of a thousand objects comes one by one."""
GONE, CONFLICT, UNPROCESSABLE = 404, 409, 422
STATUSES = {
    ExitCode.NOT_FOUND: GONE,
    ExitCode.REFUSED: CONFLICT,
    ExitCode.TIMEOUT: 504,
    ExitCode.ERROR: 502,
}


@dataclass(slots=True)
class DashboardPages:
    """One run: who looks, at what."""

    session: Session
    scope: Scope
    fleet: Fleet
    rights: RightsBook
    user: str = ""
    where: str = "all namespaces"

    async def introduce(self) -> None:
        """Find out who looks, and where: each takes a kubectl, and no page waits for it."""
        if not self.scope.everywhere:
            self.where = f"namespace {await run_sync(self.session.kubectl.namespace)}"
        self.user = await run_sync(find_user, self.session)
        self.fleet.wake_all()

    # pages

    async def page(self, request: Request) -> Response:
        """Answer with a page's frame."""
        is_rollout = "name" in request.path_params
        return FileResponse(STATIC / ("rollout.html" if is_rollout else "fleet.html"))

    # the table

    async def follow_fleet(self, _request: Request) -> Response:
        """Stream the table: all of it, then what changes."""
        return _stream(self._fleet_updates())

    async def _fleet_updates(self) -> AsyncGenerator[str]:
        with self.fleet.listen() as listener:
            yield _event("fleet", self._whole_fleet())
            while await self._has_news(listener):
                await asyncio.sleep(PAUSE_SECONDS)
                yield _event("fleet", self._changed_fleet(listener.take()))

    async def _has_news(self, listener: Listener) -> bool:
        await listener.wake.wait()
        return not self.fleet.is_closed

    def _whole_fleet(self) -> FleetUpdate:
        return FleetUpdate(
            rows=list(self.fleet.rows.values()),
            is_whole=True,
            outage=self.fleet.outage,
            scope=self.where,
            user=self.user,
        )

    def _changed_fleet(self, changed: set[Key]) -> FleetUpdate:
        rows = self.fleet.rows
        return FleetUpdate(
            rows=[rows[key] for key in sorted(changed) if key in rows],
            gone=[key for key in sorted(changed) if key not in rows],
            outage=self.fleet.outage,
            scope=self.where,
            user=self.user,
        )

    # one rollout

    async def follow_rollout(self, request: Request) -> Response:
        """Stream one ModelDeployment: all about it at every change, and every second what next."""
        key = request.path_params["namespace"], request.path_params["name"]
        if key not in self.fleet.objects:
            return _answer(ErrorAnswer(code=6, message=f"{'/'.join(key)} is not there"), GONE)
        return _stream(self._rollout_updates(key))

    async def _rollout_updates(self, key: Key) -> AsyncGenerator[str]:
        with self.fleet.listen(key) as listener:
            said = ""
            page = await self._page_of(key)
            while page is not None and not self.fleet.is_closed:
                yield _event("rollout", page)
                while not listener.wake.is_set():
                    told = _event("next", self._next_of(key))
                    if told != said:
                        said = told
                        yield told
                    await _wait(listener, CLOCK_SECONDS)
                await asyncio.sleep(PAUSE_SECONDS)
                listener.take()
                page = await self._page_of(key)
            if page is None:
                yield "event: gone\ndata: {}\n\n"

    async def _page_of(self, key: Key) -> RolloutPage | None:
        rights = await run_sync(self.rights.find, key[0])
        md = self.fleet.objects.get(key)
        if md is None:
            return None
        known = Background(
            self.fleet.tracks[key], self.fleet.events_of(md), self.fleet.events_note, rights
        )
        return make_page(md, known, partial(self.session.command_about, md), utc_now())

    def _next_of(self, key: Key) -> NextSteps:
        md = self.fleet.objects.get(key)
        if md is None:
            return NextSteps(next=[])
        command_line = partial(self.session.command_about, md)
        return NextSteps(
            next=list_next_steps(md, utc_now(), command_line), outage=self.fleet.outage
        )

    # actions

    async def act(self, request: Request) -> Response:
        """Do what the command line does for an action, and answer with what became of it."""
        try:
            call = ActionCall.model_validate_json(await request.body())
        except ValidationError as error:
            text = f"the request is not understood: {error.errors()[0]['msg']}"
            return _answer(ErrorAnswer(code=2, message=text), UNPROCESSABLE)

        md = self.fleet.objects.get((call.namespace, call.name))
        if md is None or call.verb not in ACTIONS:
            text = f"there is no {call.verb} of {call.namespace}/{call.name}"
            return _answer(ErrorAnswer(code=6, message=text), GONE)
        if has_moved_on(md, call.verb, call.position):
            text = "the rollout has moved on since the page showed it: look again, and repeat"
            return _answer(ErrorAnswer(code=5, message=text), CONFLICT)
        return await run_sync(self._perform, md, call)

    def _perform(self, md: ModelDeployment, call: ActionCall) -> Response:
        reason, argument = printable(call.reason).strip(), call.argument or None
        try:
            done = perform_action(self.session, md, Wish(call.verb, argument, reason))
        except CliError as error:
            answer = ErrorAnswer(code=int(error.code), message=error.message, hint=error.hint)
            return _answer(answer, STATUSES.get(error.code, 502))
        finally:
            self.rights.forget()
        by = f" by {done.by}" if done.by else ""
        return _answer(ActionAnswer(result=done.result, text=f"{done.verb}{by}: {done.result}"))


class Follows(Protocol):
    """What tells the fleet of changes, from its start to its stop."""

    def start(self) -> None:
        """Begin."""

    def stop(self) -> None:
        """End; nothing of it is left."""


def make_app(dashboard: DashboardPages, token: str, watches: Callable[[], Follows]) -> Starlette:
    """Return the application; `watches` makes the threads once its event loop runs."""

    @asynccontextmanager
    async def follow(_app: Starlette) -> AsyncIterator[None]:
        running = watches()
        running.start()
        introduction = asyncio.create_task(dashboard.introduce())
        try:
            yield
        finally:
            await introduction
            await run_sync(running.stop)

    return Starlette(
        routes=[
            Route("/", dashboard.page),
            Route("/rollouts/{namespace}/{name}", dashboard.page),
            Route("/api/fleet", dashboard.follow_fleet),
            Route("/api/rollouts/{namespace}/{name}", dashboard.follow_rollout),
            Route("/api/actions", dashboard.act, methods=["POST"]),
            Mount("/static", StaticFiles(directory=STATIC)),
        ],
        middleware=[Middleware(PageGuard, token=token)],
        lifespan=follow,
    )


class PageServer(uvicorn.Server):
    """A server that lets its open pages go when it ends: each holds a stream without end."""

    def __init__(self, config: uvicorn.Config, fleet: Fleet) -> None:
        super().__init__(config)
        self._fleet = fleet

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """End in order."""
        self._fleet.close()
        await super().shutdown(sockets)


def serve(session: Session, scope: Scope, token: str, listener: socket.socket) -> None:
    """Serve until a signal ends it.

    Raises:
        CliError: the ModelDeployments cannot be followed.

    """
    dashboard = DashboardPages(session, scope, Fleet(), RightsBook(session.kubectl))
    problems: list[CliError] = []

    def give_up(error: CliError) -> None:
        problems.append(error)
        server.should_exit = True

    def start_watches() -> Watches:
        return Watches(session, scope, dashboard.fleet, asyncio.get_running_loop(), give_up)

    app = make_app(dashboard, token, start_watches)
    config = uvicorn.Config(
        app,
        log_level="warning",
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=1,
        lifespan="on",
    )
    server = PageServer(config, dashboard.fleet)
    server.run(sockets=[listener])
    if problems:
        raise problems[0]


async def _wait(listener: Listener, seconds: float) -> None:
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await listener.wake.wait()


def _answer(value: Wire, status: int = 200) -> Response:
    text = value.model_dump_json(by_alias=True)
    return Response(text, status, media_type="application/json")


def _event(name: str, value: Wire) -> str:
    """Return a server-sent event; JSON of pydantic has no line breaks."""
    return f"event: {name}\ndata: {value.model_dump_json(by_alias=True)}\n\n"


def _stream(events: AsyncIterator[str]) -> Response:
    return StreamingResponse(events, media_type="text/event-stream")
