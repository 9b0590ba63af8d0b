"""Fixtures of plans that are steered by tags."""

from support.steered import axis, decisions, graded, other, peak  # noqa: F401
