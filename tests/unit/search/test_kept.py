import json

import pytest

from bluesky_xtag import XTagValueError
from bluesky_xtag.search import default_directory
from bluesky_xtag.search.kept import keep, read_summaries

SUMMARY = {"max_p": {"ring": 0.9}, "frames": 3}


def test_what_was_kept_comes_back(tmp_path):
    first, second = keep(tmp_path / "new", "b" * 36, SUMMARY), keep(tmp_path / "new", "a" * 36, {"frames": 1})
    assert list(read_summaries(tmp_path / "new")) == [(second, "a" * 36, {"frames": 1}), (first, "b" * 36, SUMMARY)]
    keep(tmp_path / "new", "b" * 36, {"frames": 2})
    assert [found for _, _, found in read_summaries(tmp_path / "new")] == [{"frames": 1}, {"frames": 2}]


def test_it_is_one_line_of_json(tmp_path):
    (line,) = keep(tmp_path, "a", SUMMARY).read_text().splitlines()
    assert json.loads(line) == {"name": "summary", "run": "a", "doc": SUMMARY}


def test_files_of_others_are_left_alone(tmp_path):
    (tmp_path / "torn.jsonl").write_text('{"name": "summ')
    (tmp_path / "empty.jsonl").touch()
    (tmp_path / "run.jsonl").write_text('{"name": "start", "doc": {}}\n')
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
