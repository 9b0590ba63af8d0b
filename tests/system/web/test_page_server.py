"""What the page's server answers, and whom."""

import os
import signal
import sqlite3
import subprocess
import sys
import time

import httpx
import numpy as np
import pytest
from support.pages import TOKEN, client, pixels, read_all, say, served, take_runs, wait_until
from websockets.exceptions import InvalidHandshake
from websockets.sync.client import connect

from bluesky_xtag import XTagValueError
from bluesky_xtag.catalog import open_catalog
from bluesky_xtag.review import corrections, export_labels
from bluesky_xtag.search import tags
from bluesky_xtag.web import PageServer


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return tmp_path_factory.mktemp("page")


@pytest.fixture(scope="module")
def stored(place):
    """A catalogue with two runs, of 4 and of 6 frames."""
    made = open_catalog(place)
    first = take_runs(made, [10, 40, 60, 90], sample="gold")
    second = take_runs(made, [5, 95, 55, 45, 80, 20])
    yield made, first[0], second[0]
    made.context.close()


@pytest.fixture(scope="module")
def server(stored, place):
    with served(stored[0], place) as made:
        yield made


@pytest.fixture
def page(server):
    with client(server) as made:
        read_all(made, 10)
        yield made


# Who may come in


def test_without_the_token_nothing_is_shown(server):
    for path in ("", "api/about", "static/page.js", "thumbnails/x/0"):
        answer = httpx.get(server.address + path)
        assert answer.status_code == 401 and "token" in answer.text
    assert httpx.get(f"{server.address}?token=wrong-but-as-long-as").status_code == 401
    assert httpx.get(f"{server.address}api/about", headers={"Authorization": f"Bearer {TOKEN}"}).status_code == 200


def test_the_token_leaves_the_address_and_scripts_cannot_read_it(server):
    answer = httpx.get(server.link)
    assert answer.status_code == 303 and TOKEN not in answer.headers["location"]
    cookie = answer.headers["set-cookie"].lower()
    assert "httponly" in cookie and "samesite=strict" in cookie


def test_only_known_names_of_the_host_are_served(page):
    port = page.base_url.port
    for host in ("evil.example", f"evil.example:{port}", f"127.0.0.1.evil.example:{port}", ""):
        answer = page.get("/api/about", headers={"Host": host})
        assert answer.status_code in (400, 403), host
    assert page.get("/api/about", headers={"Host": f"localhost:{port}"}).status_code == 200


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "", "https://127.0.0.1"])
def test_other_pages_can_send_nothing(page, stored, origin):
    body = {"corrections": [correction(stored[1], 0, "foreign-page", remove=["ring"])]}
    headers = {"Origin": origin, "Content-Type": "application/json"}
    assert page.post("/api/corrections", json=body, headers=headers).status_code == 403
    address = str(page.base_url).replace("http", "ws") + "/api/news"
    cookie = "; ".join(f"{name}={value}" for name, value in page.cookies.items())
    headers = {"Cookie": cookie}
    with pytest.raises(InvalidHandshake), connect(address, origin=origin or None, additional_headers=headers):
        pass
    assert not len(corrections(stored[0][stored[1]]))


def test_a_form_of_another_page_is_not_taken(page):
    answer = page.post("/api/corrections", content=b"{}", headers={"Content-Type": "text/plain"})
    assert answer.status_code == 403


def test_a_browser_may_load_nothing_from_elsewhere_and_run_no_inline_script(page):
    answer = page.get("/")
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy and "script-src 'self'" in policy and "unsafe" not in policy
    assert answer.headers["x-content-type-options"] == "nosniff" and answer.headers["referrer-policy"] == "no-referrer"
    assert "://" not in answer.text and "<script>" not in answer.text and " style=" not in answer.text


def test_a_short_token_is_refused(stored, place):
    with pytest.raises(XTagValueError, match="can be guessed"):
        PageServer(stored[0], place, token="short")


# What is shown


def test_the_frames_are_those_of_the_catalogue(page, stored):
    _, first, second = stored
    runs = page.get("/api/runs").json()
    assert {(run["uid"], run["frames"]) for run in runs} == {(first, 4), (second, 6)}
    assert next(run for run in runs if run["uid"] == first)["sample"] == "gold"
    found = page.get("/api/select").json()
    assert found["total"] == 10 and found["statuses"] == {"ok": 10} and found["facets"]["ring"] == 5
    assert [row[:2] for row in found["rows"]] == [[number(runs, second), at] for at in range(6)] + [
        [number(runs, first), at] for at in range(4)
    ]


