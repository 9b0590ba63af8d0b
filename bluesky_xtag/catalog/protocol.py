"""The interface of stored runs for the rest of the package: a catalogue, a run in it, and a condition of a search.

No other package asks whether a run lies in Tiled or in databroker. A new kind of catalogue needs a module with a
`Catalog` and a `Run`, and one line in `kinds`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from ..frames import Frame, FrameAssembler, Roots

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Catalog", "Document", "Operator", "Run", "Where"]

Document: TypeAlias = tuple[str, Mapping[str, Any]]
Operator: TypeAlias = Literal["==", "!=", "<", "<=", ">", ">="]


@dataclass(frozen=True)
class Where:
    """A condition on the start documents of runs.

    Parameters
    ----------
    key : str
        Key of the start document, levels separated by dots, such as ``"xtag.max_p.ring"``.
    operator : {"==", "!=", "<", "<=", ">", ">="}
        How the key's value is compared. A run without the key meets no condition, except ``!=`` in some stores.
    value : str, bool, int or float
        What it is compared with. SQLite compares an integer with integers only: give a float for a float.
    """

    key: str
    operator: Operator
    value: str | bool | int | float


class Run(ABC):
    """A stored run."""

    @property
    @abstractmethod
    def start(self) -> Mapping[str, Any]:
        """The start document."""

    @property
    @abstractmethod
    def stop(self) -> Mapping[str, Any]:
        """The stop document; empty if there is none yet."""

    @property
    @abstractmethod
    def streams(self) -> list[str]:
        """The names of the streams."""

    @property
    @abstractmethod
    def catalog(self) -> Catalog:
        """The whole catalogue that holds the run, whatever search found it."""

    @property
    def uid(self) -> str:
        """The uid."""
        return str(self.start["uid"])

    @property
    def scan_id(self) -> int:
        """The number that the session gave the run; 0 if it gave none, or a stranger wrote something else there."""
        found = self.start.get("scan_id")
        return found if isinstance(found, int) and not isinstance(found, bool) else 0

    @property
    def num_events(self) -> Mapping[str, Any]:
        """How many events each stream has, as the stop document says; empty if it does not say so."""
        found = self.stop.get("num_events")
        return found if isinstance(found, Mapping) else {}

    @property
    def is_derived(self) -> bool:
        """Whether the run holds data about another run, which has the frames."""
        return "original_run_uid" in self.start

    @property
    def original_uid(self) -> str:
        """The uid of the run that has the frames: the original run's for a derived run, else its own."""
        return str(self.start.get("original_run_uid", self.uid))

    @property
    def is_complete(self) -> bool:
        """Whether the run ended with success."""
        return self.stop.get("exit_status") == "success"

    @abstractmethod
    def table(self, stream: str, fields: Sequence[str] | None = None) -> pd.DataFrame:
        """Return the events of a stream as a table. If the RunEngine took a point again, the last event counts.

        Parameters
        ----------
        stream : str
            Name of a stream that has scalars only.
        fields : sequence of str, optional
            Columns to read; all if None. Those that the stream does not have are left out.

        Returns
        -------
        pandas.DataFrame
            Index ``seq_num``; first column ``time`` (seconds since 1970), then the columns in the order of `fields`
            or of the stream: numbers as float64, integers as int64, booleans as bool, text as str. Empty if the stream
            was announced and got no row.

        Raises
        ------
        KeyError
            There is no such stream.
        """

    @abstractmethod
    def descriptor(self, stream: str) -> Mapping[str, Any]:
        """Return the newest descriptor of a stream: `data_keys` and `configuration`, at least; KeyError if none."""

    @abstractmethod
    def documents(self) -> Iterator[Document]:
        """Yield the documents of the run, so that its images can be read.

        Yields
        ------
        (str, dict)
            Name and document. If the images are not in the event, its value is an object that reads them on request.
            Tiled's own layout leaves the stream "tags" out.
        """

    @abstractmethod
    def update_start(self, changes: Mapping[str, Any]) -> None:
        """Write keys into the start document in one request. Other keys do not change."""

    def frames(self, roots: Roots | None = None) -> Iterator[Frame]:
        """Yield the frames of the run. Live tagging finds frames with the same code.

        Parameters
        ----------
        roots : Roots, optional
            Where the files must be that the documents name; a frame elsewhere raises RootError when it is read. If
            None, anywhere.
        """
        assembler = FrameAssembler(allowed=roots)
        for name, doc in self.documents():
            yield from assembler(name, doc)


class Catalog(ABC):
    """Stored runs: a whole catalogue, or the runs that a search found.

    A server raises its own errors. `catalog_errors` turns them into a `CatalogError`.
    """

    @property
    @abstractmethod
    def native(self) -> Any:
        """The catalogue as its user knows it: a Tiled client."""

    @property
    @abstractmethod
    def name(self) -> str:
        """The name of the catalogue in messages: its address."""

    @property
    @abstractmethod
    def can_replace(self) -> bool:
        """Whether a run that is only partly stored can be replaced; otherwise it can only be finished."""

    @abstractmethod
    def search(self, *conditions: Where) -> Catalog:
        """Return the runs that meet all conditions; the server looks for them."""

    @abstractmethod
    def whole(self) -> Catalog:
        """Return the catalogue without any search."""

    @abstractmethod
    def count(self) -> int:
        """Return how many runs there are."""

    @abstractmethod
    def runs(self) -> Iterator[Run]:
        """Yield all runs in the order of the catalogue, page by page."""

    @abstractmethod
    def newest(self, at_most: int) -> Iterator[Run]:
        """Yield the newest runs, newest first, without derived ones."""

    @abstractmethod
    def last(self) -> Run | None:
        """Return the newest run, derived or not; None if there is none."""

    @abstractmethod
    def find(self, run: str | int) -> Run:
        """Return a run.

        Parameters
        ----------
        run : str or int
            Its uid or the first digits of the uid, its scan_id (the newest run with it), or a negative number that
            counts from the newest run.

        Raises
        ------
        KeyError or IndexError
            There is none.
        ValueError
            There are too few digits, or several uids begin with them.
        """

    @abstractmethod
    def writer(self) -> Callable[[str, Any], Any]:
        """Return a function that takes a name and a document, and stores the document. A RunEngine may call it."""

    @abstractmethod
    def write(self, documents: Sequence[Document]) -> None:
        """Store the documents of a whole run, unless they are already stored.

        A run that is only partly stored is replaced, or finished if `can_replace` is false. A derived run gets the
        access tags of its original run, if the catalogue has access tags.

        Parameters
        ----------
        documents : sequence of (str, dict)
            From start to stop. If `can_replace` is false, only descriptors, events and event pages can be added to a
            run that is partly stored.

        Raises
        ------
        Exception
            Any error of the catalogue's client. What was stored until then has no stop document.
        """

    @abstractmethod
    def close(self) -> None:
        """Close the connection."""

    def get(self, uid: str) -> Run | None:
        """Return the run with this uid, finished or not; None if there is none.

        Unlike `find`, it takes whole uids only: what a stranger's document names may be a scan_id or a place.
        """
        try:
            run = self.find(uid)
        except (KeyError, IndexError, ValueError):
            return None
        return run if run.uid == uid else None

    def holds(self, uid: str) -> bool:
        """Return whether there is a run with this uid, finished or not."""
        return self.get(uid) is not None

    def holds_whole(self, uid: str) -> bool:
        """Return whether there is a run with this uid and with a stop document."""
        run = self.get(uid)
        return run is not None and bool(run.stop)
