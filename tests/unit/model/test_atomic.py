import pytest

from bluesky_xtag.model import write_atomically


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "figures.json"
    path.write_text("before")
    return path


def test_a_file_gets_its_name_when_it_is_whole(path):
    with write_atomically(path) as new:
        new.write_text("after")
        assert path.read_text() == "before" and new.parent == path.parent
    assert path.read_text() == "after" and list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("error", [OSError("the disk is full"), KeyboardInterrupt(), ValueError()])
def test_whatever_fails_the_file_is_as_it_was(path, error):
    with pytest.raises(type(error)), write_atomically(path) as new:
        new.write_text("half")
        raise error
    assert path.read_text() == "before" and list(path.parent.iterdir()) == [path]


def test_a_block_that_writes_nothing_is_an_error(path):
    with pytest.raises(FileNotFoundError), write_atomically(path):
        pass
    assert path.read_text() == "before"


def test_the_unfinished_file_may_lie_elsewhere_and_two_writers_do_not_meet(path):
    parts = path.with_name("parts")
    parts.mkdir()
    with write_atomically(path, parts) as one, write_atomically(path, parts) as other:
        assert one.parent == parts and one != other
        one.write_text("one")
        other.write_text("other")
    assert path.read_text() == "one" and not list(parts.iterdir())


def test_the_file_has_the_rights_of_any_new_file(tmp_path):
    (tmp_path / "plain").touch()
    with write_atomically(tmp_path / "atomic") as new:
        new.touch()
    assert (tmp_path / "atomic").stat().st_mode == (tmp_path / "plain").stat().st_mode
