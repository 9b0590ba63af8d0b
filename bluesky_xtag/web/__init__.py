"""The page on which people look at the frames of a catalogue, search them and correct their tags."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
