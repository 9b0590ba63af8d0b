"""`xtag correct`, `review` and `compare` on a Tiled server; `export-labels` is tested in tests/system."""

import pytest
from support.archives import opened, record, replayed
from typer.testing import CliRunner

from bluesky_xtag.cli import app
from bluesky_xtag.search import tags


@pytest.fixture
def served(request, tiled_server, monkeypatch):
    """A stored run whose frames score 10, 45 and 95 % for "ring"; a function for commands; the server's address."""
    store = opened(request, "serve sqlite")
    (uid,) = record(store.insert, [10, 45, 95])
    monkeypatch.setenv("TILED_API_KEY", tiled_server.key)
    return store, uid, tiled_server.uri("sqlite")


def xtag(*arguments):
    return CliRunner().invoke(app, list(map(str, arguments)))


def test_correct_tells_what_the_frames_have_now(served):
    store, uid, address = served
    asked = ("correct", address, uid[:12], 2, "3:0", "--add", "ring", "--remove", "empty", "--by", "ab")
    done = xtag(*asked)
    assert done.exit_code == 0, done.output
    assert done.stdout.splitlines() == ["row 2 (det 2:0): ring", "row 3 (det 3:0): ring"]
    assert list(tags(store.runs[uid])["xtag_decided_by"]) == ["model", "ab", "ab"]


def test_what_does_not_fit_is_named_and_nothing_is_stored(served, monkeypatch):
    store, uid, address = served
    for arguments, status, message in (
        ((uid, 1, "--add", "rign"), 2, "did you mean ring?"),
        ((uid, "first", "--add", "ring"), 2, "'first' is not a frame"),
        (("nowhere", 1, "--add", "ring"), 2, "there is no run 'nowhere'"),
    ):
        done = xtag("correct", address, *arguments, "--by", "ab")
        assert (done.exit_code, message in done.stderr) == (status, True), done.output
    monkeypatch.delenv("TILED_API_KEY")
    done = xtag("correct", address, uid, 1, "--add", "ring", "--by", "ab")
    assert done.exit_code == 1 and "it does not allow you to do that" in done.stderr
    assert set(tags(store.runs[uid])["xtag_decided_by"]) == {"model"}


def test_review_and_compare_print_tables_and_draw_pictures(served, tmp_path):
    store, uid, address = served
    replayed(store.insert, uid, [10, 95, 95])
    done = xtag("review", address, "-n", 2, "--last", 1, "--model", "graded 1.0", "--picture", tmp_path / "review.png")
    assert done.exit_code == 0, done.output
    assert "ring 0.45" in done.stdout and uid[:8] in done.stdout
    models = ("--models", "graded 1.0", "graded 2.0")
    done = xtag("compare", address, *models, "--last", 1, "--picture", tmp_path / "compared.png")
    assert done.exit_code == 0, done.output
    assert "3 frames, 1 with different tags" in done.stdout and "ring 0.45" in done.stdout
    for name in ("review.png", "compared.png"):
        assert (tmp_path / name).stat().st_size > 5_000
    nowhere = xtag("review", address, "--picture", tmp_path / "nowhere" / "review.png")
    assert nowhere.exit_code == 2 and f"no directory {tmp_path / 'nowhere'}" in nowhere.stderr
