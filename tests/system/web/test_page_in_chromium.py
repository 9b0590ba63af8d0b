"""The page as a person uses it: in a real browser, with keys and clicks."""

import time

import pytest
from support.browsers import browser_or_skip
from support.pages import served, take_runs

from bluesky_xtag.catalog import as_catalog, open_catalog
from bluesky_xtag.review import corrections, export_labels
from bluesky_xtag.search import tags

HOSTILE = "<img src=x onerror=document.title='hacked'>"


@pytest.fixture(scope="module")
def browser():
    with browser_or_skip() as made:
        yield made


@pytest.fixture(scope="module")
def catalog(tmp_path_factory):
    made = open_catalog(tmp_path_factory.mktemp("seen"))
    yield made
    made.context.close()


@pytest.fixture(scope="module")
def runs(catalog):
    """Three runs: a few frames, two hundred of them, and one with names that want to be markup."""
    (few,) = take_runs(catalog, [10, 40, 60, 90, 45, 80])
    (many,) = take_runs(catalog, [number % 100 for number in range(200)], sample="gold")
    (hostile,) = take_runs(catalog, [70], sample=HOSTILE, scan_id=9)
    return few, many, hostile


@pytest.fixture(scope="module")
def server(catalog, runs, tmp_path_factory):
    with served(catalog, tmp_path_factory.mktemp("kept")) as made:
        yield made


@pytest.fixture
def page(browser, server):
    with browser.page(server.link) as made:
        settle(made, 207)
        yield made
        expected = ("net::ERR", "WebSocket", "/polar", "rnig")  # what these tests provoke
        wrong = [each for each in made.messages if not any(word in each for word in expected)]
        assert wrong == []
        assert [each for each in made.requests if not each.startswith((server.address, "data:"))] == []


def settle(page, frames):
    page.wait(f"document.getElementById('count').textContent.startsWith('{frames} frame')", 60)


def search(page, text, frames):
    page.press("/")
    page.run("document.getElementById('query').value = ''")
    page.run("document.getElementById('query').dispatchEvent(new Event('input'))")
    page.type(text)
    settle(page, frames)
    page.press("Enter")


def in_grid(page):
    return page.run("document.activeElement.id") == "grid"


def stored(page, count):
    said = f"{count} correction{'s' if count > 1 else ''} stored"
    page.wait(f"document.getElementById('outbox').textContent === '{said}'", 60)


def title(page):
    return page.text("#title")


def test_frames_are_seen_and_the_page_is_light(page, server):
    seen = "[...document.querySelectorAll('.tile:not([hidden]) img')]"
    page.wait(f"{seen}.every(image => image.complete && image.naturalWidth > 0)", 60)
    tiles = page.run("document.querySelectorAll('.tile:not([hidden])').length")
    assert 30 < tiles < 207  # those that are seen, not all
    weight = page.run(
        "performance.getEntriesByType('resource').filter(e => !e.name.includes('thumbnails')).reduce((s, e) => s +"
        " e.encodedBodySize, performance.getEntriesByType('navigation')[0].encodedBodySize)"
    )
    assert 10_000 < weight <= 300_000


def test_the_grid_scrolls_to_its_end_and_shows_what_is_there(page, runs):
    search(page, f"run:{runs[1][:8]}", 200)
    page.press("End")
    page.wait("document.querySelector('.tile.current')?.getAttribute('aria-label')?.includes('frame 200:')")
    page.wait("document.querySelector('.tile.current img')?.naturalWidth > 0")
    assert page.run("document.getElementById('grid').getAttribute('aria-activedescendant')") == "tile-199"
    page.press("Home")
    page.wait("document.querySelector('.tile.current')?.getAttribute('aria-label')?.includes('frame 1:')")


def test_filters_and_orders(page, runs):
    page.run("[...document.querySelectorAll('#tags button')].find(b => b.textContent.includes('ring')).click()")
    page.wait("document.getElementById('query').value === 'ring'")
    settle(page, 104)
    page.run("[...document.querySelectorAll('#tags button')].find(b => b.textContent.includes('ring')).click()")
    settle(page, 103)
    page.run("document.getElementById('query').value = ''")
    search(page, "ring>0.975", 4)
    page.run("document.getElementById('order').value = 'ring'")
    page.run("document.getElementById('order').dispatchEvent(new Event('change'))")
    page.wait("document.querySelector('#tile-0 .value')?.textContent === '0.99'")
    page.press("/")
    page.type(" rnig")
    page.wait("document.getElementById('problem').textContent.includes('did you mean ring')")
    assert not page.run("document.getElementById('problem').hidden")


