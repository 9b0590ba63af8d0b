"""The live page as a person sees it: a real RunEngine, and a real browser."""

import json

import bluesky.plan_stubs as bps
import bluesky.plans as bp
import bluesky.preprocessors as bpp
import pytest
from bluesky import RunEngineInterrupted
from ophyd.sim import SynAxis, motor, motor1, motor2
from support.browsers import browser_or_skip
from support.cameras import Camera, flat
from support.cameras import GradedModel as ThousandthsModel
from support.detectors import ArrayDetector, numbered
from support.models import RaisingModel
from support.pausing import pausing

from bluesky_xtag.plans import tag_adaptive_scan

HOSTILE = "<img src=x onerror=document.title='hacked'>"
RING = [0x3C, 0xA5, 0x96]


@pytest.fixture(scope="module")
def browser():
    with browser_or_skip() as made:
        yield made


@pytest.fixture
def live(browser, tag):
    """Install a tagger, and open its live page; each page is looked at for complaints of the browser."""
    opened = []

    def live(dark=False, **arguments):
        tagger = tag(**{"deadline": 60.0} | arguments)
        tab = browser.page(tagger.web().live_link, dark=dark)
        page = tab.__enter__()
        opened.append((tab, page, tagger))
        page.tagger = tagger
        page.wait("document.getElementById('connection').textContent === 'live'")
        return page

    yield live
    for tab, page, tagger in opened:
        tab.__exit__(None, None, None)
        server = tagger.web()
        server.close()
        expected = ("WebSocket", "willReadFrequently", "pictures/another")  # what these tests provoke
        assert [each for each in page.messages if not any(word in each for word in expected)] == []
        assert [each for each in page.requests if not each.startswith((server.address, "data:"))] == []


@pytest.fixture
def det():
    return ArrayDetector(numbered())


def ask(page, expression):
    """What the page's script knows: `state`, `line`, and `places` of the newest run."""
    return page.run(_script(expression))


def wait(page, expression):
    return page.wait(_script(expression))


def _script(expression):
    return (
        "import(new URL('static/live.js', location.href)).then(({ state, line }) => {"
        " const run = [...state.runs.values()].at(-1); const places = [...(run?.places.values() ?? [])];"
        f" return {expression}; }})"
    )


def tagged(page, count):
    wait(page, f"places.length === {count} && places.every((place) => place[1] > 0)")


def says(page, name, text):
    """Wait until an element begins so."""
    page.wait(f"document.getElementById({json.dumps(name)}).textContent.startsWith({json.dumps(text)})")


def pixels_of(page, colour):
    """How many pixels of the map have a colour."""
    return page.run(
        f"(() => {{ const [r, g, b] = {json.dumps(colour)}; const canvas = document.getElementById('scan-map');"
        " const { data } = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height); let found = 0;"
        " for (let at = 0; at < data.length; at += 4)"
        " if (data[at] === r && data[at + 1] === g && data[at + 2] === b) found += 1; return found; })()"
    )


def test_places_get_their_colour_while_the_scan_runs(RE, live, det):
    page = live()
    areas = []

    @bpp.run_decorator(md={"motors": ["motor"]})
    def plan():
        for place in range(1, 4):
            yield from bps.mov(motor, place)
            yield from bps.trigger_and_read([det, motor])
            tagged(page, place)  # the row of this frame is not emitted yet
            page.wait("document.getElementById('frame-title').textContent === 'Newest frame'")
            page.wait(
                f"document.getElementById('frame-about').textContent.startsWith('Frame {place} at motor {place}')"
            )
            page.wait("document.getElementById('scan-legend').textContent.includes('ring')")
            areas.append(pixels_of(page, RING))

    RE(plan())
    assert 0 < areas[0] < areas[1] < areas[2]
    page.wait("document.getElementById('run-about').textContent.includes('ended')")
    page.wait("document.getElementById('frame-picture').naturalWidth > 0")
    line = page.run("document.querySelector('#frame-scores li').getAttribute('aria-label')")
    assert line == "ring, holds, score 1.00, threshold 0.50"
    assert page.text("#queue-words") == "0 of 64 documents wait" and "3 ok" in page.text("#outcomes")


