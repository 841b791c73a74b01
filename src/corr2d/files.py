"""Files: regular ones only, and written whole or not at all."""

import errno
import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

__all__ = ["replace_file", "stat_regular"]


@contextmanager
def replace_file(path: str | os.PathLike[str]) -> Iterator[BinaryIO]:
    """Open a file beside `path` for writing, and put it in the place of `path` once it is complete.

    Whatever ends the block early (a full disk, Ctrl-C), the old file is left as it was and the new one
    is removed. A symbolic link stays a link: the file it points to is replaced. An existing file keeps
    its permissions, a new one follows the umask.

    Parameters
    ----------
    path : str or path-like
        The file to create or replace.

    Yields
    ------
    binary file
        Open for writing.

    Raises
    ------
    OSError
        If the file cannot be written: IsADirectoryError, PermissionError (also for a read-only file,
        which a rename would not spare), FileNotFoundError for a folder that does not exist.
    ValueError
        If `path` is a device, a pipe or a socket: a rename would put a file in its place.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     note = Path(folder, "note.txt")
    ...     with replace_file(note) as file:
    ...         _ = file.write(b"all of it")
    ...     note.read_bytes()
    b'all of it'
    """
    target = Path(os.path.realpath(path))
    permissions = _permissions_to_keep(path)
    beside = target.with_name(f".corr2d-{secrets.token_hex(8)}")
    try:
        with open(beside, "xb") as file:
            if permissions is not None:
                os.chmod(beside, permissions)
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(beside, target)
    except BaseException as error:
        with suppress(OSError):
            beside.unlink()
        # Python names no file when the disk is full, and the temporary one when the folder is missing.
        if isinstance(error, OSError) and error.filename in (None, os.fspath(beside)):
            error.filename = os.fspath(path)
        raise


def stat_regular(path: str | os.PathLike[str]) -> os.stat_result:
    """Stat a regular file, and refuse anything else before it is opened.

    A pipe would block, /dev/zero never ends, and a rename over /dev/null would remove it.

    Parameters
    ----------
    path : str or path-like
        The file, or a link to it.

    Returns
    -------
    os.stat_result

    Raises
    ------
    OSError
        FileNotFoundError, PermissionError, or IsADirectoryError.
    ValueError
        If `path` is a device, a pipe or a socket.
    """
    found = os.stat(path)
    if stat.S_ISDIR(found.st_mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), os.fspath(path))
    if not stat.S_ISREG(found.st_mode):
        raise ValueError(
            f"{os.fspath(path)!r} is a device, a pipe or a socket; corr2d reads and writes regular files. "
            "Give the name of a file."
        )
    return found


def _permissions_to_keep(path: str | os.PathLike[str]) -> int | None:
    try:
        found = stat_regular(path)
    except FileNotFoundError:
        return None
    if not os.access(path, os.W_OK):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), os.fspath(path))
    return stat.S_IMODE(found.st_mode)
