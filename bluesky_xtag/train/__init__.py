"""Training and evaluation of tag models."""
