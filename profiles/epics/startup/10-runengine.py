"""The RunEngine and where its documents go: as in the profile `xtag`, whose file this runs."""

from pathlib import Path

_same = Path(__file__).parents[2] / "xtag" / "startup" / "00-runengine.py"
exec(compile(_same.read_text("utf-8"), _same, "exec"))
