"""The live page as an ASGI application, and its routes for the page of a catalogue."""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import FileResponse, RedirectResponse, Response
from starlette.routing import BaseRoute, Mount, Route, WebSocketRoute
from starlette.staticfiles import StaticFiles
from starlette.websockets import WebSocket, WebSocketDisconnect

from .gate import Gate
from .live_feed import LiveFeed
from .replies import MissingError, reply

__all__ = ["LiveApp", "live_routes", "until_closed"]

_STATIC = Path(__file__).parent / "static"
_LOOK = 0.3  # seconds between two looks at what the RunEngine does
_FOREVER = "private, max-age=31536000, immutable"


class LiveApp:
    """The live page alone, for sessions without a catalogue, as an ASGI application.

    Parameters
    ----------
    feed : LiveFeed
        What it shows.
    token : str
        What a browser must know.
    hosts : collection of str
        The names under which the page is served.
    """

    def __init__(self, feed: LiveFeed, token: str, hosts: Collection[str]) -> None:
        routes = [
            Route("/", lambda request: RedirectResponse("live", 303)),
            *live_routes(feed, has_catalog=False),
            Mount("/static", StaticFiles(directory=_STATIC)),
        ]
        self._asgi = Gate(Starlette(routes=routes), token, hosts)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Handle a request as ASGI has it."""
        await self._asgi(scope, receive, send)


def live_routes(feed: LiveFeed, *, has_catalog: bool) -> list[BaseRoute]:
    """Return the routes of the live page.

    Parameters
    ----------
    feed : LiveFeed
        What it shows.
    has_catalog : bool
        Whether the frames of a catalogue are shown on another page.
    """

    async def page(request: Request) -> Response:
        return FileResponse(_STATIC / "live.html")

    async def about(request: Request) -> Response:
        async def answer() -> Any:
            return {**feed.about(), "catalog": has_catalog}

        return await reply(answer)

    async def picture(request: Request) -> Response:
        async def answer() -> Response:
            # The session is part of the address, so that a browser keeps no picture of another one.
            number, session = request.path_params["number"], request.path_params["session"]
            found = feed.pictures.get(number) if session == feed.log.session else None
            if found is None:
                raise MissingError("the picture is not kept any more")
            return Response(found, 200, {"Cache-Control": _FOREVER}, "image/webp")

        return await reply(answer)

    async def tell(socket: WebSocket) -> None:
        await _tell(feed, socket)

    return [
        Route("/live", page),
        Route("/api/live/about", about),
        Route("/api/live/pictures/{session}/{number:int}", picture),
        WebSocketRoute("/api/live/changes", tell),
    ]


async def _tell(feed: LiveFeed, socket: WebSocket) -> None:
    """Send a page what it misses, as fast as it takes it, until it goes."""
    asked = socket.query_params
    await socket.accept()
    event = feed.log.join()
    feed.pictures.wake()
    listening = asyncio.create_task(until_closed(socket))
    number = feed.log.start_of(asked.get("session", ""), _whole_number(asked.get("after", "")))
    try:
        while not listening.done():
            event.clear()
            found = feed.log.since(number)
            if found is None:
                number, whole = await run_in_threadpool(feed.log.whole)
                messages = [whole]
            else:
                number, messages = found
            for message in messages:
                await socket.send_bytes(message)
            changed = asyncio.create_task(event.wait())
            await asyncio.wait({changed, listening}, timeout=_LOOK, return_when=asyncio.FIRST_COMPLETED)
            changed.cancel()
            feed.look()
    except (WebSocketDisconnect, RuntimeError, OSError):
        pass  # the page is closed
    finally:
        listening.cancel()
        feed.log.leave(event)


async def until_closed(socket: WebSocket) -> None:
    """Wait until a page goes; what it says is ignored."""
    while (await socket.receive())["type"] != "websocket.disconnect":
        pass


def _whole_number(text: str) -> int:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 16 else -1
