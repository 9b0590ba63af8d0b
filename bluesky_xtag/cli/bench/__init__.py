"""Measurements on this machine: what tagging costs a scan, how fast models, searches and replays are, what is saved."""
