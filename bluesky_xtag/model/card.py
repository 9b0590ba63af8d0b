"""The card of a model: its identity, its tags with their thresholds, and its preparation. It needs no TensorFlow."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from ..errors import ModelError, XTagError, XTagValueError
from .prepare import Preparation
from .taxonomy import Tag, Taxonomy

__all__ = ["CARD", "DEFAULT", "FORMAT", "ModelCard", "ServedModel", "fingerprint"]

CARD = "card.json"
DEFAULT = Path(__file__).parent / "default"
FORMAT = 1
_LARGEST = 16 * 2**20  # bytes
_WANTED = frozenset({"format", "name", "version", "taxonomy", "thresholds", "preparation", "sha256"})


@dataclass(frozen=True, eq=False)
class ModelCard:
    """What a model is, without its network.

    Parameters
    ----------
    name, version : str
        Identity, for people.
    sha256 : str
        Hash of everything that decides the scores; see `fingerprint`.
    taxonomy : Taxonomy
        The tags, in the order of the scores.
    thresholds : numpy.ndarray
        (tags,) float32, the score from which on a tag is accepted.
    preparation : Preparation
        How raw frames become network inputs.
    stored : mapping
        All fields as card.json holds them, also additional ones (figures, training).
    """

    name: str
    version: str
    sha256: str
    taxonomy: Taxonomy
    thresholds: np.ndarray
    preparation: Preparation
    stored: Mapping[str, Any] = field(repr=False)

    @classmethod
    def load(cls, directory: str | Path | None = None) -> ModelCard:
        """Read the card of a model directory; of the packaged model if none is given.

        Raises
        ------
        ModelError
            The card is missing or damaged, or does not fit this package.
        """
        path = (DEFAULT if directory is None else Path(directory)) / CARD
        if not path.is_file():
            raise ModelError(f"{path} is missing: give a directory written by TagModel.save")
        if (size := path.stat().st_size) > _LARGEST:
            raise ModelError(f"{path} is of {size:,} bytes, at most {_LARGEST:,} are allowed: get the model again")
        try:
            return cls.from_dict(json.loads(path.read_text("utf-8")))
        except (json.JSONDecodeError, UnicodeDecodeError, RecursionError) as error:
            raise ModelError(f"{path} is not JSON ({error}): get the model again") from error
        except ModelError as error:
            raise ModelError(f"{path.parent}: {error}") from error

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any]) -> ModelCard:
        """Return the card with these fields, as card.json holds them; ModelError if they do not fit."""
        if not isinstance(stored, Mapping):
            raise ModelError(f"{CARD} holds {type(stored).__name__}, not the fields of a card: get the model again")
        if missing := sorted(_WANTED - set(stored)):
            raise ModelError(f"the card lacks {', '.join(missing)}: train or download the model again")
        if stored["format"] != FORMAT:
            raise ModelError(
                f"the model has format {stored['format']}, this package reads {FORMAT}: use the matching version"
            )
        taxonomy = _taxonomy(stored)
        thresholds = _thresholds(stored)
        try:
            preparation = Preparation.from_dict(stored["preparation"])
        except (XTagValueError, TypeError) as error:
            raise ModelError(f"the card's preparation does not fit: {error}") from error
        return cls(
            str(stored["name"]),
            str(stored["version"]),
            str(stored["sha256"]),
            taxonomy,
            thresholds,
            preparation,
            dict(stored),
        )


class ServedModel(Protocol):
    """What is known about a model that serves elsewhere: the fields of its card, and the device that it runs on."""

    name: str
    version: str
    sha256: str
    taxonomy: Taxonomy
    thresholds: np.ndarray
    preparation: Preparation

    @property
    def device(self) -> str:
        """What the model runs on: ``CPU``, or ``GPU: `` and its name."""
        ...


def fingerprint(network: bytes, taxonomy: Taxonomy, preparation: Preparation) -> str:
    """Return the SHA-256 of everything that decides the outputs: network, tags and strengths in order, preparation.

    The thresholds, which a user may change, and the texts of the card are left out.
    """
    meaning: dict[str, Any] = {"tags": taxonomy.names, "preparation": preparation.to_dict()}
    if taxonomy.graded:  # earlier networks have none
        meaning["graded"] = taxonomy.graded
    return hashlib.sha256(network + json.dumps(meaning, sort_keys=True).encode()).hexdigest()


def _taxonomy(stored: Mapping[str, Any]) -> Taxonomy:
    try:
        tags = tuple(Tag(**tag) for tag in stored["taxonomy"])
        if strange := [tag for tag in tags if not isinstance(tag.graded, bool)]:
            raise ModelError(f"whether the tag {strange[0].name} is graded is {strange[0].graded!r}, not true or false")
        return Taxonomy(tags)
    except (XTagError, TypeError) as error:
        raise ModelError(f"the card's taxonomy does not fit: {error}") from error


def _thresholds(stored: Mapping[str, Any]) -> np.ndarray:
    try:
        thresholds = np.asarray(stored["thresholds"], np.float32)
    except (TypeError, ValueError) as error:
        raise ModelError(f"the card's thresholds are not numbers: {error}") from error
    if thresholds.shape != (len(stored["taxonomy"]),) or not np.all((thresholds >= 0) & (thresholds <= 1)):
        raise ModelError(
            f"the card has {len(stored['taxonomy'])} tags, but thresholds {stored['thresholds']}: "
            "one number from 0 to 1 is needed for each tag"
        )
    return thresholds