def number(runs, uid):
    return next(run["number"] for run in runs if run["uid"] == uid)


def test_a_search_and_its_pages(page, stored):
    found = page.get("/api/select", params={"q": "ring>=0.5", "order": "ring"}).json()
    assert [row[5] for row in found["rows"]] == [0.95, 0.9, 0.8, 0.6, 0.55]
    part = page.get("/api/rows", params={"selection": found["selection"], "start": 3, "count": 1}).json()
    assert part["rows"] == [found["rows"][3]] and part["start"] == 3
    assert page.get("/api/rows", params={"selection": "none", "start": 0, "count": 1}).status_code == 410
    answer = page.get("/api/select", params={"q": "rnig"})
    assert answer.status_code == 400 and "did you mean ring" in answer.json()["problem"]


def test_a_frame_and_its_scores(page, stored):
    catalog, first, _ = stored
    frame = page.get(f"/api/frames/{first}/2").json()
    table = tags(catalog[first])
    assert frame["scores"]["ring"] == pytest.approx(0.6) and frame["row"] == table.index[2]
    assert frame["tags"] == table["xtag_tags"].iloc[2].split() and frame["thresholds"]["ring"] == 0.5
    assert frame["seq_num"] == 3 and frame["moved"] == {"motor": 3.0} and frame["run"]["motors"] == ["motor"]
    assert page.get(f"/api/frames/{first}/4").status_code == 404
    assert page.get("/api/frames/nobody/0").status_code == 404


def test_the_pixels_are_those_of_the_frame(page, stored):
    answer = page.get(f"/api/frames/{stored[1]}/3/pixels")
    header = pixels(answer.content)
    assert (header["rows"], header["columns"], header["percentiles"]["100"]) == (32, 32, 90.0)
    length = int.from_bytes(answer.content[:4], "little")
    assert np.frombuffer(answer.content, np.uint8, 1024, 4 + length).tolist() == [90] + [1] * 1023


def test_thumbnails_are_made_once_and_kept_next_to_the_catalogue(page, stored, place):
    path = f"/thumbnails/{stored[1]}/1"
    first, again = page.get(path), page.get(path)
    assert first.status_code == 200 and first.headers["content-type"] == "image/webp"
    assert again.content == first.content and "immutable" in again.headers["cache-control"]
    with sqlite3.connect(place / "thumbnails.db") as kept:
        found = kept.execute("SELECT picture FROM thumbnails WHERE run=? AND seq_num=2", (stored[1],)).fetchall()
    assert found == [(first.content,)]


# What people say


def correction(run, position, name, **words):
    return {"id": name, "frames": [[run, position]], "by": "ab", **words}


def test_corrections_are_those_of_the_package_and_are_stored_once(page, stored, tmp_path):
    catalog, first, second = stored
    before = len(corrections(catalog[second]))
    words = [
        correction(second, 0, "request-0001", add=["ring"], note="faint"),
        {"id": "request-0002", "frames": [[second, 1], [second, 2], [first, 0]], "by": "cd", "confirm": True},
    ]
    assert say(page, *words) == [{"id": each["id"], "problem": ""} for each in words]
    assert say(page, *words) == [{"id": each["id"], "problem": ""} for each in words]  # asked again
    assert len(corrections(catalog[second])) == before + 3 and len(corrections(catalog[first])) == 1
    assert tags(catalog[second])["xtag_tags"].iloc[0] == "ring"
    found = page.get("/api/select", params={"q": "corrected"}).json()
    assert found["total"] == 4 and {row[4] for row in found["rows"]} == {"ab", "cd"}
    frame = page.get(f"/api/frames/{second}/0").json()
    assert frame["tags"] == ["ring"] and frame["said"][-1]["note"] == "faint"
    done = export_labels(catalog, tmp_path / "labels.h5")
    assert done.frames == 4 and done.runs == 2
    back = {"id": "request-0003", "frames": words[1]["frames"], "retracts": "request-0002", "by": "cd"}
    assert say(page, back) == [{"id": "request-0003", "problem": ""}]
    assert page.get("/api/select", params={"q": "corrected"}).json()["total"] == 1
    assert not (tags(catalog[first])["xtag_decided_by"] != "model").any()


