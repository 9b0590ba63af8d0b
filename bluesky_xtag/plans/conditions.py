"""Conditions on the tags of a frame, as plans take them: ``"ring>0.9 for 3"``, ``"not saturated and (ring or halo)"``.

The language::

    condition   = either [ "for" NUMBER [ "frames" ] ]      how many frames in a row; 1 if not given
    either      = both { "or" both }
    both        = factor { "and" factor }
    factor      = "not" factor | "(" either ")" | value [ COMPARISON value ]
    value       = TAG | NUMBER
    COMPARISON  = ">" | ">=" | "<" | "<="

In a comparison, a tag means its probability. A tag alone holds if the model accepts it, that is, if its probability
reaches the model's own threshold. The text is never executed as code.
"""

from __future__ import annotations

import difflib
import operator
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, NamedTuple

from ..documents import TagRow
from ..errors import ConditionError

__all__ = ["Condition", "condition", "parse"]


@dataclass(frozen=True)
class Condition:
    """A condition on the tags of a frame, and on how many frames in a row it must hold.

    Parameters
    ----------
    text : str
        What the user wrote; the name of a callable.
    test : callable
        Takes a `TagRow` that has tags, and returns whether the condition holds for it.
    frames : int
        How many frames in a row, from 1.
    tags : tuple of str
        The tags that the condition names, in the order of the text; empty for a callable.
    parsed : bool
        False for a callable: it cannot be made again from its text.
    """

    text: str
    test: Callable[[TagRow], Any]
    frames: int = 1
    tags: tuple[str, ...] = ()
    parsed: bool = True

    def holds(self, seen: TagRow) -> bool:
        """Return whether the condition holds for one frame. It never holds for a frame without tags."""
        return not seen.missing and bool(self.test(seen))

    def in_words(self, seen: TagRow) -> str:
        """Return the condition and the probabilities of the tags that it names, in words."""
        values = ", ".join(f"{tag} {seen.scores[tag]:.2f}" for tag in self.tags)
        return f"{self.text} ({values})" if values else self.text


def condition(
    wanted: str | Condition | Callable[[TagRow], Any], tags: Iterable[str], *, of_one_frame: bool = False
) -> Condition:
    """Return the condition that a user gave as a text or a callable.

    Parameters
    ----------
    wanted : str, Condition or callable
        A text, see `parse`, or a function that takes a `TagRow` and returns whether the condition holds.
    tags : iterable of str
        The names of the model's tags.
    of_one_frame : bool
        Whether the condition must not ask for several frames in a row.

    Raises
    ------
    ConditionError
        The text is not understood, or the value is neither a text nor a callable.
    """
    if isinstance(wanted, str):
        wanted = parse(wanted, tags)
    if not isinstance(wanted, Condition):
        if not callable(wanted):
            raise ConditionError(f"{wanted!r} is not a condition: give a text such as 'ring>0.9 for 3', or a callable")
        wanted = Condition(getattr(wanted, "__name__", type(wanted).__name__), wanted, parsed=False)
    if of_one_frame and wanted.frames > 1:
        raise ConditionError(
            f"{wanted.text!r}: here each frame is judged by itself, so leave out 'for {wanted.frames}'"
        )
    return wanted


def parse(text: str, tags: Iterable[str]) -> Condition:
    """Return the condition that a text states; the module's documentation has the grammar.

    Parameters
    ----------
    text : str
        The condition.
    tags : iterable of str
        The names of the model's tags.

    Raises
    ------
    ConditionError
        The text is not understood; the message shows the place, and near matches of an unknown tag.
    """
    return _Parser(text, tuple(tags)).condition()


_COMPARISONS = {">": operator.gt, ">=": operator.ge, "<": operator.lt, "<=": operator.le}
_WORDS = frozenset({"and", "or", "not", "for", "frame", "frames"})
_TOKEN = re.compile(r"\s*(?:(?P<number>(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)|(?P<name>[^\W\d]\w*)|(?P<sign>>=|<=|\S))")
_LONGEST = 200  # tokens; brackets cost the stack of calls some frames each


