"""What can be seen in a simulated frame, and the labels that follow from it."""
