"""Keys and passwords never appear in what is shown, logged or stored."""

import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bluesky_xtag import errors
from bluesky_xtag.documents import FrameId
from bluesky_xtag.errors import XTagError, hide_secrets
from bluesky_xtag.frames import Frame
from bluesky_xtag.tagger.scoring import tag_frame

KINDS = [each for each in vars(errors).values() if isinstance(each, type) and issubclass(each, XTagError)]
secrets = st.text("abcdefghijklmnopqrstuvwxyzABCXYZ0123456789._~%+!$*-", min_size=8, max_size=20).map(
    lambda s: f"Zq{s}"
)
PLACES = (
    "https://beamline:{}@tiled.example.org/api/v1/",
    "https://{}@tiled.example.org:8000/node",
    "postgresql://tiled:{}@db.example.org:5432/runs",
    "postgresql+asyncpg://tiled:{}@db/runs?sslmode=require",
    "http://127.0.0.1:8000/?api_key={}",
    "http://127.0.0.1:8000/api/v1/?path=a/b&API_KEY={}&x=1",
    "https://tiled.example.org/?access_token={}#there",
    "https://tiled.example.org/?key={}",
    "https://bucket.example.org/a?X-Amz-Signature={}&X-Amz-Date=1",
    "s3://{}@bucket/frames",
    "host=db user=tiled password={} dbname=runs",
    "host=db password='{}' dbname=runs",
    "api_key={}",
    "TILED_API_KEY={}",
    "xtag replay http://host --api-key {} --runs -1",
    "xtag replay http://host --api-key={} --runs -1",
    "Authorization: Apikey {}",
    "authorization: Bearer {}",
    "Authorization: Basic {}",
    "Authorization: Token {}",
    '{{"api_key": "{}"}}',
    "{{'access_token': '{}', 'limit': 5}}",
    '"refresh_token":"{}"',
    "headers {{'X-API-Key': '{}'}}",
    "headers [(b'authorization', b'Apikey {}')]",
    "Header('authorization', 'Basic {}')",
    "x-api-key: {}",
    "Cookie: tiled_api_key={}; csrf=1",
    "https://tiled.example.org/?api%5Fkey={}&limit=5",
    "https://tiled.example.org/login?next=%2Fapi%3Fapi_key%3D{}",
    "https://tiled.example.org/#access_token={}",
    "https://tiled.example.org/?auth={}&limit=5",
    "https://tiled.example.org/callback?code={}",
    "https://tiled.example.org/?session={}",
    "https://tiled.example.org/?session_id={}#there",
    "sqlite:///runs.db?cipher={}",
    "{{'sasl.password': '{}', 'group.id': 'xtag'}}",
    "sasl.password={}",
    "passphrase={}",
    "password: {}",
    "mongodb+srv://tiled:{}@db.example.org/runs",
    "redis://:{}@127.0.0.1:6379/0",
)
PLAIN = (
    "https://tiled.example.org:8000/api/v1/metadata/?limit=5&sort=time",
    "postgresql://db.example.org/runs",
    "file:///data/user@host/frames.h5",
    "give one in the environment variable TILED_API_KEY or with --api-key",
    "No frames in run a: it has no data key det. If one is, name it: key=det, keys=3",
    "there is no run 'plan_name=scan' in the catalogue",
    "ab@example.org wrote it",
    "authorization: see the page on servers; a cookie: none; the token: none",
    "the model's card names 'tokens' and 'layers'",
)


@pytest.mark.parametrize("place", PLACES)
@given(secret=secrets)
def test_a_secret_is_hidden_wherever_it_is(place, secret):
    told = f"it could not be opened: {place.format(secret)}, call again"
    hidden = hide_secrets(told)
    assert secret not in hidden and "***" in hidden
    assert "call again" in hidden
    assert hide_secrets(hidden) == hidden


@pytest.mark.parametrize("text", PLAIN)
def test_what_is_no_secret_stays(text):
    assert hide_secrets(text) == text


@given(st.text(max_size=200))
def test_any_text_goes_through(text):
    hide_secrets(text)


@pytest.mark.parametrize("name", ["TILED_API_KEY", "TILED_SINGLE_USER_API_KEY"])
def test_the_key_of_the_environment_is_hidden_even_by_itself(monkeypatch, name):
    monkeypatch.setenv(name, "0123456789abcdef")
    assert hide_secrets("refused (0123456789abcdef)") == "refused (***)"


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_no_error_of_ours_holds_a_secret(kind):
    error = kind("the catalogue https://me:hunter22@host/?api_key=hunter23 is away")
    for told in (str(error), repr(error), str(error.args), str(pickle.loads(pickle.dumps(error)))):
        assert "hunter2" not in told and "https://***@host/?api_key=*** is away" in told


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_errors_can_be_made_by_their_new_as_dask_does(kind):
    assert isinstance(kind.__new__(kind, "away"), kind)


def test_the_reason_of_a_row_holds_no_secret():
    class Away:
        size = None

        def read(self, index):
            raise OSError("https://me:hunter22@host/frame does not answer")

    tagging = tag_frame(None, Frame(FrameId("run", "primary", "det", 1, 0, "uid"), None, None, Away()))
    assert tagging.status == "unreadable"
    assert tagging.reason == "OSError: https://***@host/frame does not answer"


def test_the_reason_of_a_model_holds_no_secret(caplog):
    class Remote:
        taxonomy = thresholds = ()

        def predict(self, images, beam_centres, masks):
            raise RuntimeError("http://gpu/?token=hunter22 is gone")

    class Pixels:
        size = None

        def read(self, index):
            return np.ones((16, 16))

    tagging = tag_frame(Remote(), Frame(FrameId("run", "primary", "det", 1, 0, "uid"), None, None, Pixels()))
    assert tagging.status == "failed"
    assert "hunter22" not in tagging.reason + caplog.text


@pytest.mark.parametrize(
    "part",
    [
        "_",
        "-",
        ".",
        "a_",
        "a.b-",
        "%5F",
        "?_",
        "'_",
        "token",
        "_token_",
        "token ",
        "token= ",
        "'token' ",
        "://",
        "w://a",
        "@",
    ]
    + ["authorization ", "cookie ", "api_", "password='", "bearer ", "x-"],
)
def test_texts_of_strangers_take_no_time(part):
    """A name of many underscores once took minutes: the limit of a unit test is the assertion."""
    text = part * (3_000 // len(part))
    assert "hunter22" not in hide_secrets(text + " https://me:hunter22@host")
