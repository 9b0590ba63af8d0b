"""Tags every detector frame of a Bluesky scan while it runs.

>>> from bluesky_xtag import install
>>> xtag = install(RE)  # doctest: +SKIP
"""

from typing import TYPE_CHECKING, Any

from .errors import CatalogError, FrameError, FrameNotReady, ModelError, NoTagsError, XTagError, XTagValueError
from .model import DEFAULT_TAXONOMY, Tag, Taxonomy

if TYPE_CHECKING:
    from .documents import Tagging
    from .model import TagModel
    from .tagger import Tagger, install

__all__ = [
    "DEFAULT_TAXONOMY",
    "CatalogError",
    "FrameError",
    "FrameNotReady",
    "ModelError",
    "NoTagsError",
    "Tag",
    "TagModel",
    "Tagger",
    "Tagging",
    "Taxonomy",
    "XTagError",
    "XTagValueError",
    "install",
]

# Resolved at first use (PEP 562), since bluesky itself takes most of a second to import.
_LAZY = {"TagModel": "model", "Tagger": "tagger", "Tagging": "documents", "install": "tagger"}


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        from importlib import import_module

        return getattr(import_module(f".{_LAZY[name]}", __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
