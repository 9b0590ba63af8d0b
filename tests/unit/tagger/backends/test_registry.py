import pytest
from bluesky import plans as bp
from support.detectors import ArrayDetector, numbered
from support.models import CountsModel

from bluesky_xtag import Tagging, XTagValueError
from bluesky_xtag.tagger import BACKENDS, make_backend


class Elsewhere:
    """A toy that reads the frames itself, as a backend in another place would."""

    def __init__(self, model, floor=0):
        self.model, self.floor, self.closed = model, floor, 0

    def tag(self, frames):
        for frame in frames:
            bright = int(frame.pixels().flat[0]) > self.floor
            yield Tagging(frame.id, "ok", (float(not bright), float(bright)), ("ring",) if bright else ("empty",))

    def peak_memory(self):
        return []

    def close(self):
        self.closed += 1


@pytest.fixture
def elsewhere(monkeypatch):
    monkeypatch.setitem(BACKENDS, "elsewhere", Elsewhere)


def test_a_backend_of_the_registry_tags_live_frames(RE, seen, tag, elsewhere):
    tagger = tag(backend="elsewhere", model=CountsModel())
    RE(bp.count([ArrayDetector(numbered())], 3))
    rows = [event["data"] for event in seen.events("tags")]
    assert [row["xtag_tags"] for row in rows] == ["ring", "ring", "ring"]
    assert tagger.model.name == "counts"


def test_options_reach_the_backend(elsewhere):
    assert make_backend("elsewhere", CountsModel(), floor=7).floor == 7


def test_a_backend_that_is_not_known_is_refused_with_those_that_are(tag):
    with pytest.raises(
        XTagValueError, match="backend='clowd' is not known; choose one of inline, process, threads, dask"
    ):
        tag(backend="clowd", model=CountsModel())


def test_a_backend_that_forgets_frames_costs_only_these(RE, seen, tag):
    class Forgetful(Elsewhere):
        def tag(self, frames):
            list(frames)
            return iter(())

    tag(backend=Forgetful(CountsModel()))
    RE(bp.count([ArrayDetector(numbered())], 2))
    assert [event["data"]["xtag_status"] for event in seen.events("tags")] == ["failed", "failed"]
