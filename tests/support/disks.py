"""A disk that is full when a test says so."""

import os
import resource
import subprocess
import tempfile
from contextlib import contextmanager
from pathlib import Path

MIB = 1 << 20


@contextmanager
def small_disk(directory, size=64):
    """Yield a `Disk`: a file system of its own of `size` MiB where one can be mounted, else a directory."""
    command = ["mount", "-t", "tmpfs", "-o", f"size={size}m", "xtag", str(directory)]
    mounted = os.geteuid() == 0 and subprocess.run(command, capture_output=True).returncode == 0
    try:
        yield Disk(directory, mounted)
    finally:
        if mounted:
            subprocess.run(["umount", "-l", str(directory)], check=True)


class Disk:
    """A directory whose disk can be full.

    Parameters
    ----------
    path : Path
        The directory.
    mounted : bool
        Whether it is a file system of its own. If not, no file of this process and its children may grow beyond a size.
    """

    def __init__(self, path, mounted):
        self.path, self.mounted = Path(path), mounted

    @contextmanager
    def full(self, left=0):
        """Leave so many bytes free meanwhile."""
        with self._filled(left) if self.mounted else self._files_kept_small(left):
            yield

    @contextmanager
    def _filled(self, left):
        ballast = self.path / ".ballast"
        with ballast.open("wb", buffering=0) as file:
            block = bytes(MIB)
            free = os.statvfs(self.path)
            room = free.f_bavail * free.f_frsize - left
            while room > 0:
                try:
                    room -= file.write(block[:room])
                except OSError:
                    break
        try:
            yield
        finally:
            ballast.unlink()

    @contextmanager
    def _files_kept_small(self, left):
        before = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (left, before[1]))
        try:
            yield
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)


def temporary_disk(size=64):
    """As `small_disk`, in a new directory of the machine's temporary files."""
    return small_disk(Path(tempfile.mkdtemp(prefix="xtag-disk-")), size)
