"""What the page's server answers where something goes wrong."""

import asyncio
import json

import pytest

from bluesky_xtag.errors import CatalogError, XTagError, XTagValueError
from bluesky_xtag.web.replies import ForbiddenError, GoneError, MissingError, reply


def answer(error):
    async def make():
        raise error

    found = asyncio.run(reply(make))
    return found.status_code, json.loads(found.body)["problem"]


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (MissingError("no"), 404),
        (GoneError("no"), 410),
        (ForbiddenError("no"), 403),
        (XTagValueError("no"), 400),
        (CatalogError("no"), 503),
        (XTagError("no"), 422),
        (RuntimeError("no"), 500),
    ],
)
def test_each_error_has_its_status(error, status):
    assert answer(error)[0] == status


def test_an_answer_holds_no_secret():
    _, problem = answer(RuntimeError("https://me:hunter22@example.org?api_key=hunter22 refused"))
    assert problem == "RuntimeError: https://***@example.org?api_key=*** refused"
