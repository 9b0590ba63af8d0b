"""What happens at each step where a catalogue or a disk fails: the table in the docs, and the tests that prove it.

The table is made from `FAULTS`. The files `tests/system/test_faults*.py` have a test for each entry.
"""

from dataclasses import dataclass

__all__ = ["FAULTS", "Fault"]


@dataclass(frozen=True)
class Fault:
    """A fault at a step.

    Parameters
    ----------
    step, fault : str
        What is done, and what fails.
    there : str
        What is there afterwards.
    then : str
        What the next call does.
    """

    step: str
    fault: str
    there: str
    then: str


AWAY = "the server is gone at any request"
LOST = "the server is gone after any request, before it answers"
REFUSED = "permission is withdrawn at any request"
FULL = "the server's disk is full at any request"
BUSY = "another process holds the database"
TWO = "two sessions at once"
DISK = "this machine's disk is full"
KILLED = "the process is killed at any moment"

LIVE = "the summary of a live run"
SUMMARISE = "`xtag summarise`"
RECOVER = "`xtag recover`"
REPLAY = "`xtag replay`"
CORRECT = "`xtag correct`"
FILES = "`xtag tag-files`"
SIMULATE = "`xtag simulate`"
TRAIN = "`xtag train`"

_SUMMARIES = "each run has its whole summary or none"
_REST = "writes the missing ones"
_FRAMES = "simulates the missing frames; the file is the same as without the fault"
_MODEL = "simulates the missing samples, goes on from the last checkpoint, and writes the model"
_ROWS = "goes on after the last whole row"
_HERE = "the catalogue is on this disk"
_NONE = "no part of the derived run counts"

FAULTS = [
    *(
        Fault(
            LIVE, fault, "the scan's documents are the same; the summary is in the catalogue or on this machine", then
        )
        for fault, then in (
            (AWAY, "`xtag recover` stores it"),
            (LOST, "`xtag recover` stores it"),
            (REFUSED, "`xtag recover` stores it, with a key that may write"),
            (FULL, "`xtag recover` stores it"),
            (BUSY, "it is tried again for 60 s, then `xtag recover` stores it"),
        )
    ),
    Fault(LIVE, DISK, "the summary waits in memory", "it is stored as soon as the run is complete in the catalogue"),
    *(Fault(SUMMARISE, fault, _SUMMARIES, _REST) for fault in (AWAY, LOST, REFUSED, FULL, BUSY, TWO)),
    *(
        Fault(RECOVER, fault, "a file is removed only when it is stored", "stores the others")
        for fault in (AWAY, LOST, REFUSED, FULL, BUSY)
    ),
    *(
        Fault(REPLAY, fault, f"{_NONE}; its rows are in the journal", "stores it without tagging again")
        for fault in (AWAY, LOST, REFUSED, FULL, BUSY)
    ),
    Fault(REPLAY, TWO, "one derived run counts, or none", "stores it, once"),
    *(
        Fault(CORRECT, fault, "the whole correction counts, or no part of it", "stores it, once")
        for fault in (AWAY, LOST, REFUSED, FULL, BUSY)
    ),
    Fault(CORRECT, TWO, "each correction counts whole, or no part of it", "stores what is missing, each once"),
    Fault(SUMMARISE, DISK, f"{_HERE}: {_SUMMARIES}", _REST),
    Fault(RECOVER, DISK, f"{_HERE}: a file is removed only when it is stored", "stores the others"),
    Fault(
        REPLAY,
        DISK,
        f"an error names the journal, or says that the catalogue is full; {_NONE}",
        _ROWS,
    ),
    Fault(CORRECT, DISK, f"{_HERE}: the whole correction counts, or no part of it", "stores it, once"),
    Fault(FILES, DISK, "an error names the journal or the table; there is no table", _ROWS),
    Fault(
        FILES,
        KILLED,
        "the journal has whole rows; there is no table, or a whole one",
        _ROWS,
    ),
    Fault(SIMULATE, DISK, "whole frames are in the directory with the suffix `.parts`; there is no file", _FRAMES),
    Fault(SIMULATE, KILLED, "whole frames are in that directory; there is no file, or a whole one", _FRAMES),
    Fault(
        TRAIN,
        DISK,
        "whole samples are in the directory with the suffix `.work`; there is no model",
        _MODEL,
    ),
    Fault(TRAIN, KILLED, "whole samples, and perhaps a checkpoint, are in that directory; there is no model", _MODEL),
]