def test_a_map_of_two_motors_and_its_keys(RE, live, det):
    page = live(dark=True)
    RE(bp.grid_scan([det], motor1, 0, 1, 2, motor2, 0, 2, 3, snake_axes=True))
    tagged(page, 6)
    page.wait(
        "document.getElementById('axis-x').value === 'motor1' && document.getElementById('axis-y').value === 'motor2'"
    )
    page.run("document.getElementById('scan-map').focus()")
    page.press("Home", "ArrowRight")
    page.wait("document.getElementById('frame-title').textContent === 'Frame 2'")
    page.wait("document.getElementById('said').textContent === 'Frame 2 at motor1 0, motor2 1: ring'")
    assert page.run("document.getElementById('follow').getAttribute('aria-pressed')") == "false"
    page.press("Escape")
    page.wait("document.getElementById('frame-title').textContent === 'Newest frame'")
    label = page.run("document.getElementById('scan-map').getAttribute('aria-label')")
    assert label.endswith("6 frames. Frame 6 at motor1 1, motor2 0: ring")
    width, height = page.run("(({ width, height }) => [width, height])(document.getElementById('scan-map'))")
    page.click("#scan-map", at=(100, height - 80))  # the lower left place
    says(page, "frame-about", "Frame 1 at motor1 0, motor2 0")
    page.run("document.getElementById('axis-x').value = ''")
    page.run("document.getElementById('axis-x').dispatchEvent(new Event('change'))")
    page.run("document.getElementById('colour-by').value = 'ring'")
    page.run("document.getElementById('colour-by').dispatchEvent(new Event('change'))")
    page.wait("document.getElementById('scan-legend').textContent.includes('0.75')")
    assert pixels_of(page, RING) == 0 and width > 300


ABOUT = "document.getElementById('run-about').textContent"
RUN = "document.getElementById('run').textContent"


def test_a_pause_is_seen_and_makes_no_place_twice(RE, live, det):
    page = live()
    with pytest.raises(RunEngineInterrupted):
        RE(pausing(det, 5, "after the frame"))
    wait(page, "places.length === 3")
    page.wait(f"{ABOUT}.endsWith('paused') && {RUN}.endsWith('paused')")
    RE.resume()
    tagged(page, 5)
    assert ask(page, "places.map((place) => place[9])") == [1, 1, 2, 1, 1]
    page.wait(f"{ABOUT}.endsWith('ended') && !{RUN}.includes('paused')")


def test_a_run_that_began_before_the_page_was_opened_is_seen_from_there_on(RE, browser, tag, det):
    tagger = tag(deadline=60.0)
    with pytest.raises(RunEngineInterrupted):
        RE(pausing(det, 5, "after the frame"))
    server = tagger.web()
    try:
        with browser.page(server.live_link) as page:
            page.wait(f"{ABOUT}.endsWith('paused')")
            RE.resume()
            tagged(page, 3)
            assert ask(page, "places.map((place) => place[6])") == [3, 4, 5]
            page.wait(f"{ABOUT}.endsWith('ended')")
    finally:
        server.close()


def test_a_page_that_comes_late_shows_the_same(RE, live, browser, det):
    page = live()
    RE(bp.count([det], 4))
    tagged(page, 4)
    with browser.page(page.tagger.web().live_link) as late:
        tagged(late, 4)
        assert ask(late, "places") == ask(page, "places")
        late.wait("document.getElementById('frame-picture').naturalWidth > 0")
        said = late.text("#run-about")
        assert said.startswith("4 of 4 frames") and said.endswith("ended")
        page.ask("Page.bringToFront")  # a page that nobody sees draws nothing
        says(page, "run-about", said)