def test_a_correction_is_stored_once_also_by_a_server_that_was_started_anew(stored, place):
    catalog, first, _ = stored
    words = correction(first, 1, "request-0010", remove=["ring"])
    before = len(corrections(catalog[first]))
    for _ in range(2):
        with served(catalog, place) as server, client(server) as page:  # which may not have read the run yet
            assert say(page, words) == [{"id": "request-0010", "problem": ""}]
    assert len(corrections(catalog[first])) == before + 1


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        ({"add": ["rnig"]}, "no tag rnig"),
        ({}, "nothing is said"),
        ({"add": ["ring"], "remove": ["ring"]}, "added and removed at once"),
        ({"add": ["ring"], "by": " "}, "does not say who corrects"),
        ({"add": ["ring"], "by": "model"}, "does not say who corrects"),
        ({"add": "ring"}, "must be a list"),
        ({"add": ["ring"], "frames": []}, "choose 1 to"),
        ({"add": ["ring"], "frames": [["nobody", 0]]}, "not a frame"),
        ({"add": ["ring"], "note": "n" * 3000}, "at most 2000"),
        ({"retracts": "request-never"}, "has no correction"),
    ],
)
def test_what_cannot_be_stored_is_said_and_the_rest_is_stored(page, stored, words, problem):
    catalog, _, second = stored
    name = f"request-{abs(hash(problem))}"
    good = correction(second, 5, f"{name}-good", confirm=True)
    bad, other = say(page, correction(second, 4, name) | words, good)
    assert problem in bad["problem"] and other["problem"] == ""
    assert name not in str(corrections(catalog[second])["correction"].tolist())


def test_a_request_that_is_none_is_refused(page):
    for body in ({}, {"corrections": []}, {"corrections": [{"frames": []}]}, {"corrections": [3]}):
        assert page.post("/api/corrections", json=body).status_code == 400
    headers = {"Content-Type": "application/json"}
    assert page.post("/api/corrections", content=b"no JSON", headers=headers).status_code == 400
    assert page.post("/api/corrections", content=b" " * 5_000_000, headers=headers).status_code == 403


def test_a_page_that_only_reads_takes_none(stored, place):
    with served(stored[0], place, read_only=True) as server, client(server) as page:
        read_all(page, 10)
        answer = say(page, correction(stored[1], 0, "request-0020", confirm=True), status=403)
        assert "--read-only" in answer["problem"] and page.get("/api/about").json()["read_only"]


# What is new


def test_a_run_that_is_stored_and_one_that_is_corrected_elsewhere_appear_by_themselves(page, stored):
    from bluesky_xtag.review import correct

    catalog, first, _ = stored
    before = page.get("/api/state").json()
    cookie = "; ".join(f"{name}={value}" for name, value in page.cookies.items())
    address = str(page.base_url)
    with connect(
        address.replace("http", "ws") + "/api/news", origin=address, additional_headers={"Cookie": cookie}
    ) as news:
        news.recv(timeout=20)
        (uid,) = take_runs(catalog, [70, 30])
        wait_until(page, lambda state: state["frames"] == before["frames"] + 2)
        assert page.get(f"/api/frames/{uid}/0").json()["tags"] == ["ring"]
        correct(catalog[first], int(tags(catalog[first]).index[3]), remove="ring", by="elsewhere")
        wait_until(page, lambda _: page.get("/api/select", params={"q": "by:elsewhere"}).json()["total"] == 1)
        assert news.recv(timeout=20)


# The command


def test_the_command_prints_the_address_and_ends_with_ctrl_c(stored, place):
    code = "from bluesky_xtag.cli import app; app(prog_name='xtag')"
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path)), "XTAG_WEB_TOKEN": TOKEN}
    command = [sys.executable, "-W", "ignore", "-c", code, "web", str(place), "--no-browser"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)
    try:
        link = process.stdout.readline().split()[-1]
        assert link.startswith("http://127.0.0.1:") and link.endswith(TOKEN)
        assert f"ssh -L {link.split(':')[2].split('/')[0]}:127.0.0.1" in process.stdout.readline()
        process.stdout.readline()
        address = link.partition("?")[0]
        with httpx.Client(headers={"Authorization": f"Bearer {TOKEN}"}, timeout=60) as page:
            for _ in range(300):
                try:
                    about = page.get(f"{address}api/about")
                    break
                except httpx.ConnectError:
                    time.sleep(0.1)
        assert about.json()["catalog"] == str(place)
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 0
        assert "Traceback" not in process.stderr.read()
    finally:
        process.kill()
        process.wait(20)
        process.stdout.close()
        process.stderr.close()
