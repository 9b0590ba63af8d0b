"""A network with everything that is needed to tag raw frames.

Resolved at first use, since TensorFlow takes seconds to import.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
