"""The Tagger: takes frames from documents, has them scored, gives their rows to the RunEngine."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
