"""A bridge to bluesky-adaptive 1.0: its optimizers use the tags of this package.

The strategies of this package need no bridge in its plans: they have the shape of its `Optimizer`. Its plans take
``optimize_in_run(problem, per_step=tagged_step(xtag))``, see `bluesky_xtag.plans.stubs`.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping, Sequence
from typing import Any

from ..documents import STREAM, TagRow, TagRows, column
from ..errors import XTagError, XTagValueError
from ..tagger import Tagger
from .stubs import tagged_step

__all__ = ["TagEvaluation", "tagged_step"]

_ID = "_id"
_ORDER = "blop_acquisition_order"  # where `default_acquire` writes in which order it took the suggestions
_RUNS_KEPT = 64


class TagEvaluation:
    """An `EvaluationFunction` of bluesky-adaptive: the outcomes of a suggestion are the probabilities of tags.

    It uses the rows of the stream "tags" that the RunEngine has emitted, and gets them through the tagger. It does not
    wait, and it does not read a catalogue.

    Parameters
    ----------
    tagger : Tagger
        A tagger that is installed, or subscribed.
    outcomes : sequence of str, or mapping of str to str, optional
        The tags, or the name of each outcome and its tag. If None, all tags of the model. Ax does not accept an outcome
        that is called `ring`, because SymPy uses that name: give ``{"p_ring": "ring"}``.
    missing : float
        The outcome of a frame without tags. Strategies of this package leave out places with NaN. Use 0.0 for an
        optimizer that accepts numbers only.

    Raises
    ------
    XTagValueError
        The model has no such tag.
    """

    __name__ = "TagEvaluation"  # by which bluesky-adaptive records it

    def __init__(
        self, tagger: Tagger, outcomes: Sequence[str] | Mapping[str, str] | None = None, *, missing: float = math.nan
    ) -> None:
        known = tagger.model.taxonomy.names
        named = known if outcomes is None else outcomes
        self._tags = dict(named) if isinstance(named, Mapping) else {tag: tag for tag in named}
        self.outcomes = tuple(self._tags)
        if unknown := [tag for tag in self._tags.values() if tag not in known]:
            raise XTagValueError(f"no tag {', '.join(unknown)}; the model's tags: {', '.join(known)}")
        self._name = tagger.name
        self._listener = _Listener(tagger.name, self._tags, float(missing))
        self._runs = self._listener.runs
        tagger.listen(self._listener)

    def __call__(self, uid: Any, suggestions: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
        """Return the outcomes of suggestions.

        Parameters
        ----------
        uid : str or tuple
            Uid of the run that took them (`optimize`), or their ids in the order in which they were taken in the run
            that is still open (`optimize_in_run`).
        suggestions : sequence of mapping
            What was suggested, with `_id`.

        Returns
        -------
        list of dict
            For each suggestion its `_id`, and each outcome: the probability of its tag.

        Raises
        ------
        XTagError
            A suggestion has no row, because the plan did not read the tagger.
        """
        asked = [suggestion[_ID] for suggestion in suggestions]
        if isinstance(uid, str):
            run, order, first = self._runs.get(uid), None, 1
            if run is not None:
                order = run.start.get(_ORDER)
        else:
            run = next((each for each in reversed(self._runs.values()) if each.open), None)
            order, first = list(uid), run.evaluated + 1 if run is not None else 1
        if run is None:
            raise XTagError(f"no documents of run {uid} arrived: call install(RE) or RE.subscribe({self._name})")
        rows = self._by_id(run, order or asked, first)
        if not isinstance(uid, str):
            run.evaluated += len(rows)
        return [{_ID: one} | rows[one] for one in asked]

    def _by_id(self, run: _Run, order: Sequence[Hashable], first: int) -> dict[Hashable, dict[str, float]]:
        found: dict[Hashable, dict[str, float]] = {}
        for number, one in enumerate(order, start=first):
            if number not in run.rows:
                raise XTagError(
                    f"frame {number} of run {run.start['uid']} has no row in the stream {STREAM!r} yet: give "
                    f"per_step=tagged_step({self._name}) to the plan, or install with wait='point'"
                )
            found[one] = run.rows[number]
        return found


class _Listener(TagRows):
    """Keeps the outcomes of the frames of the newest runs.

    Parameters
    ----------
    name : str
        The tagger's name.
    tags : mapping of str to str
        The tag of each outcome.
    missing : float
        The outcome of a frame without tags.
    """

    def __init__(self, name: str, tags: Mapping[str, str], missing: float) -> None:
        super().__init__()
        self.runs: dict[str, _Run] = {}
        self._name = name
        self._tags = tags
        self._missing = missing

    def begin(self, doc: Mapping[str, Any]) -> None:
        """Make room for a run."""
        self.runs[doc["uid"]] = _Run(doc)
        if len(self.runs) > _RUNS_KEPT:
            del self.runs[next(iter(self.runs))]

    def add(self, run: str, number: int, data: Mapping[str, Any]) -> None:
        """Keep the outcomes of a frame, unless it is of another tagger."""
        if column(self._name, "status") not in data:
            return
        seen = TagRow.read(number, data, self._name, list(self._tags.values()))
        outcomes = {outcome: self._missing if seen.missing else seen.scores[tag] for outcome, tag in self._tags.items()}
        if run in self.runs:
            self.runs[run].rows[int(data[column(self._name, "frame_seq_num")])] = outcomes

    def end(self, run: str) -> None:
        """Note that the run is complete."""
        if run in self.runs:
            self.runs[run].open = False


class _Run:
    """What is known about a run."""

    def __init__(self, start: Mapping[str, Any]) -> None:
        self.start = start
        self.rows: dict[int, dict[str, float]] = {}  # scores by sequence number of the frame's event
        self.evaluated = 0
        self.open = True
