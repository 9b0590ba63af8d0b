"""Measurements on this machine: what tagging costs a scan (`live`), and how fast a model is (`model`)."""
