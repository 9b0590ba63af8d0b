"""Bluesky's 0MQ bus: messages of a prefix, a name and a document, which `bluesky-0MQ-proxy` passes on to all.

Bluesky's own dispatcher is not used: it ends when it meets a name that it does not know, prints what it cannot read,
and leaves out documents where more than 1000 wait.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from uuid import uuid4

from event_model import DocumentNames

from ...errors import XTagError, XTagValueError
from .wire_formats import WireFormat

__all__ = ["ZeroMQBus"]

logger = logging.getLogger("bluesky_xtag")

_LINGER = 2000  # milliseconds for what is still to be sent at the end
_HELLO = 0.05  # seconds between two
# A document without content, of a kind that every listener of Bluesky takes and that none makes any more.
_EMPTY = "bulk_events"
_AT_ONCE = 64  # documents, then the service looks at its rows


class ZeroMQBus:
    """A 0MQ proxy: documents come from its one address and go to its other one.

    Parameters
    ----------
    subscribe : str
        Where documents come from: ``host:port`` or ``tcp://host:port``, the second port of ``bluesky-0MQ-proxy``.
    publish : str
        Where documents go, its first port. The handshake needs it, too.
    wire : WireFormat
        How documents are written.
    prefix : str
        Take only messages of publishers with this prefix, and send with it; of all publishers if it is empty.
    curve : (str or Path, str or Path), optional
        Files of the client's secret key and of the proxy's public key, if the proxy uses CURVE.

    Raises
    ------
    XTagValueError
        An address or a key file cannot be used.
    """

    def __init__(
        self,
        subscribe: str,
        publish: str,
        wire: WireFormat,
        prefix: str = "",
        curve: tuple[str | Path, str | Path] | None = None,
    ) -> None:
        if " " in prefix:
            raise XTagValueError(f"the prefix {prefix!r} has a blank, which ends a prefix: leave it out")
        import zmq  # here, since most sessions have no bus
        from bluesky.callbacks.zmq import ClientCurve, Proxy

        self._wire, self._prefix = wire, prefix.encode()
        self._context = zmq.Context()
        self._context.linger = _LINGER
        self._context.rcvhwm = 0  # documents that wait are kept
        try:
            keys = None if curve is None else ClientCurve(Path(curve[0]), Path(curve[1]))
            self._in, _ = Proxy.configure_server_socket(self._context, zmq.SUB, subscribe, keys, bind=False)
            self._out, _ = Proxy.configure_server_socket(self._context, zmq.PUB, publish, keys, bind=False)
        except (OSError, ValueError, zmq.ZMQError) as error:
            self._context.destroy(linger=0)
            raise XTagValueError(
                f"the bus {subscribe}, {publish} cannot be used ({error}): give two addresses such as 127.0.0.1:5578"
            ) from error
        self._in.setsockopt(zmq.SUBSCRIBE, self._prefix)
        self._told: set[str] = set()
        self._early: list[tuple[str, dict[str, Any]]] = []
        self._subscribed, self._published = subscribe, publish

    def join(self, timeout: float) -> None:
        """Return once a message of its own has come back: from then on no document is missed."""
        mark = f"xtag {uuid4()}"
        end, next_hello = time.monotonic() + timeout, 0.0
        while time.monotonic() < end:
            if time.monotonic() >= next_hello:
                self.send(_EMPTY, {mark: []})
                next_hello = time.monotonic() + _HELLO
            for name, doc in self._receive(_HELLO):
                if name != _EMPTY:
                    self._early.append((name, doc))  # it may be the start of a run
                elif mark in doc:
                    return
        raise XTagError(
            f"the 0MQ bus does not answer within {timeout:g} s: what is sent to {self._published} does not come out of "
            f"{self._subscribed}. Is `bluesky-0MQ-proxy` running, and are these its first and its second port?"
        )

    def receive(self, timeout: float) -> Iterator[tuple[str, dict[str, Any]]]:
        """Yield the documents that have arrived; wait for the first, up to `timeout` seconds."""
        early, self._early = self._early, []
        yield from early
        for name, doc in self._receive(timeout):
            if name != _EMPTY:
                yield name, doc

    def send(self, name: str, doc: Mapping[str, Any]) -> None:
        """Send a document."""
        self._out.send(b" ".join([self._prefix, name.encode(), self._wire.dumps(doc)]))

    def close(self) -> None:
        """Send what waits, and leave."""
        self._context.destroy(linger=_LINGER)

    def _receive(self, timeout: float) -> Iterator[tuple[str, dict[str, Any]]]:
        for number in range(_AT_ONCE):
            if not self._in.poll(round(1000 * timeout) if number == 0 else 0):
                return
            document = self._read(self._in.recv())
            if document is not None:
                yield document

    def _read(self, message: bytes) -> tuple[str, dict[str, Any]] | None:
        prefix, _, rest = message.partition(b" ")
        kind, _, packed = rest.partition(b" ")
        if self._prefix and prefix != self._prefix:
            return None
        name = kind.decode(errors="replace")
        if name not in DocumentNames.__members__:
            self._say("kind", f"a message of the kind {name[:40]!r}, which is no document")
            return None
        try:
            doc = self._wire.loads(packed)
        except ValueError as error:
            self._say("format", f"a {name} document that is no {self._wire.name} ({error})")
            return None
        if not isinstance(doc, dict):
            self._say("map", f"a {name} document that is no map")
            return None
        return name, doc

    def _say(self, what: str, message: str) -> None:
        """Say a trouble once."""
        if what not in self._told:
            self._told.add(what)
            logger.warning(
                "on the bus %s came %s: it is passed over, and others of its kind. Give the publisher the serializer "
                "of the format %s",
                *(self._subscribed, message, self._wire.name),
            )
