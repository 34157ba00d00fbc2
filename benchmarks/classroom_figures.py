"""What both parts of the class's benchmark measure alike."""

from __future__ import annotations

import sys

import psutil


def percentile(values: list[float], share: float) -> float:
    """The value below which a share of the values lies."""
    return sorted(values)[min(len(values) - 1, int(share * len(values)))]


def megabytes(process: psutil.Process) -> float:
    """Memory of a process and all below it, in MB."""
    everybody = [process, *process.children(recursive=True)]
    return sum(one.memory_info().rss for one in everybody if one.is_running()) / 1e6


def option(name: str, default: float, most: float) -> float:
    """The number of ``--name=NUMBER`` on the command line, ``most`` at most."""
    given = [word.partition("=")[2] for word in sys.argv[1:] if word.startswith(f"--{name}=")]
    return min(float(given[-1]), most) if given else default
