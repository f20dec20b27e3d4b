"""Files that are there whole or not at all, whenever the process dies.

A file is written under a temporary name, flushed to the disk and renamed; a rename within a folder
is one act of the file system, and the folder is flushed after it. Who opens the name finds the old
content or the new one. What a killed process leaves is a hidden file that :func:`clear` removes.
A folder is locked by the process that works in it, and freed by the system when that ends, however
it ends.

>>> import tempfile
>>> from pathlib import Path
>>> from mlmath.scale import files
>>> folder = Path(tempfile.mkdtemp())
>>> files.write(folder / "a.txt", b"whole")
>>> (folder / "a.txt").read_bytes(), [path.name for path in folder.iterdir()]
(b'whole', ['a.txt'])

References:
    Pillai et al. (2014), All file systems are not created equal, §2 and table 2 (why each step).
"""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

__all__ = ["clear", "flush_folder", "locked", "write"]

_MARK = ".partial"


def write(path: Path, data: bytes) -> None:
    """Give the file ``path`` the content ``data``, or leave what was there.

    Raises:
        OSError: if it cannot be written; no part of it is left.
    """
    handle, temporary = tempfile.mkstemp(prefix=f".{path.name}.", suffix=_MARK, dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    flush_folder(path.parent)


def flush_folder(folder: Path) -> None:
    """Flush the names in a folder to the disk."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Keep other processes from locking the folder while the block runs.

    Raises:
        BlockingIOError: if another process has locked it.
    """
    import fcntl

    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    finally:
        os.close(handle)


def clear(folder: Path) -> None:
    """Remove what killed processes left half-written; the folder should be locked."""
    for path in folder.glob(f".*{_MARK}"):
        path.unlink(missing_ok=True)
