"""The house: fifteen rooms, each with a face, and a file name occurs once."""

from collections import Counter
from pathlib import Path

import bluesky_xtag

ROOT = Path(bluesky_xtag.__file__).parent
FILES = [path for path in ROOT.rglob("*.py") if "__pycache__" not in path.parts]


def test_there_are_at_most_fifteen_names_at_the_top():
    names = {path.name.removesuffix(".py") for path in ROOT.iterdir() if path.suffix == ".py" or path.is_dir()}
    assert len(names - {"__init__", "__pycache__"}) <= 15


def test_a_file_name_occurs_once():
    counts = Counter(path.name for path in FILES if path.name != "__init__.py")
    assert {name: count for name, count in counts.items() if count > 1} == {}


def test_a_face_exports_no_name_of_one_of_its_files():
    for face in ROOT.rglob("__init__.py"):
        inside = {path.stem for path in face.parent.iterdir() if path.suffix == ".py" or path.is_dir()}
        package = ".".join(("bluesky_xtag", *face.parent.relative_to(ROOT).parts))
        stub = face.with_suffix(".pyi")
        if stub.exists():
            exported = {line.split(" as ")[-1] for line in stub.read_text().splitlines() if " as " in line}
        else:
            exported = set(getattr(__import__(package, fromlist=["__all__"]), "__all__", ()))
        assert not exported & inside, package


def test_each_package_says_what_is_there():
    for path in FILES:
        assert path.read_text("utf-8").startswith('"""'), path
