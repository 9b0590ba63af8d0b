import json
import os

import pytest

from bluesky_xtag import XTagValueError
from bluesky_xtag.search import default_directory
from bluesky_xtag.search.kept import keep, read_summaries

SUMMARY = {"model_sha256": "0" * 64, "max_p": {"ring": 0.9}, "frames": 3}
OTHER = {"model_sha256": "1" * 64, "frames": 1}


def test_what_was_kept_comes_back(tmp_path):
    first, second = keep(tmp_path / "new", "b" * 36, SUMMARY), keep(tmp_path / "new", "a" * 36, OTHER)
    found = list(read_summaries(tmp_path / "new"))
    assert [(each.path, each.run, each.doc) for each in found] == [
        (second, "a" * 36, OTHER),
        (first, "b" * 36, SUMMARY),
    ]
    assert all(each.exact for each in found)
    keep(tmp_path / "new", "b" * 36, OTHER, exact=False)
    assert [(each.doc, each.exact) for each in read_summaries(tmp_path / "new")] == [(OTHER, True), (OTHER, False)]


def test_it_is_one_line_of_json(tmp_path):
    (line,) = keep(tmp_path, "a", SUMMARY).read_text().splitlines()
    assert json.loads(line) == {"name": "summary", "run": "a", "doc": SUMMARY}


def test_a_pipe_and_a_device_are_no_summaries(tmp_path):
    os.mkfifo(tmp_path / "pipe.jsonl")  # to open it would wait for a writer
    (tmp_path / "endless.jsonl").symlink_to("/dev/zero")
    keep(tmp_path, "a", SUMMARY)
    assert [each.run for each in read_summaries(tmp_path)] == ["a"]


def test_files_of_others_are_left_alone(tmp_path):
    (tmp_path / "torn.jsonl").write_text('{"name": "summ')
    (tmp_path / "empty.jsonl").touch()
    (tmp_path / "run.jsonl").write_text('{"name": "start", "doc": {}}\n')
    (tmp_path / "bytes.jsonl").write_bytes(b"\xff\xfe\x00\n")
    (tmp_path / "deep.jsonl").write_text("[" * 100_000)
    (tmp_path / "bare.jsonl").write_text('{"name": "summary", "run": "a"}\n')
    (tmp_path / "types.jsonl").write_text('{"name": "summary", "run": 3, "doc": []}\n')
    (tmp_path / "directory.jsonl").mkdir()
    assert list(read_summaries(tmp_path)) == []


def test_nothing_is_left_of_a_summary_that_cannot_be_written(tmp_path):
    with pytest.raises(TypeError):
        keep(tmp_path, "a", {"max_p": object()})
    assert list(tmp_path.iterdir()) == []


def test_a_directory_that_is_not_there_is_named(tmp_path):
    with pytest.raises(XTagValueError, match="nowhere"):
        list(read_summaries(tmp_path / "nowhere"))


def test_by_default_it_is_beside_the_user_s_other_data():
    assert default_directory().parts[-2:] == ("bluesky_xtag", "backup")
