"""What a terminal shows after what was written to it: as much of one as pages of labels need."""

import re

_PART = re.compile(
    r"\x1b\[(?P<row>\d+);(?P<column>\d+)H|(?P<clear>\x1b\[2J)|(?P<home>\x1b\[H)|(?P<rest>\x1b\[K)"
    r"|\x1b\[[?>]?[\d;]*[A-Za-z]|\x1b[_P\]].*?(?:\x1b\\|\x07)|(?P<text>[^\x1b])",
    re.DOTALL,
)


class Screen:
    """Lines of characters; colours and pictures are left out."""

    def __init__(self, columns=80, rows=24):
        self.columns, self.rows = columns, rows
        self.cells = {}
        self.at = (1, 1)
        self.widest = 0

    def feed(self, text):
        for part in _PART.finditer(text):
            if part["row"]:
                self.at = (int(part["row"]), int(part["column"]))
            elif part["clear"]:
                self.cells.clear()
            elif part["home"]:
                self.at = (1, 1)
            elif part["rest"]:
                row, column = self.at
                self.cells = {place: each for place, each in self.cells.items() if place[0] != row or place[1] < column}
            elif part["text"]:
                self._put(part["text"])
        return self

    def _put(self, character):
        row, column = self.at
        if character == "\r":
            self.at = (row, 1)
        elif character == "\n":
            self.at = (row + 1, column)
        else:
            self.cells[row, column] = character
            self.at = (row, column + 1)
            self.widest = max(self.widest, column)

    @property
    def lines(self):
        return [
            "".join(self.cells.get((row, column), " ") for column in range(1, self.columns + 1)).rstrip()
            for row in range(1, self.rows + 1)
        ]

    def line_of(self, word):
        """The line with a word, from there on."""
        return next(line[line.index(word) :] for line in self.lines if word in line)
