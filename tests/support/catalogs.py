"""Catalogues for the tests: databases of Tiled, in this process and in a server of its own."""

import asyncio
import json
import os
import resource
import secrets
import socket
import subprocess
import sys
import time
import uuid
import warnings
from contextlib import contextmanager

import httpx
import pytest

POSTGRESQL = "XTAG_TEST_POSTGRESQL"  # such as postgresql://postgres@127.0.0.1:5432, of a user who may create databases
SPECS = [{"name": "CatalogOfBlueskyRuns", "version": "3.0"}]


def tree_arguments(directory, database=None):
    """What Tiled needs for a new catalogue of runs: SQLite and files in a directory, or a PostgreSQL database."""
    from tiled.commandline._catalog import init

    (directory / "data").mkdir(parents=True)
    uri = database or f"sqlite:///{directory / 'catalog.db'}"
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="No path_separator", category=DeprecationWarning)  # of Alembic
        init(uri)  # Tiled itself would do it in a process of its own, which takes seconds
    return {
        "uri": uri,
        "writable_storage": [str(directory / "data"), database or f"sqlite:///{directory / 'tables.db'}"],
        "readable_storage": [str(directory / "frames")],
        "specs": SPECS,
    }


def in_process(arguments):
    """A client of Tiled in this process; end with `client.context.close()`."""
    from tiled.catalog import from_uri
    from tiled.client import Context, from_context
    from tiled.server.app import build_app

    return from_context(Context.from_app(build_app(from_uri(**arguments))))


@contextmanager
def postgresql_database():
    """A new database of the PostgreSQL server named in the environment; skips the test where there is none."""
    server = os.environ.get(POSTGRESQL)
    if not server:
        pytest.skip(f"no PostgreSQL server: {POSTGRESQL} is not set (docs/how-to/facility-tiled.md tells how)")
    name = f"xtag_{uuid.uuid4().hex}"
    _execute(server, f"CREATE DATABASE {name}")
    yield f"{server}/{name}"
    _execute(server, f"DROP DATABASE {name} WITH (FORCE)")


def _execute(server, statement):
    import asyncpg

    async def execute():
        connection = await asyncpg.connect(f"{server}/postgres", timeout=20)
        try:
            await connection.execute(statement)
        finally:
            await connection.close()

    asyncio.run(execute())


class Server:
    """`tiled serve` in a process of its own, on the loopback, with an API key; who has none may read.

    `trees` are the arguments of its catalogues (see `tree_arguments`) by their path; `settings` are more of its
    configuration, which may replace that of the API key.
    """

    def __init__(self, directory, trees, **settings):
        directory.mkdir(parents=True, exist_ok=True)
        self.key = secrets.token_hex(16)
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.address = f"http://127.0.0.1:{self.port}"
        self._log = directory / "server.log"
        self._config = directory / "config.yml"
        trees = [{"path": path, "tree": "catalog", "args": arguments} for path, arguments in trees.items()]
        authentication = {"single_user_api_key": self.key, "allow_anonymous_access": True}
        self._config.write_text(
            json.dumps({"authentication": authentication, "trees": trees} | settings)
        )  # JSON is YAML
        self._process = None

    def start(self):
        command = [sys.executable, "-m", "tiled", "serve", "config", str(self._config)]
        command += ["--host", "127.0.0.1", "--port", str(self.port)]
        environment = os.environ | {"PYTHONWARNINGS": "ignore"}
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log, env=environment)
        deadline = time.monotonic() + 240
        while time.monotonic() < deadline:
            assert self._process.poll() is None, self._log.read_text()
            try:
                if httpx.get(f"{self.address}/healthz", timeout=5).status_code == 200:
                    return self
            except httpx.TransportError:
                time.sleep(0.1)
        self.kill()
        raise AssertionError("the server did not answer within 240 s:\n" + self._log.read_text())

    def kill(self):
        """End it at once, as a power cut does."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(timeout=20)
            self._process = None

    @property
    def pid(self):
        return self._process.pid

    @contextmanager
    def full_disk(self):
        """Let no file of the server's grow meanwhile."""
        before = resource.prlimit(self.pid, resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))
        yield
        resource.prlimit(self.pid, resource.RLIMIT_FSIZE, before)

    def uri(self, path):
        return f"{self.address}/api/v1/metadata/{path}"


EVERYTHING = ["read:metadata", "read:data", "write:metadata", "write:data", "create:node", "delete:node", "register"]
EVERYTHING.append("delete:revision")


class GuardedServer(Server):
    """A server with users and Tiled's access control by tags.

    `grants` are the scopes that a tag gives to users, by tag and user. All of them own the tag, so that they may give
    it to a node. Everybody may make runs at the top.
    """

    def __init__(self, directory, grants):
        from tiled.access_control.access_tags import update_access_tags_tables

        users = sorted({user for tag in grants.values() for user in tag})
        grants = grants | {"top": dict.fromkeys(users, EVERYTHING)}
        arguments = tree_arguments(directory / "guarded") | {"top_level_access_tags": ["top"]}
        asyncio.run(_define(update_access_tags_tables, arguments["uri"], grants))
        passwords = {user: secrets.token_hex(8) for user in users}
        authenticator = {"provider": "toy", "authenticator": "tiled.authenticators:DictionaryAuthenticator"}
        super().__init__(
            directory,
            {"/guarded": arguments},
            authentication={
                "providers": [authenticator | {"args": {"users_to_passwords": passwords}}],
                "secret_keys": [secrets.token_hex(32)],
            },
            database={"uri": f"sqlite:///{directory / 'users.db'}", "init_if_not_exists": True},
            access_control={
                "access_policy": "tiled.access_control.access_policies:TagBasedAccessPolicy",
                "args": {
                    "provider": "toy",
                    "access_tags_parser": "tiled.access_control.access_tags:AccessTagsParser",
                },
            },
        )
        self._passwords = passwords

    def key_of(self, user):
        """An API key of a user."""
        with httpx.Client(base_url=f"{self.address}/api/v1/auth") as client:
            login = {"username": user, "password": self._passwords[user]}
            token = client.post("/provider/toy/token", data=login).raise_for_status().json()["access_token"]
            headers = {"Authorization": f"Bearer {token}"}
            asked = {"expires_in": 3600, "scopes": ["inherit"]}
            return client.post("/apikey", json=asked, headers=headers).raise_for_status().json()["secret"]


async def _define(update, uri, grants):
    from sqlalchemy.ext.asyncio import create_async_engine

    engine = create_async_engine(uri.replace("sqlite:", "sqlite+aiosqlite:"))
    try:
        owners = {tag: list(users) for tag, users in grants.items()}
        await update(engine, grants | {"public": {}}, owners, {"public"})
    finally:
        await engine.dispose()
