"""The application behind the page: what a browser may ask, and the answers."""

from __future__ import annotations

import asyncio
import base64
import getpass
import json
from collections.abc import AsyncIterator, Callable, Collection, Mapping
from concurrent.futures import Future
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import orjson
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.routing import Mount, Route, WebSocketRoute
from starlette.staticfiles import StaticFiles
from starlette.websockets import WebSocket, WebSocketDisconnect

from ..catalog import StoredCatalog, as_catalog
from ..documents import STATUSES
from ..errors import XTagValueError, hide_secrets
from ..frames import Roots
from ..model import DEFAULT_TAXONOMY, Tag
from ..review import MOST_TAGS, assign_keys
from ..view import GAP
from .desk import CorrectionDesk
from .frame_index import FrameIndex
from .frame_pictures import FramePictures
from .frame_query import ORDERS, WORDS
from .gate import Gate
from .live_app import live_routes, until_closed
from .live_feed import LiveFeed
from .news import News
from .replies import ForbiddenError, GoneError, MissingError, reply
from .run_frames import RunFrames
from .selections import Selection, Selections
from .thumbnail_store import Place, ThumbnailStore, thumbnail_file

__all__ = ["PageApp"]

_STATIC = Path(__file__).parent / "static"
_FIRST = 200  # rows that come with a selection
_ROWS = 500  # of one answer
_FOREVER = "private, max-age=31536000, immutable"


