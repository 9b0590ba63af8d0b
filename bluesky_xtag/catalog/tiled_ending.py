"""Lets Tiled end in this process: not before the requests that are under way are answered."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

__all__ = ["EndsAfterRequests"]

_LOOK = 0.01  # seconds between two looks
_LOOKS = 3000  # that the end waits: 30 s

_Message = MutableMapping[str, Any]
_Receive = Callable[[], Awaitable[_Message]]
_Send = Callable[[_Message], Awaitable[None]]


class EndsAfterRequests:
    """Middleware of an ASGI app: the app is told to shut down when no request is left; later ones are refused.

    An app in this process ends with its event loop. A request of another thread, such as that which stores a summary,
    does not survive that: its middleware waits for itself, and `catalog.context.close()` for it, for ever (Starlette
    1.10.0, anyio 4.16.0).

    Parameters
    ----------
    app : callable
        The app.
    """

    def __init__(self, app: Callable[[_Message, _Receive, _Send], Awaitable[None]]) -> None:
        self._app = app
        self._under_way = 0
        self._ends = False

    async def __call__(self, scope: _Message, receive: _Receive, send: _Send) -> None:
        """Pass a request on."""
        if scope["type"] == "lifespan":
            await self._app(scope, lambda: self._receive(receive), send)
        elif scope["type"] != "http":
            await self._app(scope, receive, send)
        elif self._ends:  # gone, not unavailable: Tiled's client would try again, for a minute
            await send({"type": "http.response.start", "status": 410, "headers": [(b"content-type", b"text/plain")]})
            await send({"type": "http.response.body", "body": b"the catalogue was closed"})
        else:
            self._under_way += 1
            try:
                await self._app(scope, receive, send)
            finally:
                self._under_way -= 1

    async def _receive(self, receive: _Receive) -> _Message:
        message = await receive()
        if message["type"] == "lifespan.shutdown":
            self._ends = True
            for _ in range(_LOOKS):  # a machine that stands still for a while has answered none meanwhile
                if not self._under_way:
                    break
                await asyncio.sleep(_LOOK)
        return message
