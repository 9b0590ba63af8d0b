"""`xtag serve` on Kafka: the broker that `XTAG_TEST_KAFKA` names, else the one that librdkafka has for tests."""

import importlib.util
import os
import subprocess
import sys
from uuid import uuid4

import pytest
from support.buses import Heard
from support.models import CountsModel
from support.places import ROOT

from bluesky_xtag import XTagError, XTagValueError
from bluesky_xtag.tagger import KafkaBus, RunService, WireFormat

HERE = importlib.util.find_spec("confluent_kafka") is not None
needs_kafka = pytest.mark.skipif(not HERE, reason='Kafka: pip install "bluesky_xtag[kafka]"')
MSGPACK = WireFormat.named("msgpack")

PUBLISH = """
import sys
import bluesky.plans as bp
from bluesky import RunEngine
from bluesky_kafka import Publisher
from support.detectors import ArrayDetector, numbered

servers, topic = sys.argv[1:]
publisher = Publisher(topic=topic, bootstrap_servers=servers, key="beamline")
RE = RunEngine({}, context_managers=[])
RE.subscribe(publisher)
(uid,) = RE(bp.count([ArrayDetector(numbered())], 3))
publisher.flush()
print(uid)
"""


@pytest.fixture(scope="module")
def servers():
    if servers := os.environ.get("XTAG_TEST_KAFKA"):
        yield servers
        return
    from confluent_kafka import Producer

    # Its brokers live as long as it does; they speak Kafka's protocol on a port of this machine.
    brokers = Producer({"bootstrap.servers": "none", "test.mock.num.brokers": 1, "log_level": 3})
    broker = next(iter(brokers.list_topics(timeout=10).brokers.values()))
    yield f"{broker.host}:{broker.port}"


@pytest.fixture
def bus(servers):
    """Return places on one topic, which have joined it."""
    topic, made = f"xtag-{uuid4()}", []

    def bus():
        made.append(KafkaBus(servers, topic, MSGPACK))
        made[-1].join(60)
        return made[-1]

    bus.topic = topic
    yield bus
    for each in made:
        each.close()


@needs_kafka
@pytest.mark.timeout(200)
def test_a_run_of_bluesky_kafkas_publisher_is_tagged(servers, bus):
    if importlib.util.find_spec("bluesky_kafka") is None:
        pytest.skip("bluesky-kafka is not installed")
    service, heard = RunService(bus(), model=CountsModel()), Heard(bus())
    paths = os.pathsep.join([str(ROOT), str(ROOT / "tests"), os.environ.get("PYTHONPATH", "")])
    # In a process of its own: importing bluesky_kafka patches msgpack for all others.
    done = subprocess.run(
        [sys.executable, "-c", PUBLISH, servers, bus.topic],
        env=os.environ | {"PYTHONPATH": paths},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    uid = done.stdout.split()[-1]

    def take_part():
        for document in service._bus.receive(0.02):
            service(*document)
        service.look()

    heard.listen(lambda: heard.derived(uid) and heard.stop(heard.derived(uid)[0]["uid"]), take_part)
    (derived,) = heard.derived(uid)
    rows = heard.rows(derived["uid"])
    assert [(row["xtag_frame_seq_num"], row["xtag_status"]) for row in rows] == [(n, "ok") for n in (1, 2, 3)]
    assert heard.stop(derived["uid"])["exit_status"] == "success"
    service.tagger.uninstall()


@needs_kafka
def test_no_document_is_lost_once_it_has_joined(bus, caplog):
    sender = bus()
    for number in range(5):
        place = bus()
        sender._producer.produce(bus.topic, b"garbage")
        sender._producer.produce(bus.topic, MSGPACK.dumps(["sturt", {}]))
        sender.send("start", {"uid": str(number)})
        heard = Heard(place)
        heard.listen(lambda heard=heard: heard.documents)
        assert heard.documents == [("start", {"uid": str(number)})]
    assert "is no msgpack" in caplog.text and "is no document" in caplog.text


@needs_kafka
def test_a_broker_that_is_not_there_is_told():
    place = KafkaBus("127.0.0.1:9", "topic", MSGPACK)
    with pytest.raises(XTagError, match="topic of Kafka at 127.0.0.1:9 cannot be read"):
        place.join(0.5)
    place.close()
    with pytest.raises(XTagValueError, match="does not take these settings"):
        KafkaBus("127.0.0.1:9", "topic", MSGPACK, settings={"no.such": "setting"})


def test_what_is_missing_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "confluent_kafka", None)
    with pytest.raises(XTagValueError, match=r'pip install "bluesky_xtag\[kafka\]"'):
        KafkaBus("127.0.0.1:9", "topic", MSGPACK)
