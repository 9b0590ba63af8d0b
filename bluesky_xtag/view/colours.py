"""How tags are shown in the terminal and in pictures: their colours, their order, and which one says most."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from ..model import DEFAULT_TAXONOMY, Tag

__all__ = ["colour", "group", "most_specific", "order_tags"]

_TAGS = {tag.name: tag for tag in DEFAULT_TAXONOMY.tags}
_UNKNOWN = Tag("unknown", "", "")


def colour(tag: str) -> str:
    """Return the colour of a tag as "#rrggbb"; tags that are not in the default taxonomy are grey."""
    return _TAGS.get(tag, _UNKNOWN).colour


def group(tag: str) -> str:
    """Return the group of a tag, "" for a tag that is not in the default taxonomy."""
    return _TAGS.get(tag, _UNKNOWN).group


def most_specific(tags: Iterable[str]) -> str | None:
    """Return the tag that says most about the sample; None if no tag is about the sample."""
    ranks = {tag: _TAGS.get(tag, _UNKNOWN).rank for tag in tags}
    return min((tag for tag, rank in ranks.items() if rank), key=ranks.__getitem__, default=None)


def order_tags(scores: Mapping[str, float]) -> list[str]:
    """Return tags in the order in which they are shown: first structure, then intensity, then the instrument.

    Within each of these the highest score comes first.
    """
    late = {"intensity": 1, "instrument": 2}
    return sorted(scores, key=lambda tag: (late.get(group(tag), 0), -scores[tag]))
