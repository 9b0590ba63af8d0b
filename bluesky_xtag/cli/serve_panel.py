"""`xtag serve`: tags runs of RunEngines in other processes."""

from __future__ import annotations

import logging
import os
import signal
import socket
import threading
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..errors import XTagValueError
from .options import (
    ApiKey,
    BackendName,
    Centre,
    Insecure,
    Masked,
    Model,
    RootMaps,
    Roots,
    open_catalogue,
    parse_roots,
    report_errors,
)

if TYPE_CHECKING:
    from ..tagger import Bus

__all__ = ["serve"]

_JOIN = 30.0  # seconds for the bus to answer


def serve(
    catalog: Annotated[
        str | None,
        typer.Argument(
            help="Where tags are stored, too, named as for the other commands; if none, they are on the bus only."
        ),
    ] = None,
    subscribe: Annotated[
        str | None,
        typer.Option(metavar="HOST:PORT", help="Where a 0MQ proxy gives documents out: its second port."),
    ] = None,
    publish: Annotated[
        str | None,
        typer.Option(metavar="HOST:PORT", help="Where the 0MQ proxy takes documents: its first port."),
    ] = None,
    kafka: Annotated[
        str | None, typer.Option(metavar="HOST:PORT", help="Kafka instead of 0MQ: the brokers, separated by commas.")
    ] = None,
    topic: Annotated[str | None, typer.Option(help="The Kafka topic of the documents; rows go there, too.")] = None,
    wire: Annotated[
        str, typer.Option("--format", help="How documents are written on the bus: msgpack or json. Never pickle.")
    ] = "msgpack",
    prefix: Annotated[str, typer.Option(help="Take only 0MQ messages with this prefix, and send with it.")] = "",
    curve: Annotated[
        tuple[Path, Path] | None,
        typer.Option(metavar="SECRET PUBLIC", help="Key files for CURVE: the client's secret and the proxy's public."),
    ] = None,
    model: Model = None,
    key: Annotated[str | None, typer.Option(help="The data key of the images. By default xtag finds it.")] = None,
    beam_centre: Centre = None,
    mask: Masked = None,
    root_map: RootMaps = None,
    roots: Roots = None,
    backend: BackendName = None,
    insecure: Insecure = False,
    deadline: Annotated[float, typer.Option(min=0.1, help="Seconds for a frame to be scored, then it is late.")] = 60.0,
    silence: Annotated[
        float, typer.Option(min=0.1, help="Seconds without a document, then a run counts as given up.")
    ] = 3600.0,
    api_key: ApiKey = None,
) -> None:
    """Tag runs of RunEngines in other processes, whose documents a message bus brings, until it is stopped.

    The tags go to the same bus and to a catalogue, as a new run for each run.
    """
    from rich.console import Console

    stopped = threading.Event()
    console = Console(stderr=True)
    with report_errors(), ExitStack() as stack:
        _check(subscribe, publish, kafka, topic)
        store = None if catalog is None else stack.enter_context(open_catalogue(catalog, api_key))
        from ..tagger import KafkaBus, RunService, WireFormat, ZeroMQBus, is_cluster_address, make_backend

        form = WireFormat.named(wire)
        bus: Bus
        if kafka is not None:
            bus = KafkaBus(kafka, str(topic), form)
        else:
            bus = ZeroMQBus(str(subscribe), str(publish), form, prefix, curve)
        not_served = stack.enter_context(ExitStack())
        not_served.callback(bus.close)
        options: dict[str, Any] = {"key": key, "beam_centre": beam_centre, "mask": mask, "roots": roots or None}
        if backend is not None and is_cluster_address(backend):
            options["backend"] = make_backend(backend, model, insecure=insecure, patience=deadline / 4)
        else:
            options |= {"model": model, "backend": backend or "inline"}
        with console.status("Loading the model"):
            service = RunService(
                bus, catalog=store, root_map=parse_roots(root_map), deadline=deadline, silence=silence, **options
            )
        not_served.pop_all()  # the service closes it
        try:
            with console.status("Joining the bus"):
                bus.join(_JOIN)
        except BaseException:
            service.close("the bus does not answer", 0.0)
            raise
        for number in (signal.SIGINT, signal.SIGTERM):
            before = signal.signal(number, lambda *_: stopped.set())
            stack.callback(signal.signal, number, before)
        _log_to_stderr()
        print(f"ready: {service.tagger!r} tags the runs that begin from now on", flush=True)
        _notify("READY=1")
        service.run(stopped)
        print(f"stopped: {service.runs} runs, {service.tagger.frames} frames")


def _check(subscribe: str | None, publish: str | None, kafka: str | None, topic: str | None) -> None:
    if kafka is None and not (subscribe and publish):
        raise XTagValueError(
            "name the bus: --subscribe and --publish for a 0MQ proxy (its second and its first port), or --kafka and "
            "--topic"
        )
    if kafka is not None and (subscribe or publish):
        raise XTagValueError("name one bus: --subscribe and --publish, or --kafka and --topic")
    if kafka is not None and not topic:
        raise XTagValueError("name the Kafka topic of the documents: --topic")


def _log_to_stderr() -> None:
    """Say what becomes of each run, where systemd writes it into its journal."""
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("%(levelname)s %(message)s"))
    logger = logging.getLogger("bluesky_xtag")
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    logger.propagate = False


def _notify(message: str) -> None:
    """Tell systemd, if it started this process as a service of the type "notify"."""
    place = os.environ.get("NOTIFY_SOCKET")
    if place:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
            notify.connect("\0" + place[1:] if place.startswith("@") else place)
            notify.send(message.encode())
