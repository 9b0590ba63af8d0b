"""What `serve` needs of a message bus, and the messages that all of them carry."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Protocol

__all__ = ["Bus"]


class Bus(Protocol):
    """Brings documents from other processes, and takes documents to them."""

    def join(self, timeout: float) -> None:
        """Return once every document that is sent from now on arrives here.

        Raises
        ------
        XTagError
            The bus does not answer.
        """
        ...

    def receive(self, timeout: float) -> Iterator[tuple[str, dict[str, Any]]]:
        """Yield the documents that have arrived; wait for the first, up to `timeout` seconds.

        What is no document, or is written in another format, is passed over, and that is said.
        """
        ...

    def send(self, name: str, doc: Mapping[str, Any]) -> None:
        """Send a document; never waits for whoever listens."""
        ...

    def close(self) -> None:
        """Send what waits, within seconds, and leave."""
        ...
