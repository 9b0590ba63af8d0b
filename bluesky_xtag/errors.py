"""The errors of the package. Each one is also the built-in error that a caller would expect.

::

    XTagError
    ├── XTagValueError  (ValueError)   an argument or a file does not fit
    │   └── ConditionError             a condition on tags is not understood
    ├── ModelError      (ValueError)   a model directory is damaged, foreign or does not fit
    ├── NoTagsError     (KeyError)     a stored run has no stream "tags"
    ├── CatalogError    (OSError)      a catalogue cannot be reached, or refuses
    └── FrameError      (ValueError)   the pixels of a frame cannot be used
        ├── RootError (PermissionError) documents name a file outside of the roots that may be read
        └── FrameNotReady (OSError)    the pixels cannot be read yet: the file may still be on its way
            └── FileHeld               its writer has the file open without SWMR
"""

from __future__ import annotations

import logging
import os
import re

__all__ = [
    "CatalogError",
    "ConditionError",
    "FileHeld",
    "FrameError",
    "FrameNotReady",
    "ModelError",
    "NoTagsError",
    "RootError",
    "XTagError",
    "XTagValueError",
    "hide_secrets",
    "printable",
]

_HIDDEN = "***"
_JOIN = r"(?:[_.-]|%5F|%2D)"
_AROUND = r"(?:[\w.-]|%5F|%2D){0,40}"  # no letter in two ways, and not without end: texts of others are searched, too
_WORDS = rf"(?:api{_JOIN}?key|secret|token|passw(?:or)?d|passphrase|pwd|signature|credential)"
_NAMES = rf"{_AROUND}{_WORDS}{_AROUND}"
_SHORT = r"(?:key|sig|auth|code|cipher|session(?:_?id)?)"  # in addresses
_EQUALS = r"(?:=|%3D)"
_SCHEMES = r"(?:basic|bearer|apikey|token|digest|negotiate)"
_VALUE = r"(?:'[^']*'|\"[^\"]*\"|[^\s&;,#'\")]+)"
_QUOTED = r"(?:'[^']*'|\"[^\"]*\"|[^\s,}\]'\"]+)"
_SECRETS = (
    re.compile(r"(?P<before>\w://)[^\s/'\"]+(?P<after>@)"),  # https://name:password@host
    re.compile(
        rf"(?P<before>(?:[?&;#]|%3F|%26)(?:{_NAMES}|{_SHORT}){_EQUALS}){_VALUE}(?P<after>)", re.IGNORECASE
    ),  # https://host?api_key=...
    re.compile(rf"(?P<before>{_NAMES}\s{{0,8}}{_EQUALS}\s{{0,8}}){_VALUE}(?P<after>)", re.IGNORECASE),  # password=...
    re.compile(
        rf"(?P<before>(?P<quote>['\"]){_NAMES}(?P=quote)\s{{0,8}}[:,]\s{{0,8}}){_QUOTED}(?P<after>)", re.IGNORECASE
    ),  # JSON
    re.compile(
        rf"(?P<before>\b(?:x-)?(?:api|access|auth|refresh)[_-](?:key|token):\s{{0,8}}){_VALUE}(?P<after>)",
        re.IGNORECASE,
    ),  # a header
    re.compile(
        rf"(?P<before>\bauthorization\b['\"]?\s*[:,=]\s*b?['\"]?(?:{_SCHEMES}\s+)?)[^\s,;'\"]{{8,}}(?P<after>)",
        re.IGNORECASE,
    ),
    re.compile(r"(?P<before>\bcookie['\"]?\s*[:,=]\s*b?['\"]?)[^\s'\",;=]+=[^\s'\",;]+(?P<after>)", re.IGNORECASE),
    re.compile(rf"(?P<before>--api-key\s+){_VALUE}(?P<after>)"),
    re.compile(rf"(?P<before>(?<![\w-])pass(?:word|wd|phrase):\s{{0,8}}){_VALUE}(?P<after>)", re.IGNORECASE),  # YAML
    re.compile(r"(?P<before>\b(?:apikey|bearer|authorization: *basic)\s+)[^\s,;'\"]{8,}(?P<after>)", re.IGNORECASE),
)
_OF_ENVIRONMENT = ("TILED_API_KEY", "TILED_SINGLE_USER_API_KEY")
_LONG = 6  # characters from which on a key is looked for wherever it may be


# Control characters but tab and new line, and those that turn the direction of writing.
_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


def printable(text: str) -> str:
    r"""Return a text that a terminal shows and does not obey: what documents of others hold may be anything.

    Control characters are written as in Python: ``\x1b``.
    """
    return _CONTROL.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


def hide_secrets(text: str) -> str:
    """Return a text without the keys and passwords that addresses and commands in it hold.

    Everything that this package shows, logs or stores of an address goes through it: ``https://***@host``,
    ``http://host?api_key=***``, ``password=***``.
    """
    for pattern in _SECRETS:
        text = pattern.sub(rf"\g<before>{_HIDDEN}\g<after>", text)
    for name in _OF_ENVIRONMENT:
        if len(key := os.environ.get(name, "")) >= _LONG:
            text = text.replace(key, _HIDDEN)
    return text


class _Shown(logging.Filter):
    """Takes keys, passwords and control characters out of messages."""

    def filter(self, record: logging.LogRecord) -> bool:
        try:
            record.msg, record.args = printable(hide_secrets(record.getMessage())), None
        except (TypeError, ValueError):  # arguments that do not fit: logging itself tells of them
            pass
        return True


# A filter hears what is logged by this very logger: everything here logs by it.
logging.getLogger("bluesky_xtag").addFilter(_Shown())


class XTagError(Exception):
    """Base class of every error raised by bluesky_xtag; its message holds no keys, passwords and control characters."""

    def __init__(self, *args: object) -> None:
        super().__init__(*(printable(hide_secrets(each)) if isinstance(each, str) else each for each in args))


class XTagValueError(XTagError, ValueError):
    """An argument or an input file does not fit; the message names it and the remedy."""


class ConditionError(XTagValueError):
    """A condition on tags is not understood; the message shows the place."""


class ModelError(XTagError, ValueError):
    """A model directory is damaged, foreign, or does not fit this version of the package."""


class NoTagsError(XTagError, KeyError):
    """A stored run has no stream "tags"."""

    __str__ = Exception.__str__  # KeyError's would show the message in quotes


class CatalogError(XTagError, OSError):
    """A catalogue cannot be reached, refuses what was asked, or cannot store it."""


class FrameError(XTagError, ValueError):
    """The pixels of a frame cannot be used: foreign file, wrong shape, nothing valid in it."""


class FrameNotReady(FrameError, OSError):
    """The pixels of a frame cannot be read yet; trying again before the deadline may help."""

    __new__ = OSError.__new__  # not ValueError's, which comes first: tblib, and so Dask, unpickles errors by this name


class RootError(FrameError, PermissionError):
    """Documents name a file outside of the directories that may be read for them."""

    __new__ = PermissionError.__new__  # as above


class FileHeld(FrameNotReady):
    """The writer of a file has it open without SWMR: nobody can read it before it is closed.

    Attributes
    ----------
    path : str
        The file.
    """

    def __init__(self, message: str, path: str = "") -> None:
        super().__init__(message)
        self.path = path
