"""Which key stands for which tag, and what the other keys do for people who label frames."""

from __future__ import annotations

import string
from collections.abc import Iterator, Sequence

from ..errors import XTagValueError

__all__ = ["COMMANDS", "MOST_TAGS", "assign_keys"]

_KEYS = string.ascii_lowercase + string.digits
MOST_TAGS = len(_KEYS)

# Keys as they are called here, what people are told of them, and what they do.
COMMANDS = {
    "enter": ("Enter", "keep, next"),
    "right": ("→", "skip"),
    "backspace": ("⌫", "undo"),
    ".": (".", "clear"),
    "?": ("?", "explain"),
    "escape": ("Esc", "stop"),
}


def assign_keys(tags: Sequence[str]) -> dict[str, str]:
    """Return the key of each tag: the first letter of its words if it is free, else another of its letters.

    Tags of one word choose first.

    Parameters
    ----------
    tags : sequence of str
        Each once.

    Raises
    ------
    XTagValueError
        There are more tags than keys.
    """
    if len(tags) > MOST_TAGS:
        raise XTagValueError(f"{len(tags)} tags have not enough keys: choose {MOST_TAGS} at most with --ask")
    found: dict[str, str] = {}
    for tag in sorted(tags, key=lambda tag: tag.count("_")):
        taken = set(found.values())
        found[tag] = next(key for key in _wishes(tag) if key not in taken)
    return {tag: found[tag] for tag in tags}


def _wishes(tag: str) -> Iterator[str]:
    words = tag.split("_")
    numbers = [word[0] for word in words if word[:1].isdigit()]
    yield from numbers  # of `symmetry_4` the number says most
    yield from (word[0] for word in words if word)
    yield from tag.replace("_", "")
    yield from _KEYS
