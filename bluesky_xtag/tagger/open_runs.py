"""What is known of the runs that are open, for those who come to listen in the middle of one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

__all__ = ["OpenRuns"]

_MOST = 16  # runs; one whose stop document never comes must not be kept for ever


class OpenRuns:
    """Keeps the start document and the descriptors of open runs."""

    def __init__(self) -> None:
        self._runs: dict[str, list[tuple[str, Mapping[str, Any]]]] = {}

    def __call__(self, name: str, doc: Mapping[str, Any]) -> None:
        """Take a document."""
        if name == "start":
            self._runs[doc["uid"]] = [(name, doc)]
            while len(self._runs) > _MOST:
                del self._runs[next(iter(self._runs))]
        elif name == "descriptor" and doc["run_start"] in self._runs:
            self._runs[doc["run_start"]].append((name, doc))
        elif name == "stop":
            self._runs.pop(doc["run_start"], None)

    def documents(self) -> Iterator[tuple[str, Mapping[str, Any]]]:
        """Yield them, each run's from its start."""
        for documents in list(self._runs.values()):
            yield from list(documents)
