"""The errors of catalogues, turned into errors of this package."""

from __future__ import annotations

import sqlite3  # before TensorFlow, see bluesky_xtag.catalog.opening
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from ..errors import CatalogError, XTagError, hide_secrets

__all__ = ["catalog_errors", "is_away"]

# Of a server that is there, but not for us now. Others (404, 500) it gives for files that it cannot read.
_NOT_NOW = frozenset({401, 403, 429, 502, 503, 504})


@contextmanager
def catalog_errors(name: str, doing: str = "opened") -> Iterator[None]:
    """Turn the errors of a catalogue that cannot do something into a `CatalogError`.

    Parameters
    ----------
    name : str
        The catalogue's name, for the message.
    doing : str
        What the catalogue is asked to do, as a participle, for the message.
    """
    import httpx
    from sqlalchemy.exc import SQLAlchemyError
    from tiled.client.context import CannotPrompt

    problem = f"the catalogue {name} could not be {doing}"
    try:
        yield
    except XTagError:
        raise
    except httpx.HTTPStatusError as error:
        status = error.response.status_code
        if status in (401, 403):
            raise CatalogError(
                f"{problem}: it does not allow you to do that ({status}); give an API key with more rights, in the "
                "environment variable TILED_API_KEY or with --api-key"
            ) from _without_secrets(error)
        raise CatalogError(f"{problem}: its server answers {error}") from _without_secrets(error)
    except httpx.TransportError as error:
        raise CatalogError(
            f"{problem}: its server cannot be reached ({error or type(error).__name__})"
        ) from _without_secrets(error)
    except (SQLAlchemyError, sqlite3.Error, *_errors_of_tables("Error")) as error:  # from a catalogue in this process
        raise CatalogError(
            f"{problem}: its database answers {getattr(error, 'orig', None) or error}"
        ) from _without_secrets(error)
    except OSError as error:
        raise CatalogError(f"{problem}: {error}") from _without_secrets(error)
    except (CannotPrompt, RuntimeError) as error:
        if isinstance(error, RuntimeError) and "API key" not in str(error):
            raise
        raise CatalogError(
            f"{problem}: it needs an API key; give one in the environment variable TILED_API_KEY or with --api-key"
        ) from _without_secrets(error)


def _without_secrets(error: BaseException) -> BaseException | None:
    """Return the cause of an error as a traceback may show it: None if its message holds a secret."""
    return error if hide_secrets(str(error)) == str(error) else None


def is_away(error: Exception) -> bool:
    """Return whether an error says that a catalogue does not answer, so that the result is unknown."""
    import httpx
    from sqlalchemy.exc import SQLAlchemyError

    if isinstance(error, httpx.HTTPStatusError):
        return error.response.status_code in _NOT_NOW
    away = (httpx.TransportError, SQLAlchemyError, sqlite3.Error, *_errors_of_tables("OperationalError"))
    return isinstance(error, away)


def _errors_of_tables(name: str) -> list[type[Exception]]:
    """Return the class of this name of the errors of the tables' database; none where no such database was opened."""
    module = sys.modules.get("adbc_driver_manager")
    return [] if module is None else [getattr(module, name)]
