"""Who may use the page: a token, the right host and origin, and what a browser may load."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Collection
from http.cookies import SimpleCookie
from urllib.parse import parse_qs, urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse, RedirectResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

__all__ = ["Gate", "new_token"]

_LARGEST = 4 * 2**20  # bytes of a request
_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; connect-src 'self'; "
        "manifest-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}
_READS = ("GET", "HEAD")


def new_token() -> str:
    """Return a token that nobody can guess."""
    return secrets.token_urlsafe(24)


class Gate:
    """Lets requests through that may come in, and sets the headers of all answers.

    - The token comes once in the address (``?token=...``), or in the header ``Authorization: Bearer``. That in the
      address is exchanged for a cookie that scripts cannot read and other sites cannot send.
    - The host must be one of those known, so that no other name can be pointed at this machine (DNS rebinding).
    - A request that changes something, or opens a websocket, must come from the page itself: its origin is this host.

    Parameters
    ----------
    app : ASGIApp
        The application behind the gate.
    token : str
        The token.
    hosts : collection of str
        Host names, without ports; any if it holds "*".
    """

    def __init__(self, app: ASGIApp, token: str, hosts: Collection[str]) -> None:
        self._app = app
        self._token = token
        # Browsers share cookies between the ports of a machine, where several pages may be served.
        self._cookie = f"xtag_{hashlib.sha256(token.encode()).hexdigest()[:12]}"
        self._hosts = {host.lower() for host in hosts}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle a request as ASGI has it."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        problem = self._problem(scope, headers)
        if scope["type"] == "websocket":
            if problem or not self._is_known(headers):
                await receive()
                await send({"type": "websocket.close", "code": 1008, "reason": "not allowed"})
                return
            await self._app(scope, receive, send)
            return

        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                answer = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    answer.setdefault(name, value)
                answer.setdefault("Cache-Control", "no-store")
            await send(message)

        if problem:
            await PlainTextResponse(problem, 403)(scope, receive, send_guarded)
            return
        given = parse_qs(scope["query_string"].decode("latin-1")).get("token", [""])[0]
        if given and self._is_token(given) and scope["method"] in _READS:
            # A relative address, so that the page also works below another path.
            answer = RedirectResponse(scope["path"].rsplit("/", 1)[-1] or "./", 303)
            answer.set_cookie(
                self._cookie, self._token, httponly=True, samesite="strict", path="/", secure=scope["scheme"] == "https"
            )
            await answer(scope, receive, send_guarded)
            return
        if not self._is_known(headers):
            text = "This page needs the address that `xtag web` printed, with its token."
            await PlainTextResponse(text, 401)(scope, receive, send_guarded)
            return
        await self._app(scope, receive, send_guarded)

    def _problem(self, scope: Scope, headers: Headers) -> str:
        """Return why a request must not come in whoever sent it; "" if it may."""
        host = headers.get("host", "")
        name = (urlsplit(f"//{host}").hostname or "").lower()
        if "*" not in self._hosts and name not in self._hosts:
            return f"The page is not served under this name. Name it with --allow-host {printable_host(name)}"
        changes = scope["type"] == "websocket" or scope["method"] not in _READS
        if changes:
            origin = urlsplit(headers.get("origin", ""))
            if origin.netloc.lower() != host.lower() or origin.scheme not in ("http", "https"):
                return "The request does not come from the page."
        if scope["type"] == "http" and scope["method"] not in _READS:
            if headers.get("content-type", "").partition(";")[0] != "application/json":
                return "Only JSON is taken."
            length = headers.get("content-length", "")
            if not length.isdigit() or int(length) > _LARGEST:
                return "The request is too large."
        return ""

    def _is_known(self, headers: Headers) -> bool:
        cookie = SimpleCookie()
        try:
            cookie.load(headers.get("cookie", ""))
        except Exception:  # noqa: BLE001 - a cookie of another page that is none
            return False
        given = cookie[self._cookie].value if self._cookie in cookie else ""
        scheme, _, bearer = headers.get("authorization", "").partition(" ")
        return self._is_token(given) or (scheme.lower() == "bearer" and self._is_token(bearer.strip()))

    def _is_token(self, given: str) -> bool:
        return hmac.compare_digest(given.encode(), self._token.encode())


def printable_host(name: str) -> str:
    """Return a host name for a message, without anything that is none."""
    return "".join(letter for letter in name if letter.isalnum() or letter in "-.:")[:253] or "NAME"
