"""Models adapted to frames of one's own."""
