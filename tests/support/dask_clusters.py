"""A Dask scheduler and its workers as programs of their own, which a test may kill and stop."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from support.places import ROOT
from support.queue_server import free_port

PROGRAM = str(Path(sys.executable).parent / "dask")


def wait_for(condition, seconds=60):
    """Wait until something holds; fail if it never does."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it never came"
        time.sleep(0.05)


class Cluster:
    """A scheduler on this machine, at an address that stays the same, and workers."""

    def __init__(self, directory, certificates=None):
        self._directory = directory
        self._port = free_port()
        self._environment = {} if certificates is None else _environment(certificates)
        self.address = f"{'tcp' if certificates is None else 'tls'}://127.0.0.1:{self._port}"
        self._programs = []
        self.scheduler = None

    def start(self, workers=1):
        """Start the scheduler, and workers; they may still be starting when this returns."""
        host = self.address.rpartition(":")[0]
        self.scheduler = self._run("scheduler", "--host", host, "--port", str(self._port), "--no-dashboard")
        return [self.add() for _ in range(workers)]

    def add(self):
        """Start a worker."""
        options = ("--no-nanny", "--nthreads", "1", "--no-dashboard", "--memory-limit", "0")
        return self._run("worker", self.address, *options, "--local-directory", str(self._directory))

    def stop(self):
        """End all programs, those that are stopped too."""
        for program in self._programs:
            program.kill()
            program.wait(30)

    def _run(self, *arguments):
        paths = os.pathsep.join([str(ROOT), str(ROOT / "tests"), os.environ.get("PYTHONPATH", "")])
        with open(self._directory / "dask.log", "a") as log:
            program = subprocess.Popen(
                [PROGRAM, *arguments],
                stdout=log,
                stderr=log,
                env=os.environ | self._environment | {"PYTHONPATH": paths},
                cwd=self._directory,
            )
        self._programs.append(program)
        return program


def make_certificates(directory):
    """Write a key and a certificate; return what Dask's configuration says of them."""
    from distributed.security import Security

    made = Security.temporary()
    paths = {}
    for name, text in (("key", made.tls_client_key), ("cert", made.tls_client_cert), ("ca", made.tls_ca_file)):
        paths[name] = str(directory / f"{name}.pem")
        Path(paths[name]).write_text(text)
    both = [(f"{who}.{what}", paths[what]) for who in ("client", "scheduler", "worker") for what in ("key", "cert")]
    return {f"distributed.comm.tls.{name}": path for name, path in [("ca-file", paths["ca"]), *both]}


def _environment(certificates):
    """Return the variables that configure Dask in another process."""
    names = {f"DASK_{key.upper().replace('.', '__').replace('-', '_')}": path for key, path in certificates.items()}
    return names | {"DASK_DISTRIBUTED__COMM__REQUIRE_ENCRYPTION": "True"}


def freeze(program):
    """Stop a program, so that it answers nobody, and nobody is told."""
    program.send_signal(signal.SIGSTOP)


def thaw(program):
    """Let it go on."""
    program.send_signal(signal.SIGCONT)