class PageApp:
    """The page of one catalogue, as an ASGI application.

    Parameters
    ----------
    catalog : CatalogOfBlueskyRuns, Container, Broker or Catalog
        The catalogue.
    place : str or Path
        The directory or address of the catalogue, which decides where thumbnails are kept.
    token : str
        What a browser must know.
    hosts : collection of str
        The names under which the page is served.
    read_only : bool
        Take no corrections.
    roots : Roots, optional
        Where the files must be that documents of stored runs name; anywhere if None.
    feed : LiveFeed, optional
        What the live page shows; there is none if None.
    """

    def __init__(
        self,
        catalog: StoredCatalog,
        place: str | Path,
        token: str,
        hosts: Collection[str],
        *,
        read_only: bool = False,
        roots: Roots | None = None,
        feed: LiveFeed | None = None,
    ) -> None:
        self.catalog = as_catalog(catalog)
        self.index = FrameIndex(self.catalog)
        self.news = News(self.index)
        self.pictures = FramePictures(self.catalog, ThumbnailStore(thumbnail_file(place)), roots)
        self.desk = CorrectionDesk(self.catalog, self.index, self.news.tell)
        self._name = hide_secrets(str(place))
        self._read_only = read_only
        self._has_live = feed is not None
        self._shelf = Selections()
        routes = [
            Route("/", self._page),
            Route("/api/about", self._answer(self._about)),
            Route("/api/state", self._answer(lambda _: self.news.state())),
            Route("/api/runs", self._answer(self._runs)),
            Route("/api/runs/{uid}", self._answer(self._run)),
            Route("/api/select", self._answer(self._select)),
            Route("/api/rows", self._answer(self._rows)),
            Route("/api/frames/{uid}/{position:int}", self._answer(self._frame)),
            Route("/api/frames/{uid}/{position:int}/pixels", self._pixels),
            Route("/api/frames/{uid}/{position:int}/polar", self._polar),
            Route("/thumbnails/{uid}/{position:int}", self._thumbnail),
            Route("/api/corrections", self._correct, methods=["POST"]),
            WebSocketRoute("/api/news", self._tell_news),
            *(live_routes(feed, has_catalog=True) if feed is not None else ()),
            Mount("/static", StaticFiles(directory=_STATIC)),
        ]
        inner = Starlette(routes=routes, lifespan=self._lifespan)
        inner.add_middleware(GZipMiddleware, minimum_size=1000, compresslevel=1)
        self._asgi = Gate(inner, token, hosts)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Handle a request as ASGI has it."""
        await self._asgi(scope, receive, send)

    def close(self) -> None:
        """Store what waits, and end all threads."""
        self.desk.close()
        self.news.close()
        self.pictures.close()

    @asynccontextmanager
    async def _lifespan(self, app: Starlette) -> AsyncIterator[None]:
        # A session that takes runs has better things to do than to read a catalogue that nobody looks at.
        self.news.start(at_once=not self._has_live)
        yield
        await run_in_threadpool(self.close)

    def _answer(self, make: Callable[[Request], Any]) -> Callable[[Request], Any]:
        """Return a handler that answers with JSON, made in a thread."""

        async def handle(request: Request) -> Response:
            return await reply(lambda: run_in_threadpool(make, request))

        return handle

    async def _page(self, request: Request) -> Response:
        return FileResponse(_STATIC / "index.html")

    # What the page shows

    def _about(self, request: Request) -> Mapping[str, Any]:
        colours = cv2.applyColorMap(np.arange(256, dtype=np.uint8)[:, None], cv2.COLORMAP_MAGMA)[:, 0, ::-1]
        names = list(dict.fromkeys([*DEFAULT_TAXONOMY.names, *self.index.columns().tags]))
        known = {tag.name: tag for tag in DEFAULT_TAXONOMY.tags}
        keys = assign_keys(names[:MOST_TAGS])
        tags = []
        for name in names:
            tag = known.get(name) or Tag(name, "", "")
            about = {"colour": tag.colour, "definition": tag.definition, "rank": tag.rank}
            tags.append({"name": name, "key": keys.get(name, ""), **about})
        return {
            "catalog": self._name,
            "person": _person(),
            "read_only": self._read_only,
            "live": self._has_live,
            "tags": tags,
            "statuses": STATUSES,
            "orders": ORDERS,
            "words": WORDS,
            "colours": base64.b64encode(np.ascontiguousarray(colours).tobytes()).decode(),
            "gap": GAP,
        }

    def _runs(self, request: Request) -> list[Mapping[str, Any]]:
        return [_describe(run) for run in self.index.columns().runs]

    def _run(self, request: Request) -> Mapping[str, Any]:
        run = self._known(request.path_params["uid"])
        tag = request.query_params.get("score", "")
        at = run.tags.index(tag) if tag in run.tags else None
        return {
            **_describe(run),
            "taxonomy": run.tags,
            "scores": [] if at is None else [_number(score) for score in run.scores[:, at].tolist()],
            "moved": {motor: [_number(value) for value in values.tolist()] for motor, values in run.moved.items()},
            "statuses": run.statuses.tolist(),
            "tags": [list(tags) for tags in run.accepted],
        }

    def _select(self, request: Request) -> Mapping[str, Any]:
        text, order = request.query_params.get("q", ""), request.query_params.get("order", "newest")
        columns = self.index.columns()
        name, selection = self._shelf.find(columns, text, order)
        return {
            "selection": name,
            "version": columns.version,
            "total": len(selection.run),
            "facets": selection.facets,
            "statuses": selection.statuses,
            **self._part(selection, 0, _FIRST),
        }

    def _rows(self, request: Request) -> Mapping[str, Any]:
        selection = self._shelf.get(request.query_params.get("selection", ""))
        if selection is None:
            raise GoneError("the selection is not kept any more: select again")
        start, count = (int(request.query_params.get(name, 0)) for name in ("start", "count"))
        return self._part(selection, max(start, 0), min(max(count, 0), _ROWS))

    def _part(self, selection: Selection, start: int, count: int) -> Mapping[str, Any]:
        """Return rows of a selection as they are now: after corrections, too."""
        runs = self.index.columns().runs
        names: dict[str, int] = {}
        rows = []
        part = slice(start, start + count)
        for number, position, value in zip(
            selection.run[part].tolist(), selection.position[part].tolist(), selection.value[part].tolist(), strict=True
        ):
            run = runs[number]
            tags = [names.setdefault(tag, len(names)) for tag in run.accepted[position]]
            person = "" if run.deciders[position] == "model" else run.deciders[position]
            status = int(run.statuses[position])
            rows.append([number, position, status, tags, person, None if value != value else round(value, 4)])
        return {"start": start, "tags": list(names), "rows": rows}

    def _frame(self, request: Request) -> Mapping[str, Any]:
        run, position = self._known(request.path_params["uid"]), request.path_params["position"]
        place = _place(run, position)
        said = [
            {"time": each.time, "by": each.by, "note": each.note, "added": each.added, "removed": each.removed}
            for each in run.said
            if (each.frame.key, each.frame.seq_num, each.frame.index) == place[1:]
        ]
        return {
            "run": _describe(run),
            "position": position,
            "row": run.row(position),
            "key": place[1],
            "seq_num": place[2],
            "index": place[3],
            "time": run.times[position],
            "status": STATUSES[run.statuses[position]] if run.statuses[position] >= 0 else "unknown",
            "scores": {tag: _number(score) for tag, score in zip(run.tags, run.scores[position].tolist(), strict=True)},
            "thresholds": dict(run.thresholds),
            "tags": list(run.accepted[position]),
            "decided_by": run.deciders[position],
            "moved": {motor: _number(float(values[position])) for motor, values in run.moved.items()},
            "said": said,
        }

    async def _pixels(self, request: Request) -> Response:
        return await self._binary(request, lambda run, place: self.pictures.pixels(place))

    async def _polar(self, request: Request) -> Response:
        return await self._binary(request, lambda run, place: self.pictures.polar(place, run.preparation))

    async def _thumbnail(self, request: Request) -> Response:
        # Not through a thread where it is kept already: a screen asks for a hundred.
        run = self.index.get(request.path_params["uid"])
        position = request.path_params["position"]
        if run is not None and 0 <= position < len(run):
            kept = self.pictures.kept(run.place(position))
            if kept is not None:
                return Response(kept, 200, {"Cache-Control": _FOREVER}, "image/webp")
        return await self._binary(request, lambda run, place: self.pictures.thumbnail(place), "image/webp")

    async def _binary(
        self,
        request: Request,
        make: Callable[[RunFrames, Place], Future[bytes]],
        kind: str = "application/octet-stream",
    ) -> Response:
        async def answer() -> Response:
            run = await run_in_threadpool(self._known, request.path_params["uid"])
            content = await asyncio.wrap_future(make(run, _place(run, request.path_params["position"])))
            return Response(content, 200, {"Cache-Control": _FOREVER}, kind)

        return await reply(answer)

    def _known(self, uid: str) -> RunFrames:
        """Return a run, which may be one that was not read yet."""
        found = self.index.get(uid)
        if found is None:
            try:
                found = self.index.read_again(uid)
            except KeyError:
                raise MissingError(f"there is no run {uid} with tags in this catalogue") from None
        return found

    # What people say

    async def _correct(self, request: Request) -> Response:
        async def answer() -> Any:
            if self._read_only:
                raise ForbiddenError("this page takes no corrections: it was started with --read-only")
            try:
                asked = json.loads(await request.body())
            except ValueError as error:
                raise XTagValueError("the request is not JSON") from error
            if not isinstance(asked, Mapping):
                raise XTagValueError("the request is not an object of JSON")
            # Stored also where the page is closed meanwhile.
            return {"stored": await asyncio.shield(asyncio.wrap_future(self.desk.take(asked)))}

        return await reply(answer)

    # What is new

    async def _tell_news(self, socket: WebSocket) -> None:
        await socket.accept()
        event = self.news.join()
        listening = asyncio.create_task(until_closed(socket))
        try:
            while True:
                event.clear()
                await socket.send_bytes(orjson.dumps(await run_in_threadpool(self.news.state)))
                changed = asyncio.create_task(event.wait())
                await asyncio.wait({changed, listening}, return_when=asyncio.FIRST_COMPLETED)
                if listening.done():
                    changed.cancel()
                    break
        except (WebSocketDisconnect, RuntimeError, OSError):
            pass  # the page is closed
        finally:
            listening.cancel()
            self.news.leave(event)


def _place(run: RunFrames, position: int) -> Place:
    if not 0 <= position < len(run):
        raise MissingError(f"run {run.uid} has no frame {position}")
    return run.place(position)


def _describe(run: RunFrames) -> dict[str, Any]:
    return {"uid": run.uid, "number": run.number, "frames": len(run), **run.about}


def _number(value: float) -> float | None:
    return None if value != value else float(value)


def _person() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a system without a name for its user
        return ""
