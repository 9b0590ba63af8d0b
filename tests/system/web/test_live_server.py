"""The live page's server: whom it serves, what it tells, and that a scan never waits for it."""

import socket
import time
from contextlib import ExitStack

import bluesky.plans as bp
import httpx
import orjson
import pytest
from ophyd.sim import motor
from support.detectors import ArrayDetector, numbered
from support.live_pages import LivePage
from support.pages import TOKEN
from websockets.exceptions import ConnectionClosed, InvalidHandshake
from websockets.sync.client import connect

from bluesky_xtag import XTagError, XTagValueError
from bluesky_xtag.web import PageServer


@pytest.fixture
def tagger(tag):
    return tag(deadline=60.0)


@pytest.fixture
def server(tagger):
    made = tagger.web(token=TOKEN)
    yield made
    made.close()


@pytest.fixture
def det():
    return ArrayDetector(numbered())


def line(server, session="", after=0, **options):
    """A page's websocket."""
    address = server.address.replace("http", "ws") + f"api/live/changes?session={session}&after={after}"
    headers = {"Authorization": f"Bearer {TOKEN}"} | options.pop("headers", {})
    origin = options.pop("origin", server.address.rstrip("/"))
    return connect(address, origin=origin, additional_headers=headers, ping_interval=None, **options)


def hear(page, socket, is_so, seconds=30):
    """Take messages until something is so."""
    deadline = time.monotonic() + seconds
    while not is_so(page):
        page.take(orjson.loads(socket.recv(timeout=max(deadline - time.monotonic(), 0.01))))
    return page


def has_ended(page):
    return bool(page.runs) and page.run()["about"]["ended"] is not None


def test_the_session_prints_the_address_once_for_each_page(tagger, capsys):
    server = tagger.web()
    said = capsys.readouterr().out.split()[-1]
    assert said == server.live_link and "/live?token=" in said
    assert tagger.web() is server and capsys.readouterr().out.split()[-1] == said
    with httpx.Client(follow_redirects=True) as client:
        answer = client.get(said)
        assert answer.status_code == 200 and "Map of the run" in answer.text and "token" not in str(answer.url)
        assert client.get(server.address).url.path == "/live"  # there is no catalogue to browse
    server.close()
    another = tagger.web()
    assert another is not server
    tagger.uninstall()
    with pytest.raises(httpx.ConnectError):
        httpx.get(another.address)


def test_only_the_page_itself_hears_of_the_scan(server):
    for path in ("live", "api/live/about", "api/live/pictures/x/1", "static/live.js"):
        assert httpx.get(server.address + path).status_code == 401
    for options in (
        {"headers": {"Authorization": "Bearer wrong"}},
        {"origin": "http://evil.example"},
        {"origin": None},
    ):
        with pytest.raises(InvalidHandshake):
            line(server, **options)
    answer = httpx.get(f"{server.address}live", headers={"Authorization": f"Bearer {TOKEN}"})
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    with line(server) as socket:
        assert orjson.loads(socket.recv(timeout=10))["whole"]


def test_a_scan_is_told_and_its_newest_frame_can_be_seen(RE, server, det):
    page = LivePage(None)
    with line(server) as socket:
        RE(bp.scan([det], motor, 1, 4, 4))
        hear(page, socket, has_ended)
        hear(page, socket, lambda page: page.messages[-1]["picture"] is not None)
    assert page.where() == [(1,), (2,), (3,), (4,)] and page.tags() == [["ring"]] * 4
    assert page.around["capacity"] == 64 and page.around["left_out"] == 0
    picture = page.messages[-1]["picture"]
    headers = {"Authorization": f"Bearer {TOKEN}"}
    address = f"{server.address}api/live/pictures/{page.session}/{picture['number']}"
    answer = httpx.get(address, headers=headers)
    assert answer.status_code == 200 and answer.content[8:12] == b"WEBP"
    assert httpx.get(address.replace(page.session, "another"), headers=headers).status_code == 404


def test_a_page_that_lost_its_line_gets_only_what_it_missed(RE, server, det):
    page = LivePage(None)
    with line(server) as socket:
        RE(bp.count([det], 2))
        hear(page, socket, has_ended)
    RE(bp.count([det], 3))
    with line(server, page.session, page.number) as socket:
        hear(page, socket, lambda page: len(page.runs) == 2 and has_ended(page))
    assert page.wholes == 1 and page.states() == ["ok"] * 3
    with line(server, "another", page.number) as socket:
        page.take(orjson.loads(socket.recv(timeout=10)))
    assert page.wholes == 2 and len(page.runs) == 2


def test_pages_that_are_slow_or_go_in_the_middle_cost_the_scan_nothing(RE, seen, server, det):
    """Ten pages: eight that read, one that never does, and one that is cut off while the scan runs."""
    raw = socket.create_connection(("127.0.0.1", server.port))
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    pages = [LivePage(None) for _ in range(8)]
    with ExitStack() as stack:
        lines = [stack.enter_context(line(server)) for _ in pages]
        stack.enter_context(line(server, sock=raw, max_queue=1, close_timeout=0.1))
        gone = stack.enter_context(line(server))
        cut = iter([gone.socket])

        def cut_off(name, doc):
            if name == "event" and doc["seq_num"] == 5:
                for each in cut:
                    each.shutdown(socket.SHUT_RDWR)

        RE(bp.scan([det], motor, 1, 200, 200), cut_off)
        seen.assert_scan_went_well(200)
        for page, each in zip(pages, lines, strict=True):
            hear(page, each, has_ended)
            assert page.states() == ["ok"] * 200
        with pytest.raises((ConnectionClosed, OSError)):
            while True:
                gone.recv(timeout=5)


def test_next_to_a_catalogue_both_pages_are_served_and_nothing_is_read_before_somebody_looks(RE, catalog, tag, det):
    tagger = tag(catalog=catalog, deadline=60.0)
    server = tagger.web(token=TOKEN)
    try:
        RE(bp.count([det], 2))
        with httpx.Client(base_url=server.address, headers={"Authorization": f"Bearer {TOKEN}"}, timeout=60) as client:
            assert client.get("/live").status_code == 200 and "Search frames" in client.get("/").text
            assert client.get("/api/about").json()["live"] and client.get("/api/live/about").json()["catalog"]
            assert client.get("/api/state").json()["runs"] == 0
            address = server.address.replace("http", "ws") + "api/news"
            headers = {"Authorization": f"Bearer {TOKEN}"}
            with connect(address, origin=server.address.rstrip("/"), additional_headers=headers):  # a page with frames
                deadline = time.monotonic() + 60
                while client.get("/api/state").json()["loading"]:
                    assert time.monotonic() < deadline
                    time.sleep(0.05)
            assert client.get("/api/state").json()["runs"] >= 1
    finally:
        server.close()


def test_what_cannot_be_served_is_said(tagger):
    with pytest.raises(XTagValueError, match="needs a catalogue, or a feed"):
        PageServer()
    with pytest.raises(XTagValueError, match="fewer than 16"):
        tagger.web(token="short")
    server = tagger.web()
    with pytest.raises(XTagError, match="cannot be served"):
        PageServer(feed=server.feed, port=server.port)
    server.close()
