"""What a live page knows, made of the messages that it gets, as `live_state.js` makes it."""

import orjson

from bluesky_xtag.documents import STATUSES
from bluesky_xtag.web.live_run import ID, SCORES, STATE, TAGS, TIMES, WHERE

STATES = ("waiting", *STATUSES)


class LivePage:
    """A page that takes what a log has for it whenever a test says so."""

    def __init__(self, log):
        self._log = log
        self.session = ""
        self.number = -1
        self.runs = {}
        self.around = {}
        self.wholes = 0
        self.messages = []

    def read(self):
        found = self._log.since(self._log.start_of(self.session, self.number))
        for message in map(orjson.loads, [self._log.whole()[1]] if found is None else found[1]):
            self.take(message)
        return self

    def take(self, message):
        if message["whole"]:
            self.runs = {}
            self.wholes += 1
        else:
            assert (message["session"], message["number"]) == (self.session, self.number + 1)
        self.session, self.number, self.around = message["session"], message["number"], message["around"]
        self.messages.append(message)
        for told in message["runs"]:
            run = self.runs.setdefault(told["uid"], {"places": {}, "decisions": {}})
            run |= {key: value for key, value in told.items() if key not in ("places", "decisions")}
            run["places"] |= {place[ID]: place for place in told["places"]}
            run["places"] = {key: place for key, place in run["places"].items() if key >= run["first"]}
            run["decisions"] |= {each["number"]: each for each in told["decisions"]}
        self.runs = {uid: run for uid, run in self.runs.items() if uid in message["known"]}

    def run(self, uid=None):
        """What is known of a run, the newest one if none is named."""
        return self.runs[uid or list(self.runs)[-1]]

    def states(self, uid=None):
        return [STATES[place[STATE]] for place in self.run(uid)["places"].values()]

    def where(self, uid=None):
        return [tuple(place[WHERE]) for place in self.run(uid)["places"].values()]

    def times(self, uid=None):
        return [place[TIMES] for place in self.run(uid)["places"].values()]

    def tags(self, uid=None):
        run = self.run(uid)
        return [[run["about"]["tags"][tag] for tag in place[TAGS]] for place in run["places"].values()]

    def scores(self, uid=None):
        return [place[SCORES] for place in self.run(uid)["places"].values()]
