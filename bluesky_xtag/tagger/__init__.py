"""The Tagger: takes frames from documents, has them scored, gives their rows to the RunEngine."""

from .tagger import Mask, Tagger, Wait
from .ticket import Address
from .worker import Policy

__all__ = ["Address", "Mask", "Policy", "Tagger", "Wait"]
