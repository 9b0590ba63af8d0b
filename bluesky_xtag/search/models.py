"""The models that the summaries of a catalogue name, and hints for names that are not among them."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ..catalog import Catalog, Where
from ..documents import KEY, model_keys
from ..errors import XTagValueError
from .tagged_runs import newest_summary

if TYPE_CHECKING:
    from ..model import TagModel

__all__ = ["TAGGED", "check_model", "hint_at_models", "known_models", "model_label", "search_model"]

TAGGED = Where(f"{KEY}.frames", ">=", 0)  # any summary, of whatever model
_NAMED = 5  # models, where none has a name like the one asked for


def search_model(catalog: Catalog, model: str | TagModel) -> Catalog:
    """Return the runs that hold tags by a model, also derived runs."""
    conditions = []
    for key, value in model_keys(model).items():
        if key == "model_sha256" and len(value) < 64:
            # No query for beginnings is known to all catalogues. Digits are 0 to f, so "g" is above all that follow.
            conditions += [Where(f"{KEY}.{key}", ">=", value), Where(f"{KEY}.{key}", "<", value + "g")]
        else:
            conditions.append(Where(f"{KEY}.{key}", "==", value))
    return catalog.search(*conditions, Where(f"{KEY}.source", "!=", "human"))


def known_models(catalog: Catalog) -> list[Mapping[str, Any]]:
    """Return one summary for each model that the summaries of the catalogue name, with two requests for each model."""
    found: list[Mapping[str, Any]] = []
    left = catalog.search(TAGGED)
    while (summary := newest_summary(left)) is not None:
        found.append(summary)
        left = left.search(Where(f"{KEY}.model_sha256", "!=", summary["model_sha256"]))
    return found


def check_model(catalog: Catalog, model: str | TagModel) -> None:
    """Raise XTagValueError, with a hint, unless a run of the whole catalogue was tagged by a model."""
    if search_model(catalog, model).count():
        return
    whole = catalog.whole()  # derived runs need not meet the conditions by which the catalogue was narrowed
    if not search_model(whole, model).count():
        raise XTagValueError(
            f"no run of this catalogue has a summary by the model {model_label(model)!r}: "
            f"{hint_at_models(model, known_models(whole))}"
        )


def model_label(model: str | TagModel) -> str:
    """Return the name of a model for messages."""
    return model if isinstance(model, str) else f"{model.name} {model.version}"


def hint_at_models(model: str | TagModel, known: Sequence[Mapping[str, Any]]) -> str:
    """Return the known models that the user may mean, as the end of a sentence.

    Parameters
    ----------
    model : str or TagModel
        The model that was not found.
    known : sequence of mapping
        Summaries, or other mappings with `model`, `model_version` and `model_sha256`.
    """
    versions = dict.fromkeys(f"{each['model']} {each['model_version']}" for each in known)
    names = [*dict.fromkeys(each["model"] for each in known), *versions]
    hashes = dict.fromkeys(each["model_sha256"][:12] for each in known)
    asked = model_label(model)
    near = difflib.get_close_matches(asked, names) or difflib.get_close_matches(asked[:12], hashes, cutoff=0.75)
    if near:
        return f"did you mean {' or '.join(map(repr, near))}?"
    if not versions:
        return "no run has a summary yet, `xtag summarise` writes them"
    others = f" and {len(versions) - _NAMED} more" if len(versions) > _NAMED else ""
    return f"there are tags by {', '.join(map(repr, [*versions][:_NAMED]))}{others}"
