"""How a person reaches a plan that runs: pins and vetoes are added to a file of its own."""

from __future__ import annotations

import fcntl
import getpass
import json
import logging
import os
import stat
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

from ..errors import XTagError, XTagValueError
from .decisions import Decider, Terms, read_wish

__all__ = ["WishFile", "pin", "veto", "wish_directory"]

logger = logging.getLogger("bluesky_xtag")

_AT_ONCE = 1 << 16  # bytes that a plan reads at most for a decision
_LARGEST = 1 << 22  # bytes that a person reads at most of a plan's file


def wish_directory() -> Path:
    """Return the directory of the files: in the user's runtime directory, which no network stands behind."""
    from platformdirs import user_runtime_path

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that XDG_RUNTIME_DIR is not set
        return user_runtime_path("bluesky_xtag") / "wishes"


class WishFile:
    """The plan's end: it makes the file, and reads what was added since it last looked.

    Nothing here fails or delays the plan. Without a file the plan runs, and a warning says so.

    Parameters
    ----------
    run : str
        Uid of the run.
    plan : str
        Name of the plan.
    offer : mapping
        What can be wished, see `Terms`.
    """

    def __init__(self, run: str, plan: str, offer: Mapping[str, Any]) -> None:
        self._file: int | None = None
        self._path = Path()
        try:
            self._path = _private(wish_directory()) / f"{run}.jsonl"
            head = json.dumps({"run": run, "plan": plan, "offer": offer}).encode() + b"\n"
            # Who looks for plans sees the file when it is complete and locked.
            hidden = self._path.with_suffix(".new")
            self._file = os.open(hidden, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.write(self._file, head)
            os.rename(hidden, self._path)
            self._read = len(head)
        except (OSError, TypeError, ValueError) as error:
            logger.warning("nobody can pin or veto places of this run: %s", error)
            with suppress(OSError, ValueError):  # a path without a name
                self._path.with_suffix(".new").unlink(missing_ok=True)
            self.close()

    def new(self) -> list[dict[str, Any]]:
        """Return the wishes that were added since the last call; what is not a wish is left out with a warning."""
        if self._file is None:
            return []
        try:
            added = os.pread(self._file, _AT_ONCE, self._read)
            if b"\n" not in added and len(added) < _AT_ONCE:
                return []  # what is not complete yet is read the next time
            lines = added[: added.rfind(b"\n") + 1] or added
            self._read += len(lines)
            return list(_wishes(lines))
        except Exception as error:  # whatever it is, the plan goes on
            logger.warning("wishes could not be read: %s", error)
            return []

    def close(self) -> None:
        """Remove the file."""
        if self._file is not None:
            with suppress(OSError):
                self._path.unlink(missing_ok=True)
            os.close(self._file)
            self._file = None


@contextmanager
def listening(decider: Decider, run: str, plan: str) -> Iterator[Callable[[], None]]:
    """Yield a function that tells a decider what people want, if it takes wishes.

    Parameters
    ----------
    decider : Decider
        Who decides; it has an `offer` if it takes wishes.
    run : str
        Uid of the run.
    plan : str
        Name of the plan.
    """
    offer = getattr(decider, "offer", None)
    if offer is None:
        yield lambda: None
        return
    file = WishFile(run, plan, offer)
    try:
        yield lambda: decider.hear(file.new())  # pyright: ignore[reportAttributeAccessIssue]
    finally:
        file.close()


def _wishes(lines: bytes) -> Iterator[dict[str, Any]]:
    for line in lines.splitlines():
        try:
            data = json.loads(line)
            read_wish(data)
        except (ValueError, RecursionError) as error:
            logger.warning("a wish is left out: %s", error)
        else:
            yield data


def pin(place: Mapping[str, float], *, by: str | None = None, run: str | None = None) -> str:
    """Tell a plan that runs to measure a place next.

    The plan goes there at its next decision. It can be called at the prompt while the plan is paused, or by another
    process of the same user on this machine.

    Parameters
    ----------
    place : mapping of str to float
        A position for each motor of the plan, by its name.
    by : str, optional
        Who says it; the name of the user if None.
    run : str, optional
        Uid of the run, or how it begins. Only needed if several plans run.

    Returns
    -------
    str
        What the plan was told, in words.

    Raises
    ------
    XTagValueError
        The plan cannot do it; the message names the remedy.
    XTagError
        No plan runs, or several do.
    """
    return _send({"pin": _plain(place)}, by, run)


def veto(place: Mapping[str, Any], *, by: str | None = None, run: str | None = None) -> str:
    """Tell a plan that runs not to measure a place or a box, from its next decision on.

    Parameters
    ----------
    place : mapping of str to float or (float, float)
        By motor's name: a position, which leaves out what is within 2 % of the motor's range around it, or the two ends
        of a box. A motor that is not named is left out in its whole range.
    by, run
        As in `pin`.

    Returns
    -------
    str
        What the plan was told, in words.

    Raises
    ------
    XTagValueError
        The plan cannot do it; the message names the remedy.
    XTagError
        No plan runs, or several do.
    """
    return _send({"veto": _plain(place)}, by, run)


def _plain(place: Any) -> Any:
    """Return a place of plain numbers and lists."""
    if not isinstance(place, Mapping):
        return place
    return {name: value.tolist() if hasattr(value, "tolist") else value for name, value in place.items()}


def _send(data: dict[str, Any], by: str | None, run: str | None) -> str:
    data |= {"by": by or _user()}
    wish = read_wish(data)
    with _open_file(run) as (file, head, earlier):
        terms = Terms.from_offer(head["offer"])
        for each in _wishes(earlier):
            with suppress(XTagValueError):  # the plan refused it
                terms.take(read_wish(each))
        terms.take(wish)
        os.write(file, json.dumps(data).encode() + b"\n")
        if not os.fstat(file).st_nlink:
            raise XTagError("the plan has just ended: it takes no more wishes")
    return f"{wish.words}; {head['plan']} (run {head['run'][:8]}) takes it at its next decision"


@contextmanager
def _open_file(run: str | None) -> Iterator[tuple[int, dict[str, Any], bytes]]:
    """Yield the file of the plan that runs, what the plan offers, and the wishes so far."""
    with ExitStack() as files:
        found = []
        for path in sorted(wish_directory().glob("*.jsonl")):
            with suppress(OSError, ValueError):  # the plan has just ended, or the file is not of a plan
                file = os.open(path, os.O_RDWR | os.O_APPEND | os.O_NOFOLLOW | os.O_NONBLOCK)
                files.callback(os.close, file)
                if _is_left(file):
                    path.unlink()
                elif path.stem.startswith(run or ""):
                    head, _, earlier = os.pread(file, _LARGEST, 0).partition(b"\n")
                    found.append((file, json.loads(head), earlier))
        if not found:
            raise XTagError(
                f"no plan{f' of run {run}' if run else ''} runs here that takes pins and vetoes: start "
                "tag_adaptive_scan first, as the same user and on the same machine"
            )
        if len(found) > 1:
            raise XTagError(f"{len(found)} plans run: name the run, {' or '.join(head['run'] for _, head, _ in found)}")
        yield found[0]


def _is_left(file: int) -> bool:
    """Return whether the plan of a file no longer runs: it holds a lock as long as it does."""
    try:
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _private(directory: Path) -> Path:
    """Make a directory that nobody else can write to, or raise OSError."""
    for path in (directory.parent, directory):
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = path.lstat()
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid() or found.st_mode & 0o022:
            raise OSError(f"others can write to {path}: remove it, or set its mode to 700")
    return directory


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # no name for this number
        return "somebody"
