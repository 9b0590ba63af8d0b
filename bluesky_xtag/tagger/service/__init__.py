"""Tags runs of RunEngines in other processes, whose documents a message bus brings."""

from .bus import Bus
from .kafka import KafkaBus
from .run_service import RunService
from .served_backend import ServedBackend
from .wire_formats import FORMATS, WireFormat
from .zeromq import ZeroMQBus

__all__ = ["FORMATS", "Bus", "KafkaBus", "RunService", "ServedBackend", "WireFormat", "ZeroMQBus"]
