"""The Tagger: takes frames from documents, has them scored, gives their rows to the RunEngine."""

from .tagger import Tagger, Wait
from .ticket import Address
from .worker import Policy

__all__ = ["Address", "Policy", "Tagger", "Wait"]
