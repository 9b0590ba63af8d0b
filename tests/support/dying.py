"""A process that replays a run of a served catalogue and is killed at a given moment; see test_resume.py."""

import os
import signal
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from bluesky_xtag.catalog import open_any
from bluesky_xtag.catalog.tiled import TiledCatalog
from bluesky_xtag.replay import replay, tag_files
from support.models import CountsModel


def die():
    os.kill(os.getpid(), signal.SIGKILL)


class Dying(CountsModel):
    """Kills its process at the frame of a number."""

    def __init__(self, at):
        super().__init__()
        self.at = at

    def score(self, image):
        if self.seen >= self.at:
            die()
        return super().score(image)


def dying_store(after):
    """Kill the process when a catalogue has taken so many documents of a derived run."""
    writer = TiledCatalog.writer

    def dying(catalog):
        insert, taken = writer(catalog), []

        def inserted(name, doc):
            if len(taken) == after:
                die()
            insert(name, doc)
            taken.append(name)

        return inserted

    TiledCatalog.writer = dying


if __name__ == "__main__":
    kind, at, *where = sys.argv[1:]
    if kind == "files":
        tag_files(where[0], where[1], model=Dying(int(at)))
    else:
        uri, key, uid, work = where
        model = CountsModel()
        if kind == "frame":
            model = Dying(int(at))
        else:
            dying_store(int(at))
        replay(open_any(uri, key), uid, model=model, work=work)
    print("it ended by itself")
