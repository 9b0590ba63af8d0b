"""How well a model finds its tags, in figures, curves and pages."""
