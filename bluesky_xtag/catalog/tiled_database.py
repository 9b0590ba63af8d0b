"""A new database for the embedded catalogue."""

from __future__ import annotations

import asyncio
import os
import tempfile
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

__all__ = ["make_database"]


def make_database(path: Path) -> None:
    """Make an empty database of Tiled's, completely or not at all; nothing happens if there is one already.

    Tiled itself would start a process for it, which takes seconds.

    Parameters
    ----------
    path : Path
        SQLite's file to make; its directory must be there.
    """
    with tempfile.TemporaryDirectory(prefix=f".{path.name}-", dir=path.parent) as directory:
        new = Path(directory) / path.name
        with ThreadPoolExecutor(1) as pool:  # in a notebook, this thread runs an event loop already
            pool.submit(_initialize, f"sqlite+aiosqlite:///{new}").result()
        try:
            os.link(new, path)
        except FileExistsError:  # another process was quicker
            pass
        except OSError:  # a file system without links
            os.replace(new, path)


def _initialize(uri: str) -> None:
    """Do what `tiled catalog init` does."""
    from sqlalchemy.ext.asyncio import create_async_engine
    from tiled.alembic_utils import stamp_head
    from tiled.catalog.alembic_constants import ALEMBIC_DIR, ALEMBIC_INI_TEMPLATE_PATH
    from tiled.catalog.core import initialize_database

    async def initialize() -> None:
        engine = create_async_engine(uri)
        try:
            await initialize_database(engine)
        finally:
            await engine.dispose()  # SQLite writes its journal into the file

    asyncio.run(initialize())
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="No path_separator", category=DeprecationWarning)  # of Alembic
        stamp_head(Path(ALEMBIC_INI_TEMPLATE_PATH), Path(ALEMBIC_DIR), uri)
