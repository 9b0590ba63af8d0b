"""What importing the package costs, and what it brings."""

import subprocess
import sys

import bluesky_xtag

HEAVY = ("tensorflow", "keras", "tiled", "databroker", "matplotlib", "pyFAI", "ophyd")


def imported_by(statement):
    """The top-level modules that a fresh interpreter holds after a statement."""
    code = f"{statement}\nimport sys\nprint(*{{name.partition('.')[0] for name in sys.modules}})"
    return set(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split())


def test_import_is_light():
    assert not imported_by("import bluesky_xtag") & {*HEAVY, "numpy", "bluesky"}


def test_install_can_be_imported_without_heavy_modules():
    assert not imported_by("from bluesky_xtag import install, Tagger, TagModel") & set(HEAVY)


def test_search_can_be_imported_without_catalogues():
    assert not imported_by("from bluesky_xtag.search import tags") & set(HEAVY)


def test_every_public_name_is_there():
    for name in bluesky_xtag.__all__:
        assert getattr(bluesky_xtag, name) is not None


def test_package_is_typed():
    from importlib.resources import files

    assert (files("bluesky_xtag") / "py.typed").is_file()
