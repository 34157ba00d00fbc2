"""A fuzzer for the readers of logs: ``python -m tests.logs.fuzzer --files 10000 --seed 0``.

Every case takes a small valid log, as the functions of ``tests/logs/make_*.py`` write them, breaks one of its files or
an archive of all of them, and reads it. Exit code 1: a reader raised, a process died, a case took more than 5 s, or a
process more than 1 GB. A case is a function of its number and the seed: ``--only NUMBER`` runs it again.
``--examples FOLDER`` breaks real logs as well.
"""

from __future__ import annotations

import argparse
import importlib
import inspect
import json
import pkgutil
import random
import shutil
import subprocess
import sys
import tempfile
import threading
import time
import traceback
import warnings
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import tests.logs
from foam_viz.logs import Options, read_all
from foam_viz.logs.intake.limits import MEBIBYTE, Limits
from foam_viz.logs.intake.worker import limit_memory
from foam_viz.trace import manifest as manifests
from foam_viz.trace import summarize
from foam_viz.trace.disk import strict_json

SECONDS, MEMORY = 5.0, 2**30
_LIMITS = Limits(unpacked_bytes=256 * MEBIBYTE)
_BATCH = 250
_HANG_SECONDS = 60.0
_HUGE = [b"1e999", b"-1e308", b"9" * 400, b"18446744073709551616", b"-9223372036854775809", b"NaN", b"-inf", b"1e-400"]
_ODD = [b"\0", b"\xef\xbb\xbf", b"\xff\xfe", b"\r", b"\x1b[2J", b"\xed\xa0\x80", *(b"%c" % c for c in b"\"'{]=,%")]
_FILLERS = [b"x", b"1", b"a=", b"1 ", b"[", b'{"a":', b",", b"(", b"step:1 "]
_LARGEST_EXAMPLE = 2 * MEBIBYTE

Mutation = Callable[[random.Random, bytearray], bytes]


def _flip(rng: random.Random, data: bytearray) -> bytes:
    for _ in range(rng.choice((1, 1, 4, 32))):
        data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    return bytes(data)


def _overwrite(rng: random.Random, data: bytearray) -> bytes:
    start = rng.randrange(len(data))
    size = min(len(data) - start, rng.choice((1, 4, 8, 64)))
    data[start : start + size] = rng.choice((b"\xff", b"\0", b"\x7f", b"9")) * size
    return bytes(data)


def _truncate(rng: random.Random, data: bytearray) -> bytes:
    return bytes(data[: rng.randrange(len(data))])


def _behead(rng: random.Random, data: bytearray) -> bytes:
    return bytes(data[rng.randrange(len(data)) :])


def _duplicate(rng: random.Random, data: bytearray) -> bytes:
    start, end = sorted((rng.randrange(len(data)), rng.randrange(len(data))))
    repeats = rng.choice((1, 1, 3, 40)) if end - start < 50_000 else 1  # broken logs, not large ones
    return bytes(data[:end] + data[start:end] * repeats + data[end:])


def _enlarge(rng: random.Random, data: bytearray) -> bytes:
    """A number becomes one that no column expects."""
    digits = [i for i, byte in enumerate(data) if 48 <= byte <= 57]
    if not digits:
        return _flip(rng, data)
    start = end = rng.choice(digits)
    while end < len(data) and 48 <= data[end] <= 57:
        end += 1
    return bytes(data[:start] + rng.choice(_HUGE) + data[end:])


def _insert(rng: random.Random, data: bytearray) -> bytes:
    at = rng.randrange(len(data))
    return bytes(data[:at] + rng.choice(_ODD) * rng.choice((1, 1, 2, 1000)) + data[at:])


def _encode(rng: random.Random, data: bytearray) -> bytes:
    encoding = rng.choice(("utf-16", "utf-16-be", "utf-8-sig", "utf-32"))
    return data.decode("latin-1").encode(encoding)


def _long_line(rng: random.Random, data: bytearray) -> bytes:
    at = rng.randrange(len(data))
    filler = rng.choice(_FILLERS) * rng.choice((5_000, 200_000))
    return bytes(data[:at] + filler + data[at:])


