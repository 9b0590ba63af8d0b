"""How the page's server answers: with JSON, or with a status and the reason why it cannot."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import orjson
from starlette.responses import Response

from ..errors import CatalogError, XTagError, XTagValueError, hide_secrets

__all__ = ["ForbiddenError", "GoneError", "MissingError", "reply"]


class MissingError(XTagError):
    """There is no such thing."""


class GoneError(XTagError):
    """It was there, and is not kept any more."""


class ForbiddenError(XTagError):
    """It must not be done here."""


async def reply(make: Callable[[], Any]) -> Response:
    """Answer with what is made, or with why it cannot be."""
    try:
        made = await make()
    except Exception as error:  # noqa: BLE001 - the page shows every reason
        status = next((status for kind, status in _STATUSES.items() if isinstance(error, kind)), 500)
        reason = str(error) if isinstance(error, XTagError) else f"{type(error).__name__}: {error}"
        return _json({"problem": hide_secrets(reason)}, status)
    return made if isinstance(made, Response) else _json(made)


_STATUSES = {
    MissingError: 404,
    GoneError: 410,
    ForbiddenError: 403,
    XTagValueError: 400,
    ValueError: 400,
    CatalogError: 503,
    XTagError: 422,
}


def _json(value: Any, status: int = 200) -> Response:
    return Response(orjson.dumps(value, option=orjson.OPT_SERIALIZE_NUMPY), status, media_type="application/json")