def test_a_lost_line_comes_back_with_what_was_missed(RE, live, det):
    page = live()
    RE(bp.count([det], 2))
    tagged(page, 2)
    ask(page, "(window.before = state.runs, line.pause = 1500, line.socket.close())")
    page.wait("document.getElementById('connection').textContent.includes('no connection')")
    RE(bp.count([det], 5))
    tagged(page, 5)
    page.wait("document.getElementById('connection').textContent === 'live'")
    assert ask(page, "state.runs === window.before && state.runs.size") == 2  # told what was missed, and no more


def test_a_message_that_is_missing_is_noticed(RE, live, det):
    page = live()
    RE(bp.count([det], 2))
    tagged(page, 2)
    gap = "{ session: state.session, number: state.number + 2, whole: false, runs: [], known: [] }"
    assert ask(page, f"state.take({gap})") is False and ask(page, "state.runs.size") == 1
    ask(page, "(state.session = 'another')")
    RE(bp.count([det], 3))
    tagged(page, 3)
    assert ask(page, "state.runs.size") == 2


def test_what_was_not_tagged_is_seen_as_such(RE, live, det):
    page = live(model=RaisingModel(on=[2]))
    RE(bp.scan([det], motor, 1, 3, 3))
    tagged(page, 3)
    page.wait("document.getElementById('outcomes').textContent.includes('1 failed')")
    assert "failed: the model did not answer" in page.text("#scan-legend")
    page.run("document.getElementById('scan-map').focus()")
    page.press("Home", "ArrowRight")
    page.wait("document.getElementById('frame-trouble').textContent.includes('the network is broken')")
    assert not page.run("document.getElementById('frame-trouble').hidden")
    page.press("ArrowLeft")
    page.wait("document.getElementById('frame-trouble').hidden")


def test_decisions_and_the_next_point(RE, live):
    """The camera exposes only when the page says where: the decision is seen before its frame is there."""
    axis = SynAxis(name="axis")
    seen = []

    def image(seconds):
        if pages:  # ophyd asks once before
            text = "document.getElementById('next-words').textContent"
            known = json.dumps(seen[-1] if seen else "")
            seen.append(pages[0].wait(f"{text}.startsWith('Next: axis') && {text} !== {known} && {text}"))
        return flat(900 if axis.position < 4 else 200)

    pages = []
    camera = Camera(image)
    page = live(model=ThousandthsModel())
    pages.append(page)
    RE(tag_adaptive_scan([camera], page.tagger, "boundary", axis, 0, 10, tag="ring", max_points=5))
    tagged(page, 5)
    assert len(seen) == 5 and len(set(seen)) == 5
    page.wait("document.querySelector('#decisions li b')?.textContent === 'stop'")
    assert page.text("#next-words") == ""
    assert page.run("document.querySelectorAll('#decisions li').length") == 6


def test_one_run_after_the_other_and_back_to_one_before(RE, live, det):
    page = live()
    first, second = RE(bp.count([det], 2)) + RE(bp.count([det], 3))
    tagged(page, 3)
    page.wait("document.getElementById('run').options.length === 2")
    assert page.run("document.getElementById('run').value") == second
    page.run(f"document.getElementById('run').value = '{first}'")
    page.run("document.getElementById('run').dispatchEvent(new Event('change'))")
    says(page, "run-about", "2 of 2 frames")
    RE(bp.count([det], 1))  # who looks at an old run stays there
    wait(page, "state.runs.size === 3")
    assert page.run("document.getElementById('run').value") == first


def test_what_strangers_write_is_never_markup(RE, live, det):
    page = live()
    strange = SynAxis(name="m<b>")
    RE(bp.scan([det], strange, 0, 1, 2, md={"sample": HOSTILE, "plan_name": HOSTILE}))
    tagged(page, 2)
    page.wait("document.getElementById('run-about').textContent.includes('onerror')")
    page.wait("document.getElementById('frame-about').textContent.includes('m<b>')")
    assert page.run("document.querySelectorAll('main img, header img').length") == 2  # the icon, and the frame
    assert page.run("document.title").startswith("xtag")