def _swap_lines(rng: random.Random, data: bytearray) -> bytes:
    lines = data.split(b"\n")
    for _ in range(rng.choice((1, 5))):
        i, j = rng.randrange(len(lines)), rng.randrange(len(lines))
        lines[i], lines[j] = lines[j], lines[i]
    return b"\n".join(lines)


def _blank_fields(rng: random.Random, data: bytearray) -> bytes:
    separator = rng.choice((b",", b"\t", b" ", b":"))
    parts = data.split(separator)
    for _ in range(rng.choice((1, 10))):
        parts[rng.randrange(len(parts))] = rng.choice((b"", b"nan", b"null", b"<b>x</b>", b"=1+1", b"inf"))
    return separator.join(parts)


MUTATIONS: tuple[Mutation, ...] = (
    _flip, _overwrite, _truncate, _behead, _duplicate, _enlarge, _insert, _encode, _long_line, _swap_lines,
    _blank_fields,
)  # fmt: skip


def generators() -> dict[str, Callable[[Path], object]]:
    """Every function ``make_...(folder)`` of the modules ``make_...`` beside this one."""
    found = {}
    for module in pkgutil.iter_modules(tests.logs.__path__):
        if module.name.startswith("make_"):
            for name, make in vars(importlib.import_module(f"tests.logs.{module.name}")).items():
                if name.startswith("make_") and inspect.isfunction(make) and _takes_a_folder(make):
                    found[name.removeprefix("make_")] = make
    return dict(sorted(found.items()))


def _takes_a_folder(make: Callable[..., object]) -> bool:
    first, *others = inspect.signature(make).parameters.values()
    return first.name == "folder" and all(other.default is not other.empty for other in others)


def make_corpus(folder: Path, examples: Path | None) -> list[Path]:
    """Write one valid log of every format, each in a folder of its own; real ones are folders with files in them."""
    corpus = []
    for name, make in generators().items():
        (folder / name).mkdir(parents=True)
        make(folder / name)
        corpus.append(folder / name)
    for place in sorted(examples.rglob("*")) if examples else ():
        inside = list(place.iterdir()) if place.is_dir() else []
        size = sum(path.stat().st_size for path in place.rglob("*") if path.is_file())
        if any(path.is_file() for path in inside) and size <= _LARGEST_EXAMPLE:
            corpus.append(place)
    return corpus


def make_case(corpus: list[Path], folder: Path, seed: int, number: int) -> tuple[Path, str]:
    """Write one broken log; returns it and what was done."""
    rng = random.Random(f"{seed}/{number}")
    source = rng.choice(corpus)
    case = folder / source.name
    shutil.copytree(source, case, copy_function=shutil.copyfile)
    for path in [case, *case.rglob("*")]:
        path.chmod(0o755)
    files = sorted(path for path in case.rglob("*") if path.is_file() and path.stat().st_size)
    if rng.random() < 0.15:
        packed = folder / f"{source.name}.zip"
        with zipfile.ZipFile(packed, "w", rng.choice((zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED))) as archive:
            for file in files:
                archive.write(file, file.relative_to(folder).as_posix())
        shutil.rmtree(case)
        case, target = packed, packed
    else:
        target = rng.choice(files)
    done = []
    for _ in range(rng.choice((1, 1, 2, 3))):
        data = bytearray(target.read_bytes())
        if not data:
            break
        mutate = rng.choice(MUTATIONS)
        target.write_bytes(mutate(rng, data))
        done.append(mutate.__name__[1:])
    return case, f"{target.relative_to(folder).as_posix()}: {' + '.join(done)}"


def run_case(case: Path) -> list[str]:
    """Read a broken log; returns what went wrong, nothing when it was read or refused as it should be."""
    bad = []
    try:
        reading = read_all([case], Options(), _LIMITS)
        for trace in reading.traces:
            strict_json.dumps(summarize(trace))
            manifests.loads(manifests.dumps(trace.manifest))
        for problem in reading.problems:
            if "failed on it with" in problem.reason or "needs more memory" in problem.reason:
                bad.append(str(problem))
            str(problem).encode()
    except Exception:
        bad.append(traceback.format_exc(limit=-3))
    return bad


