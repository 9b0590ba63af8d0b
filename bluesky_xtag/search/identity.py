"""Which model is meant: a person names it, or gives a part of its fingerprint."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ..model import TagModel

__all__ = ["describes", "wanted"]

_FINGERPRINT = re.compile(r"[0-9a-f]{8,64}")
_NAME_AND_VERSION = re.compile(r"(?P<name>.+) (?P<version>\d\S*)")


def wanted(model: str | TagModel) -> dict[str, str]:
    """Return what the summary of a tagging by this model holds: `model`, `model_version`, and `model_sha256`.

    The last may be just the beginning of the fingerprint.
    """
    if not isinstance(model, str):
        return {"model_sha256": model.sha256}
    if _FINGERPRINT.fullmatch(model):
        return {"model_sha256": model}
    if found := _NAME_AND_VERSION.fullmatch(model):
        return {"model": found["name"], "model_version": found["version"]}
    return {"model": model}


def describes(model: str | TagModel, summary: Mapping[str, Any]) -> bool:
    """Return whether the summary of a tagging tells of this model."""
    return all(
        str(summary[key]).startswith(value) if key == "model_sha256" else summary[key] == value
        for key, value in wanted(model).items()
    )
