"""Tags runs of RunEngines in other processes, whose documents a message bus brings."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