def child(seed: int, examples: Path | None) -> None:
    """Run the cases whose numbers come in, one a line, and print a JSON line for each."""
    warnings.simplefilter("ignore")
    limit_memory(2 * MEMORY, 86_400)
    with tempfile.TemporaryDirectory(prefix="foam_viz_fuzz_") as folder:
        corpus = make_corpus(Path(folder) / "corpus", examples)
        for line in sys.stdin:
            number = int(line)
            place = Path(folder) / "case"
            place.mkdir()
            case, what = make_case(corpus, place, seed, number)
            began = time.perf_counter()
            bad = run_case(case)
            seconds = time.perf_counter() - began
            peak = _peak_memory()
            shutil.rmtree(place)
            print(
                json.dumps({"number": number, "what": what, "seconds": seconds, "peak": peak, "bad": bad}), flush=True
            )


def _peak_memory() -> int:
    """Return the most memory that this process held, bytes.

    Linux carries ``ru_maxrss`` over from the process that started this one: a large test run would count as the
    reader's. ``VmHWM`` starts anew.
    """
    status = Path("/proc/self/status")
    if status.exists():
        return 1024 * next(int(line.split()[1]) for line in status.read_text().splitlines() if "VmHWM" in line)
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def run(numbers: list[int], seed: int, examples: Path | None = None) -> Iterator[dict[str, Any]]:
    """Run cases in child processes, a new one for each batch and after each death."""
    left = list(numbers)
    while left:
        batch = left[:_BATCH]
        process = subprocess.Popen(
            [
                *(sys.executable, "-m", "tests.logs.fuzzer", "--child", "--seed", str(seed)),
                *(("--examples", str(examples)) if examples else ()),
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        watch = threading.Timer(_HANG_SECONDS + _BATCH, process.kill)
        watch.start()
        try:
            process.stdin.write("".join(f"{number}\n" for number in batch))
            process.stdin.close()
            done = 0
            for line in process.stdout:
                done += 1
                yield json.loads(line)
            process.wait()
        finally:
            watch.cancel()
            process.kill()
        left = left[done:]
        if done < len(batch):
            end = f"the process ended with code {process.returncode} (-9: it hung, or the system killed it)"
            yield {"number": left[0], "what": "", "seconds": 0.0, "peak": 0, "bad": [end]}
            left = left[1:]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--files", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--examples", type=Path, help="a folder of real logs to break as well")
    parser.add_argument("--only", type=int, help="run this one case, and keep it in the folder that is printed")
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        child(options.seed, options.examples)
        return 0
    if options.only is not None:
        folder = Path(tempfile.mkdtemp(prefix="foam_viz_fuzz_"))
        case, what = make_case(make_corpus(folder / "corpus", options.examples), folder, options.seed, options.only)
        print(case, what, *run_case(case), sep="\n")
        return 0
    began = time.monotonic()
    results, bad = [], 0
    try:
        for result in run(list(range(options.files)), options.seed, options.examples):
            results.append(result)
            if result["bad"] or result["seconds"] > SECONDS or result["peak"] > MEMORY:
                bad += 1
                what = f"case {result['number']}, {result['what']}, {result['seconds']:.1f} s"
                print(what, f"{result['peak'] / MEBIBYTE:.0f} MiB", *result["bad"], sep="\n  ", flush=True)
    except KeyboardInterrupt:
        bad += 1  # not all that was asked for; what was done is still worth its line
    slowest = max(results, key=lambda result: result["seconds"])
    peak = max(result["peak"] for result in results)
    print(
        f"{len(results):,} files in {time.monotonic() - began:.0f} s, formats {', '.join(generators())}; "
        f"{sum(bool(result['bad']) for result in results)} crashes; slowest {slowest['seconds']:.2f} s "
        f"(case {slowest['number']}, {slowest['what']}); peak memory {peak / MEBIBYTE:.0f} MiB"
    )
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
