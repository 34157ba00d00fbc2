"""Read logs of any format that the project knows, and print the final loss of each run.

Run it with ``python examples/read_logs.py PATH ...``.
"""

from __future__ import annotations

import sys

from foam_viz.logs.intake import safe
from foam_viz.trace import summarize


def main(*paths: str) -> None:
    """Print a line for each run, and one for each file that could not be read."""
    reading = safe.read(paths)
    for trace in reading.traces:
        found = summarize(trace)
        print(f"{found['name']} [{found['format']}]: {found['rows']} rows, final loss {found['final_loss']}")
    for problem in reading.problems:
        print(problem, file=sys.stderr)


if __name__ == "__main__":
    main(*sys.argv[1:])
