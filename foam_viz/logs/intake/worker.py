"""The process that parses, started by :mod:`foam_viz.logs.intake.safe`, never by a person.

It reads one JSON request from standard input and works inside one folder. Every step is written to a journal before it
begins, so that whoever finds the process dead knows at what; what was finished before lies in the folder and is not
done again by the next worker that is sent there.

* ``files.json``: the files found, ``plan.json``: readers with the files of each run, in order;
* ``journal.jsonl``: lines ``{"doing": step, "what": name, "run": number}`` and ``{"done": number, "traces": count}``;
* ``<number>-<index>``: a trace as a run bundle.
"""

from __future__ import annotations

import json
import os
import sys
import warnings
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from foam_viz.logs.core import catalogue
from foam_viz.logs.core.reader import HEAD_BYTES, ColumnRule, LogFile, Options, Problem
from foam_viz.logs.core.reading import claim, folded, read_group
from foam_viz.logs.intake.files import gather
from foam_viz.logs.intake.limits import MEBIBYTE, Limits
from foam_viz.trace import TABLES, Trace
from foam_viz.trace import manifest as manifests
from foam_viz.trace.disk.parts import MANIFEST_NAME, TABLES_FOLDER, Part, encode

FILES, PLAN, JOURNAL = "files.json", "plan.json", "journal.jsonl"


def bundle_name(number: int, index: int) -> str:
    """Return the folder of one trace of one run of the plan."""
    return f"{number:06d}-{index:06d}"


class Worker:
    """Carries out one request.

    Args:
        request: ``folder``, ``attempt``, ``paths``, ``options``, ``limits`` (fields of the dataclasses), and what
            earlier workers died of: ``skip_archives``, ``skip_readers``, ``skip_runs``.
    """

    def __init__(self, request: Mapping[str, Any]) -> None:
        self._request = request
        self._folder = Path(request["folder"])
        self._limits = Limits(**request["limits"])
        columns = {name: ColumnRule(**rule) for name, rule in request["options"]["columns"].items()}
        self._options = Options(**{**request["options"], "columns": columns})

    def run(self) -> None:
        """Find, plan and read whatever is not done yet."""
        files = self._files()
        plan = self._plan(files)
        earlier = [entry for entry in journal(self._folder) if "done" in entry]
        finished = {entry["done"] for entry in earlier}
        self._bytes = sum(entry["bytes"] for entry in earlier)
        self._runs = sum(entry["traces"] for entry in earlier)
        for number, (name, indices) in enumerate(plan):
            if number in finished or number in self._request["skip_runs"]:
                continue
            group = tuple(files[index] for index in indices)
            self._note(doing="read", what=group[0].name, run=number)
            traces, problems = read_group(catalogue.find(name), group, self._options)
            written = 0
            before = self._bytes
            left_out: list[Problem] = []
            for trace in traces:
                if refusal := self._too_much(trace):
                    left_out.append(Problem(trace.manifest.files[0] if trace.manifest.files else name, "", *refusal))
                    continue
                try:
                    _hand_over(trace, self._folder / bundle_name(number, written))
                    written += 1
                except Exception as error:
                    reason = f"was read and cannot be handed over: {type(error).__name__}: {error}"
                    problems.append(Problem(group[0].name, "", reason))
            problems += folded(left_out)
            found = [asdict(problem) for problem in problems]
            self._note(done=number, traces=written, bytes=self._bytes - before, problems=found)

    def _too_much(self, trace: Trace) -> tuple[str, str] | None:
        """Reason and remedy where a run does not fit into what one reading may give; else it counts."""
        size = trace.nbytes
        if self._runs >= self._limits.runs:
            return (
                f"holds more than {self._limits.runs:,} runs; the further ones are left out",
                "give fewer files at a time",
            )
        if self._bytes + size > self._limits.result_bytes:
            most, mine = self._limits.result_bytes / MEBIBYTE, size / MEBIBYTE
            rows = f"{trace.rows('steps'):,} rows of {trace.steps.num_columns:,} columns take {mine:,.0f} MiB"
            return (
                f"{rows}; the runs of one upload may take {most:,.0f} MiB in all (log_kept_mb)",
                "give every tenth row, fewer columns, or fewer files at a time",
            )
        self._bytes += size
        self._runs += 1
        return None

    def _files(self) -> list[LogFile]:
        place = self._folder / FILES
        if not place.exists():
            scratch = self._folder / f"unpacked-{self._request['attempt']}"
            files, problems = gather(
                self._request["paths"],
                scratch,
                self._limits,
                skip=frozenset(self._request["skip_archives"]),
                watch=lambda name: self._note(doing="unpack", what=name),
            )
            entries = [[file.name, str(file.path), file.size] for file in files]
            _save(place, {"files": entries, "problems": [asdict(problem) for problem in problems]})
            return files
        files = []
        for name, path, size in json.loads(place.read_bytes())["files"]:
            with open(path, "rb") as file:
                files.append(LogFile(name, Path(path), size, file.read(HEAD_BYTES)))
        return files

    def _plan(self, files: list[LogFile]) -> list[tuple[str, list[int]]]:
        place = self._folder / PLAN
        if not place.exists():
            claims, problems = claim(
                files,
                skip=frozenset(self._request["skip_readers"]),
                watch=lambda reader: self._note(doing="find", what=reader.name),
                line_pattern=self._options.line_pattern,
            )
            indices = {file.name: index for index, file in enumerate(files)}
            runs = [[reader.name, [indices[file.name] for file in group]] for reader, group in claims]
            _save(place, {"runs": runs, "problems": [asdict(problem) for problem in problems]})
        return json.loads(place.read_bytes())["runs"]

    def _note(self, **entry: Any) -> None:
        with open(self._folder / JOURNAL, "a", encoding="ascii") as file:
            file.write(json.dumps(entry) + "\n")


