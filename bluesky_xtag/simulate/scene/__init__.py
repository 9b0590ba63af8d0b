"""Scenes of scattering and how a detector sees them."""
