"""Kafka, as bluesky-kafka uses it: a message is the pair of a name and a document."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from uuid import uuid4

from event_model import DocumentNames

from ...errors import XTagError, XTagValueError
from .wire_formats import WireFormat

__all__ = ["KafkaBus"]

logger = logging.getLogger("bluesky_xtag")

_AT_ONCE = 64  # documents, then the service looks at its rows
_FLUSH = 5.0  # seconds for what is still to be sent at the end


class KafkaBus:
    """A topic of a Kafka broker: documents come from it, and go to it or to another one.

    Parameters
    ----------
    servers : str
        ``host:port``, several separated by commas.
    topic : str
        Where documents come from.
    publish : str, optional
        The topic where documents go; the same if None.
    wire : WireFormat
        How documents are written.
    settings : mapping of str to str, optional
        More settings of librdkafka, such as ``security.protocol``.

    Raises
    ------
    XTagValueError
        confluent-kafka is not installed, or does not take the settings.
    """

    def __init__(
        self,
        servers: str,
        topic: str,
        wire: WireFormat,
        publish: str | None = None,
        settings: Mapping[str, str] | None = None,
    ) -> None:
        try:
            from confluent_kafka import Consumer, KafkaException, Producer  # pyright: ignore[reportMissingImports]
        except ImportError as error:
            raise XTagValueError('Kafka needs confluent-kafka: pip install "bluesky_xtag[kafka]"') from error
        self._wire, self._topic, self._publish = wire, topic, publish or topic
        self._servers = servers
        common = {"bootstrap.servers": servers, "log_level": 3, **(settings or {})}
        try:
            # A group of its own: each service hears everything, from the moment it has joined.
            group = {"group.id": f"xtag-{uuid4()}", "auto.offset.reset": "latest", "enable.auto.commit": False}
            self._consumer: Any = Consumer({**common, **group, "allow.auto.create.topics": True})
            self._producer: Any = Producer({**common, "enable.idempotence": True})
        except (KafkaException, ValueError, TypeError) as error:
            raise XTagValueError(f"Kafka does not take these settings: {error}") from error
        self._key = f"xtag-{uuid4()}"
        self._told: set[str] = set()

    def join(self, timeout: float) -> None:
        """Return once the place in each partition is known from which on documents are read."""
        from confluent_kafka import KafkaException, TopicPartition  # pyright: ignore[reportMissingImports]

        end = time.monotonic() + timeout
        trouble = "no answer"
        while time.monotonic() < end:
            try:
                found = self._consumer.list_topics(self._topic, timeout=1).topics[self._topic]
                if found.error is None and found.partitions:
                    places = [TopicPartition(self._topic, number) for number in found.partitions]
                    for place in places:
                        _, place.offset = self._consumer.get_watermark_offsets(place, timeout=5)
                    self._consumer.assign(places)
                    return
                trouble = str(found.error)
            except KafkaException as error:
                trouble = str(error)
            time.sleep(0.1)
        raise XTagError(f"the topic {self._topic} of Kafka at {self._servers} cannot be read ({trouble})")

    def receive(self, timeout: float) -> Iterator[tuple[str, dict[str, Any]]]:
        """Yield the documents that have arrived; wait for the first, up to `timeout` seconds."""
        for message in self._consumer.consume(_AT_ONCE, timeout=timeout):
            if message.error() is not None:
                self._say("error", str(message.error()))
            elif message.key() != self._key.encode():  # others than those sent from here
                document = self._read(message.value())
                if document is not None:
                    yield document

    def send(self, name: str, doc: Mapping[str, Any]) -> None:
        """Send a document."""
        self._producer.produce(self._publish, self._wire.dumps([name, dict(doc)]), key=self._key)
        self._producer.poll(0)

    def close(self) -> None:
        """Send what waits, and leave."""
        left = self._producer.flush(_FLUSH)
        if left:
            logger.warning("%d documents did not reach Kafka", left)
        self._consumer.close()

    def _read(self, packed: bytes) -> tuple[str, dict[str, Any]] | None:
        try:
            message = self._wire.loads(packed)
        except ValueError as error:
            self._say("format", f"a message that is no {self._wire.name} ({error})")
            return None
        if isinstance(message, Sequence) and len(message) == 2 and isinstance(message[1], dict):
            name, doc = message
            if name in DocumentNames.__members__:
                return name, doc
        self._say("pair", "a message that is no document")
        return None

    def _say(self, what: str, message: str) -> None:
        """Say a trouble once."""
        if what not in self._told:
            self._told.add(what)
            logger.warning("in the topic %s came %s: it is passed over, and others of its kind", self._topic, message)
