"""What a device says of the rows of tags that it gives to the RunEngine."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from bluesky.protocols import Hints, Reading
from event_model import DataKey

from .. import documents

if TYPE_CHECKING:
    from ..model import ServedModel

__all__ = ["RowDevice"]


class RowDevice:
    """A device whose readings are rows of tags: what a Readable and an EventPageCollectable say of them.

    A subclass has a `name`, which begins the names of the columns, and a `model`.
    """

    parent = None  # a device of its own
    name: str

    @property
    def model(self) -> ServedModel:
        """The model whose tags these are."""
        raise NotImplementedError

    @property
    def hints(self) -> Hints:
        """No columns by default in other callbacks' tables and plots."""
        return {"fields": []}

    def describe(self) -> dict[str, DataKey]:
        """Return the data keys of the columns."""
        return documents.data_keys(self.name, self.model.taxonomy)

    def describe_collect(self) -> dict[str, DataKey]:
        """Return the data keys of the columns."""
        return self.describe()

    def read_configuration(self) -> dict[str, Reading]:
        """Return what is needed to know where the tags come from: model, thresholds, preparation, device."""
        now = time.time()
        values = documents.configuration(self.name, self.model)
        return {key: {"value": value, "timestamp": now} for key, value in values.items()}

    def describe_configuration(self) -> dict[str, DataKey]:
        """Return the data keys of `read_configuration`."""
        return documents.configuration_keys(self.name, self.model.taxonomy)
