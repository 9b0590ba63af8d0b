from .bus import Bus as Bus
from .kafka import KafkaBus as KafkaBus
from .run_service import RunService as RunService
from .served_backend import ServedBackend as ServedBackend
from .wire_formats import FORMATS as FORMATS
from .wire_formats import WireFormat as WireFormat
from .zeromq import ZeroMQBus as ZeroMQBus
