"""What an engine may take of the machine's memory, and how its end shows. Imports no torch."""

from __future__ import annotations

import mmap
import re
from contextlib import suppress
from pathlib import Path

_STATUS = Path("/proc/self/status")
# How the allocators of torch and Arrow say that there was no room.
_WORDS = ("can't allocate memory", "cannot allocate memory", "not enough memory", "out of memory", "malloc of size")
# A thread needs a stack; threads are short of nothing else here.
_THREAD = "can't start new thread"


def limit(size: int) -> bool:
    """Lets this process allocate ``size`` bytes more than it has now; more fails where it is asked for.

    The limit is on private memory that can be written to, so that libraries and files which are only mapped do not
    count. Linux alone tells what a process has of it; elsewhere nothing is limited.

    Returns:
        Whether the limit is in force.
    """
    with suppress(ImportError, OSError, ValueError, AttributeError):
        import resource

        now = re.search(r"^VmData:\s+(\d+) kB", _STATUS.read_text(encoding="ascii"), re.MULTILINE)
        if now is not None:
            _, hard = resource.getrlimit(resource.RLIMIT_DATA)
            resource.setrlimit(resource.RLIMIT_DATA, (int(now[1]) * 1024 + size, hard))
            return True
    return False


def require(size: int) -> None:
    """Ask for ``size`` bytes and give them back.

    Raises:
        MemoryError: They cannot be had now.
    """
    with suppress(ValueError, AttributeError):  # where private memory cannot be mapped, nothing is limited either
        try:
            mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS).close()
        except OSError as error:
            raise MemoryError(f"no {size:,} bytes") from error


def is_exhausted(error: BaseException) -> bool:
    """Says whether an error means that memory could not be had, on the host or on a device.

    An error that another one led to is judged by that one too: ``torch.save`` ends in an error of its own.
    """
    before = error.__cause__ or error.__context__
    if before is not None and is_exhausted(before):
        return True
    return isinstance(error, MemoryError) or any(word in str(error).lower() for word in (*_WORDS, _THREAD))