def test_what_strangers_write_is_never_markup(page, runs):
    search(page, "scan:10", 1)  # the RunEngine counts on
    assert page.run("[...document.querySelectorAll('#runs button')].some(each => each.title.includes('onerror'))")
    page.press("Enter")
    page.wait("document.getElementById('about').textContent.includes('onerror')")
    time.sleep(0.2)  # in which a handler of the image would have run
    assert page.run("document.title").startswith("xtag")
    assert page.run("document.querySelectorAll('#panel img').length") == 0
    page.press("Escape")


def test_one_frame_at_its_full_resolution(page, runs):
    search(page, f"run:{runs[0][:8]}", 6)
    page.press("ArrowRight", "Enter")
    page.wait("document.getElementById('title').textContent.includes('point 2')")
    page.wait("document.getElementById('range').textContent.includes('counts')")
    assert page.run("document.querySelectorAll('#scores button').length") == 2
    line = page.run("document.querySelector('#scores [aria-label^=ring]').getAttribute('aria-label')")
    assert line == "ring, does not hold, score 0.40"
    place = page.run("document.getElementById('canvas').getBoundingClientRect().toJSON()")
    x, y, wide, high = (place[name] for name in ("x", "y", "width", "height"))
    side = min(wide, high) * 0.98 / 32
    at = {"x": x + (wide - 32 * side) / 2 + side / 2, "y": y + (high - 32 * side) / 2 + side / 2}
    page.ask("Input.dispatchMouseEvent", type="mouseMoved", **at)
    page.wait("document.getElementById('cursor').textContent.includes('column 0')")
    assert page.text("#cursor").split()[-1] == "40"  # the count of the first pixel
    for _ in range(3):
        page.press("=")
    assert page.run("document.getElementById('fit') !== null")
    page.press("`", ",")
    page.wait("document.getElementById('view-polar').getAttribute('aria-pressed') === 'true'")
    page.wait("!document.getElementById('no-picture').hidden")  # the model of this run prepares nothing
    page.press(",", "ArrowRight")
    page.wait("document.getElementById('title').textContent.includes('point 3')")
    page.click("#map", at=(60, 90))
    page.wait("document.getElementById('title').textContent.includes('point 1')")
    page.press("Escape")
    assert in_grid(page)


def test_a_link_that_is_escaped_in_another_way_is_one_entry_of_the_history(page, server, runs):
    page.open(f"{server.address}#frame={runs[0]}/2")  # the page itself writes %2F
    before = page.run("history.length")
    page.wait("document.getElementById('title')?.textContent.endsWith('point 3')", 60)
    assert page.run("history.length") == before
    assert page.run("location.hash").endswith("/2")


def test_a_frame_is_corrected_with_keys_and_the_correction_taken_back(page, catalog, runs):
    run = catalog[runs[0]]
    search(page, f"run:{runs[0][:8]}", 6)
    page.press("Enter")
    page.wait("document.getElementById('title').textContent.includes('point 1')")
    page.press("r")
    page.wait("document.getElementById('draft').textContent.includes('+ ring')")
    page.press(".")
    page.wait("document.getElementById('draft').textContent === ''")
    page.press("r", "Shift+Enter")
    page.wait("document.getElementById('title').textContent.includes('point 2')")
    stored(page, 1)
    assert tags(run)["xtag_tags"].iloc[0] == "ring"
    said = corrections(run).iloc[-1]
    assert (said["added"], said["removed"]) == ("ring", "")
    page.press("Enter")  # right as shown: no ring
    stored(page, 2)
    assert set(corrections(run).iloc[-1]["removed"].split()) == {"empty", "ring"}
    page.press("Backspace", "Backspace")
    stored(page, 4)
    assert list(tags(run)["xtag_decided_by"]) == ["model"] * 6


