"""A tagger that hears of runs of another process says at once that its rows go nowhere."""

import logging

import bluesky.plans as bp
import pytest
from bluesky.run_engine import Dispatcher, DocumentNames
from support.cameras import Camera, flat
from support.models import CountsModel

from bluesky_xtag import Tagger
from bluesky_xtag.tagger import tag_wrapper

NOWHERE = "rows are emitted nowhere"


@pytest.fixture
def tagger():
    tagger = Tagger(CountsModel())
    yield tagger
    tagger.uninstall()


@pytest.fixture
def camera():
    return Camera(lambda seconds: flat(500))


@pytest.fixture
def documents(RE, camera):
    taken = []
    RE.subscribe(lambda name, doc: taken.append((name, doc)))
    RE(bp.count([camera], 2))
    return taken


def dispatched(documents, tagger):
    """Hand documents over as bluesky's dispatchers of other processes do."""
    dispatcher = Dispatcher()
    dispatcher.subscribe(tagger)
    for name, doc in documents:
        dispatcher.process(DocumentNames[name], doc)


@pytest.mark.parametrize("hand_over", [dispatched, lambda documents, tagger: [tagger(*each) for each in documents]])
def test_it_says_so_with_the_first_document_and_once(documents, tagger, caplog, hand_over):
    hand_over(documents[:1], tagger)
    assert NOWHERE in caplog.text and documents[0][1]["uid"] in caplog.text and "install(RE)" in caplog.text
    hand_over(documents[1:], tagger)
    hand_over(documents, tagger)
    assert caplog.text.count(NOWHERE) == 1
    assert tagger.frames >= 2, "it scores all the same"


def test_it_says_nothing_in_a_session_of_its_own(RE, tagger, camera, caplog, tag):
    caplog.set_level(logging.WARNING)
    tag()
    RE(bp.count([camera], 2))
    RE(tag_wrapper(bp.count([camera], 1), tagger))
    RE.subscribe(tagger)
    RE(bp.count([camera], 1))
    assert NOWHERE not in caplog.text
