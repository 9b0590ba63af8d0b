"""Serves the page: in the foreground for `xtag web`, or in a thread of a session."""

from __future__ import annotations

import logging
import os
import socket
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import XTagError, XTagValueError

if TYPE_CHECKING:
    import uvicorn

    from ..catalog import Catalog, StoredCatalog
    from ..frames import NamedRoots
    from ..tagger import Tagger
    from .live_feed import LiveFeed

__all__ = ["PageServer", "open_live", "open_page"]

_PORTS = 50  # that are tried, where none is named
_FIRST = 8620
_LOOPBACK = ("127.0.0.1", "localhost", "::1")
_START = 60.0  # seconds
_GRACE = 3  # seconds for answers that are on their way when the server ends


class PageServer:
    """A web server with the page of a catalogue.

    Parameters
    ----------
    catalog : CatalogOfBlueskyRuns, Container or Broker, optional
        The catalogue, of Tiled or databroker. Without it, only the live page is served.
    place : str or Path, optional
        Its directory or address. Thumbnails are kept next to an embedded catalogue if its directory is given, else in
        the user's cache.
    host : str
        The address of this machine at which it listens: by default only programs of this machine reach it.
    port : int, optional
        The port; the first free one from 8620 on if None.
    allow_hosts : sequence of str
        More names under which browsers reach the page, such as that of a proxy.
    token : str, optional
        What a browser must know. If None, the environment variable XTAG_WEB_TOKEN, else a new one.
    read_only : bool
        Take no corrections.
    roots : str, Path or an iterable of these, optional
        Directories below which files may be read, as in `bluesky_xtag.replay.replay`: pixels of
        other frames are not shown. Thumbnails that were made before are.
        If None, all files are read.
    feed : LiveFeed, optional
        What the live page shows. Without it there is no live page.

    Raises
    ------
    XTagValueError
        A package is missing, the token is too short, a root is not a directory, or there is nothing to show.
    XTagError
        There is no free port.
    """

    def __init__(
        self,
        catalog: StoredCatalog | Catalog | None = None,
        place: str | Path | None = None,
        *,
        host: str = "127.0.0.1",
        port: int | None = None,
        allow_hosts: tuple[str, ...] = (),
        token: str | None = None,
        read_only: bool = False,
        roots: NamedRoots = None,
        feed: LiveFeed | None = None,
    ) -> None:
        check_packages()
        import uvicorn

        from ..catalog import as_catalog
        from ..frames import Roots
        from .gate import new_token
        from .live_app import LiveApp
        from .page_app import PageApp

        if catalog is None and feed is None:
            raise XTagValueError("a page needs a catalogue, or a feed of what is taken now")
        allowed = Roots.of(roots)
        token = token or os.environ.get("XTAG_WEB_TOKEN") or new_token()
        if len(token) < 16:
            raise XTagValueError("a token of fewer than 16 characters can be guessed: give a longer one, or none")
        self._socket = _listen(host, port)
        self.port: int = self._socket.getsockname()[1]
        names = {*_LOOPBACK, host, *allow_hosts}
        if host not in _LOOPBACK:
            names |= {socket.gethostname(), socket.getfqdn()}
        shown = host if host not in ("0.0.0.0", "::") else socket.getfqdn()
        self.address = f"http://{f'[{shown}]' if ':' in shown else shown}:{self.port}/"
        self.link = f"{self.address}?token={token}"
        """The address with the token, for a browser."""
        self.live_link = f"{self.address}live?token={token}"
        """The same for the live page."""
        self.app: Any
        if catalog is not None:
            kept = place or as_catalog(catalog).name
            self.app = PageApp(catalog, kept, token, names, read_only=read_only, roots=allowed, feed=feed)
        else:
            assert feed is not None
            self.app = LiveApp(feed, token, names)
        config = uvicorn.Config(
            self.app,
            log_level="warning",
            access_log=False,
            ws="websockets-sansio",
            ws_max_size=4096,
            ws_per_message_deflate=False,  # each page would be compressed for by itself
            timeout_graceful_shutdown=_GRACE,
            server_header=False,
        )
        self._server = uvicorn.Server(config)
        self._thread: threading.Thread | None = None
        self.feed = feed

    @property
    def is_open(self) -> bool:
        """Whether the server of `start` still serves."""
        return self._thread is not None and self._thread.is_alive() and not self._server.should_exit

    def run(self) -> None:
        """Serve until the process is told to end."""
        self._server.run(sockets=[self._socket])

    def start(self) -> None:
        """Serve in a thread. Return when the page can be opened; XTagError if it cannot."""
        self._thread = threading.Thread(target=self.run, name="xtag-web", daemon=True)
        self._thread.start()
        _wait_until_started(self._server, self._thread)

    def close(self) -> None:
        """End the server of `start`; what pages sent is stored first."""
        self._server.should_exit = True
        if self._thread is not None:
            self._thread.join(30)
        if self.feed is not None:
            self.feed.close()


def open_live(tagger: Tagger, **options: Any) -> PageServer:
    """Serve a page on which the runs of a tagger are seen while they are taken, and print its address.

    ``tagger.web()`` does so once for a tagger. The server has a thread of its own in this session.

    Parameters
    ----------
    tagger : Tagger
        The tagger. If it knows a catalogue, the page also shows the frames of that.
    **options
        As for `PageServer`.

    Returns
    -------
    PageServer
        End it with `close()`. It also ends with `tagger.uninstall()` and with the session.
    """
    check_packages()
    from .live_feed import LiveFeed

    server = PageServer(tagger.catalog, feed=LiveFeed(tagger), **options)
    server.start()
    tagger.closing.callback(server.close)
    print(f"The live page is at {server.live_link}")
    return server


def open_page(catalog: StoredCatalog, place: str | Path | None = None, **options: Any) -> PageServer:
    """Serve the page of a catalogue from this session, and print its address.

    Parameters
    ----------
    catalog, place, **options
        As for `PageServer`.

    Returns
    -------
    PageServer
        End it with `close()`. It also ends with the session.
    """
    server = PageServer(catalog, place, **options)
    server.start()
    print(f"The page is at {server.link}")
    return server


def _wait_until_started(server: uvicorn.Server, thread: threading.Thread) -> None:
    ended = threading.Event()
    for _ in range(int(_START / 0.02)):
        if server.started:
            return
        if not thread.is_alive():
            break
        ended.wait(0.02)
    raise XTagError("the server of the page did not start: see the log")


def check_packages() -> None:
    """Raise XTagValueError if a package is missing that serves the page."""
    try:
        import orjson  # noqa: F401
        import starlette  # noqa: F401
        import uvicorn  # noqa: F401
        import websockets  # noqa: F401
    except ImportError as error:
        raise XTagValueError(f'the page needs more packages ({error}): pip install "bluesky_xtag[web]"') from error


def _listen(host: str, port: int | None) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    problem: Any = None
    for each in range(_FIRST, _FIRST + _PORTS) if port is None else (port,):
        listener = socket.socket(family, socket.SOCK_STREAM)
        try:
            if sys.platform != "win32":
                listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind((host, each))
            listener.listen(128)
        except OSError as error:
            listener.close()
            problem = error
            continue
        return listener
    logging.getLogger("bluesky_xtag").debug("no port: %s", problem)
    raise XTagError(f"the page cannot be served at {host}, port {port or f'{_FIRST} and the next {_PORTS}'}: {problem}")