def test_many_chosen_frames_are_corrected_in_one_action(page, catalog, runs):
    run = catalog[runs[1]]
    search(page, f"run:{runs[1][:8]}", 200)
    page.press("Control+a")
    page.wait("document.getElementById('count').textContent.includes('200 chosen')")
    page.press("e", "Enter")
    stored(page, 1)
    assert all("empty" in held.split() for held in tags(run)["xtag_tags"])
    assert len(set(corrections(run)["correction"])) == 1
    page.press("Escape", "Control+z")
    stored(page, 2)
    assert not any("empty" in held.split() for held in tags(run)["xtag_tags"])


SLOW = """(() => {
  const right = window.fetch;
  window.fetch = async (what, ...more) => {
    if (String(what).includes("api/select")) await new Promise((over) => setTimeout(over, 1500));
    return right(what, ...more);
  };
})()"""


def test_keys_that_follow_a_search_are_meant_for_what_it_finds(page, runs):
    search(page, f"run:{runs[0][:8]}", 6)
    page.run(SLOW)
    page.press("/")
    page.run("document.getElementById('query').value = ''")
    page.type(f"run:{runs[1][:8]}")
    page.press("Enter", "Control+a", "e")
    assert page.text("#count").startswith("6 frames")
    page.wait("document.getElementById('count').textContent === '200 frames · 200 chosen'")
    assert page.text("#draft").startswith("+ empty on 200 frames")
    page.press(".", "Escape", "/")
    page.type(" rnig")
    page.press("Enter", "Control+a", "e")
    page.wait("document.getElementById('problem').textContent.includes('did you mean ring')")
    assert page.text("#count") == "200 frames"  # what was not found is not chosen
    assert page.text("#draft") == ""


def test_a_hundred_frames_are_corrected_by_keyboard(page, catalog, runs, tmp_path):
    run = catalog[runs[1]]
    search(page, f"run:{runs[1][:8]}", 200)
    page.press("Enter")
    page.wait("document.getElementById('title').textContent.includes('point 1')")
    for number in range(1, 101):
        page.wait(f"document.getElementById('title').textContent.endsWith('point {number}')")
        page.press("r", "Enter")
    stored(page, 100)
    decided = tags(run)
    assert list(decided["xtag_decided_by"] != "model") == [True] * 100 + [False] * 100
    pairs = zip(decided["xtag_tags"], decided["xtag_p_ring"], strict=True)
    turned = [("ring" in held.split()) != (score >= 0.5) for held, score in pairs]
    assert turned == [True] * 100 + [False] * 100
    done = export_labels(catalog, tmp_path / "labels.h5", runs[1])
    assert done.frames == 100 and done.labels == 200


def test_a_correction_without_a_connection_is_kept_and_stored_once(browser, server, catalog, runs):
    run = catalog[runs[0]]
    before = len(corrections(run))
    with browser.page(server.link) as page:
        settle(page, 207)
        search(page, f"run:{runs[0][:8]}", 6)
        page.press("Enter")
        page.wait("document.getElementById('title').textContent.includes('point 1')")
        page.offline(True)
        page.press("r", "Enter")
        page.wait("document.getElementById('outbox').textContent.includes('not stored yet')")
    assert len(corrections(run)) == before  # and the page is closed
    with browser.page(server.link) as page:
        stored(page, 1)
    assert len(corrections(run)) == before + 1


def test_a_server_that_is_started_anew_gets_what_waited_and_the_page_goes_on(browser, catalog, runs, tmp_path):
    run = catalog[runs[0]]
    before = len(corrections(run))
    with served(catalog, tmp_path) as server:
        port = server.port
        with browser.page(server.link) as page:
            settle(page, 207)
            search(page, f"run:{runs[0][:8]}", 6)
            server.close()
            page.wait("document.getElementById('count').textContent.includes('no connection')")
            page.press("ArrowRight", "r", "Enter")
            page.wait("document.getElementById('outbox').textContent.includes('not stored yet')")
            with served(catalog, tmp_path, port=port):
                stored(page, 1)
                page.wait("!document.getElementById('count').textContent.includes('no connection')")
                search(page, "", 207)
    assert len(corrections(run)) == before + 1


def test_a_new_run_appears_by_itself(browser, server, catalog, runs):
    with browser.page(server.link) as page:
        settle(page, 207)
        take_runs(catalog, [33, 66])
        settle(page, 209)
        page.wait("document.querySelector('#tile-0').getAttribute('aria-label').includes('frame 1: no tags')")
        found = as_catalog(catalog)
        assert found.count() >= 4
