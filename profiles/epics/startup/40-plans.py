"""The plans that are steered by the tags: as in the profile `xtag`, whose file this runs."""

from pathlib import Path

_same = Path(__file__).parents[2] / "xtag" / "startup" / "30-plans.py"
exec(compile(_same.read_text("utf-8"), _same, "exec"))
