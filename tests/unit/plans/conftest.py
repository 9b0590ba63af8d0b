"""Fixtures of plans that are steered by tags."""

from support.steered import axis, computed_again, decisions, graded, other, peak  # noqa: F401