def journal(folder: Path, start: int = 0) -> list[dict[str, Any]]:
    """Return the whole lines of a journal from a byte on."""
    try:
        with open(folder / JOURNAL, "rb") as file:
            file.seek(start)
            lines = file.read().split(b"\n")
    except FileNotFoundError:
        return []
    return [json.loads(line) for line in lines[:-1]]


def limit_memory(size: int, seconds: float) -> None:
    """Let this process allocate so many bytes more than it holds now, and compute for so long, where the system can.

    On Linux private writable memory is counted: the address space would count what libraries merely map (torch 3 GB,
    Arrow's allocator 1 GB for each arena), so a limit on it would stop honest files and let others through.
    """
    if sys.platform == "win32":
        return  # the parent's clock is the only watch there
    import resource

    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    # A backstop for the case that the parent is gone and nobody looks at the clock.
    _, hardest = resource.getrlimit(resource.RLIMIT_CPU)
    allowed = int(seconds) + 10
    resource.setrlimit(resource.RLIMIT_CPU, (allowed if hardest < 0 else min(allowed, hardest), hardest))
    kind = resource.RLIMIT_AS
    held = 0
    if sys.platform == "linux":
        kind = resource.RLIMIT_DATA
        status = Path("/proc/self/status").read_text(encoding="ascii")
        held = next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmData")) * 1024
    try:
        resource.setrlimit(kind, (held + size, held + size))
    except (OSError, ValueError):
        return  # macOS refuses limits below what is mapped; time is limited all the same


def _hand_over(trace: Trace, folder: Path) -> None:
    """Write a run bundle without waiting for the disk: the parent reads it at once, and nobody after a power cut."""
    (folder / TABLES_FOLDER).mkdir(parents=True)
    (folder / MANIFEST_NAME).write_text(manifests.dumps(trace.manifest), encoding="utf-8")
    for table in TABLES:
        if trace.rows(table):
            (folder / TABLES_FOLDER / Part(table, 0, 0).name).write_bytes(encode(trace.table(table)))


def _save(place: Path, document: object) -> None:
    temporary = place.with_suffix(".tmp")
    temporary.write_text(json.dumps(document), encoding="ascii")
    os.replace(temporary, place)


def main() -> None:
    """Carry out the request on standard input."""
    warnings.simplefilter("ignore")  # libraries' remarks on odd data; readers say in notes what matters
    asked = json.loads(sys.stdin.buffer.read())
    limit_memory(asked["limits"]["memory_bytes"], asked["limits"]["total_seconds"])
    Worker(asked).run()


if __name__ == "__main__":
    main()