class _Token(NamedTuple):
    kind: str  # "number", "name", "sign" or "end"
    text: str
    at: int


def _tokens(text: str) -> list[_Token]:
    found = []
    for match in _TOKEN.finditer(text):
        kind = match.lastgroup or "sign"
        found.append(_Token(kind, match[kind], match.start(kind)))
    return [*found, _Token("end", "", len(text))]


_Test = Callable[[TagRow], Any]


class _Parser:
    """Recursive descent, a method for each rule of the grammar; each returns a function of what is seen."""

    def __init__(self, text: str, tags: tuple[str, ...]) -> None:
        self._text = " ".join(text.split())
        self._tags = tags
        self._named: list[str] = []
        self._tokens = _tokens(self._text)
        self._next = 0

    def condition(self) -> Condition:
        if len(self._tokens) > _LONGEST:
            raise ConditionError(f"a condition of {len(self._tokens)} words is too long: at most {_LONGEST}")
        test = self._either()
        frames = self._frames() if self._take("for") else 1
        if self._token.kind != "end":
            raise self._error("expected 'and', 'or', 'for' or the end")
        return Condition(self._text, test, frames, tuple(dict.fromkeys(self._named)))

    def _frames(self) -> int:
        token = self._token
        if token.kind != "number" or not token.text.isdigit() or int(token.text) < 1:
            raise self._error("expected a whole number of frames from 1 on")
        self._next += 1
        _ = self._take("frames") or self._take("frame")
        return int(token.text)

    def _either(self) -> _Test:
        tests = [self._both()]
        while self._take("or"):
            tests.append(self._both())
        return tests[0] if len(tests) == 1 else lambda seen: any(test(seen) for test in tests)

    def _both(self) -> _Test:
        tests = [self._factor()]
        while self._take("and"):
            tests.append(self._factor())
        return tests[0] if len(tests) == 1 else lambda seen: all(test(seen) for test in tests)

    def _factor(self) -> _Test:
        if self._take("not"):
            test = self._factor()
            return lambda seen: not test(seen)
        if self._take("("):
            test = self._either()
            if not self._take(")"):
                raise self._error("expected ')'")
            return test
        first = self._token
        left = self._value()
        if self._token.text not in _COMPARISONS:
            if first.kind == "number":
                raise self._error("expected a comparison: a number alone is not a condition")
            return lambda seen: first.text in seen.tags
        compare = _COMPARISONS[self._token.text]
        self._next += 1
        second = self._token
        right = self._value()
        if self._token.text in _COMPARISONS:
            raise self._error("expected 'and': write 0.2 < ring and ring < 0.8")
        for token in (first, second):
            if token.kind == "number" and float(token.text) > 1:
                raise self._error(f"a probability is at most 1: write 0.9 for 90 %, not {token.text}")
        return lambda seen: compare(left(seen), right(seen))

    def _value(self) -> Callable[[TagRow], float]:
        token = self._token
        if token.kind == "number":
            self._next += 1
            number = float(token.text)
            return lambda seen: number
        if token.kind != "name" or token.text in _WORDS:
            raise self._error("expected a tag, a number, 'not' or '('")
        if token.text not in self._tags:
            raise self._error(f"there is no tag {token.text!r}; {self._near(token.text)}")
        self._next += 1
        self._named.append(token.text)
        return lambda seen: seen.scores[token.text]

    @property
    def _token(self) -> _Token:
        return self._tokens[self._next]

    def _take(self, text: str) -> bool:
        taken = self._token.kind != "end" and self._token.text == text
        self._next += taken
        return taken

    def _near(self, name: str) -> str:
        near = difflib.get_close_matches(name, self._tags, n=3)
        return f"did you mean {' or '.join(near)}?" if near else f"known tags: {', '.join(self._tags)}"

    def _error(self, message: str) -> ConditionError:
        return ConditionError(f"{message}\n    {self._text}\n    {' ' * self._token.at}^")
