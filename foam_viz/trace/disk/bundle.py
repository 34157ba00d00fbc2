"""Run bundles: a trace as a directory or a zip file.

The layout and what a reader must do after a crash are in ``docs/trace.md``.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa

from foam_viz.trace import manifest as manifests
from foam_viz.trace.disk.archive import Archive, ArchiveError, open_archive
from foam_viz.trace.disk.assemble import assemble
from foam_viz.trace.disk.parts import (
    BRANCHES_NAME,
    CHECKPOINTS_FOLDER,
    MANIFEST_NAME,
    REWIND_NAME,
    TABLES_FOLDER,
    Part,
    PartError,
    SizeLimitError,
    encode,
    parse_name,
    write_atomically,
)
from foam_viz.trace.manifest import Manifest, ManifestError
from foam_viz.trace.model import Trace
from foam_viz.trace.schema import TABLES
from foam_viz.trace.view import TraceView

_MARKERS = (REWIND_NAME, BRANCHES_NAME)
DEFAULT_SIZE_LIMIT = 4 * 2**30
_REREADS = 50
"""A reader beside a live writer looks again so often; a writer merges every few seconds, so once is usual."""


class BundleError(ValueError):
    """A bundle that cannot be read or written.

    Attributes:
        path: The file or directory at fault.
        reason: What is wrong.
        remedy: What to do about it.
    """

    def __init__(self, path: str | os.PathLike[str], reason: str, remedy: str) -> None:
        super().__init__(f"{os.fspath(path)}: {reason}. {remedy}")
        self.path, self.reason, self.remedy = Path(path), reason, remedy


def is_bundle(path: str | os.PathLike[str]) -> bool:
    """Say whether a path looks like a run bundle, whole or damaged: a directory or zip with our manifest or parts."""
    path = Path(path)
    try:
        if path.is_dir():
            tables = path / TABLES_FOLDER
            names = [item.name for item in tables.iterdir()] if tables.is_dir() else []
            manifest = path / MANIFEST_NAME
            return any(map(parse_name, names)) or (manifest.is_file() and _is_ours(manifest.read_bytes()))
        if path.is_file() and zipfile.is_zipfile(path):
            with open_archive(path, DEFAULT_SIZE_LIMIT) as archive:
                return any(_is_ours(archive.read(name)) for name in _manifests(archive))
    except (OSError, ArchiveError):
        return False
    return False


def read_manifest(path: str | os.PathLike[str]) -> Manifest:
    """Read the manifest of a bundle directory.

    Raises:
        BundleError: It is missing, not strict JSON, or of a later schema version.
    """
    file = Path(path) / MANIFEST_NAME
    try:
        return _parse_manifest(file, file.read_bytes())
    except OSError as error:
        raise _unreadable(file, error) from error


def read(path: str | os.PathLike[str], *, size_limit: int = DEFAULT_SIZE_LIMIT, branch: int | None = None) -> Trace:
    """Read a bundle, also one whose writer was killed or is still writing.

    Parts that cannot be read are left out, and ``manifest.notes`` says so.

    Args:
        path: Directory, or zip file with the bundle at its top or in a single folder.
        size_limit: Bytes that the contents may take, unpacked.
        branch: Of a directory, the branch to follow: 0 is the first, None the newest. A run that had to go on from an
            earlier step keeps what it recorded before in the older branches.

    Raises:
        BundleError: There is no bundle, its manifest is missing or damaged or of a later version, or a zip is refused.
    """
    path = Path(path)
    try:
        if path.is_dir():
            return _read_directory(path, size_limit, branch)
        with open_archive(path, size_limit) as archive:
            return _read_zip(path, archive, size_limit)
    except (ArchiveError, SizeLimitError) as error:
        remedy = "Check where the file comes from, copy it again, or raise the size limit if you trust it."
        raise BundleError(path, str(error), remedy) from error
    except OSError as error:
        raise _unreadable(path, error) from error


def write(trace: Trace | TraceView, path: str | os.PathLike[str]) -> None:
    """Write a trace as a bundle: a zip file if the name ends in ``.zip``, else a directory.

    A bundle that is there is replaced; its checkpoints stay if it is of the same run. The new one appears whole or not
    at all.

    Raises:
        BundleError: Something that is no bundle is in the way, or the place cannot be written to.
    """
    path, view = Path(path), trace.view()  # of one moment: a live run grows meanwhile
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix.lower() == ".zip":
            _write_zip(view, path)
        else:
            _write_directory(view, path)
    except OSError as error:
        remedy = "Choose a place that exists, can be written to and has room."
        raise BundleError(path, f"cannot be written: {error.strerror or error}", remedy) from error


def _read_directory(path: Path, size_limit: int, branch: int | None) -> Trace:
    manifest = read_manifest(path)
    tables = path / TABLES_FOLDER

    def markers() -> dict[str, bytes]:
        return {name: data for name in _MARKERS if (data := _optional(path / name)) is not None}

    def load(name: str) -> bytes:
        return (tables / name).read_bytes()

    def load_last(name: str) -> bytes:
        try:
            return load(name)
        except OSError as error:
            raise PartError(error.strerror or str(error)) from error

    try:
        for _ in range(_REREADS):
            # A live writer may merge the parts just listed, or rewind, while they are read: look again.
            marked = markers()
            try:
                trace = assemble(manifest, _listing(tables), load, marked, size_limit, branch)
            except FileNotFoundError:
                continue
            if markers() == marked:
                return trace
        return assemble(manifest, _listing(tables), load_last, markers(), size_limit, branch)
    except OSError as error:
        raise _unreadable(path, error) from error


def _read_zip(path: Path, archive: Archive, size_limit: int) -> Trace:
    found = _manifests(archive)
    if len(found) != 1:
        reason = f"has {len(found)} manifests" if found else f"has no {MANIFEST_NAME}"
        raise BundleError(
            path, reason, "A zip bundle holds one run, at its top or in one folder; unpack and choose it."
        )
    folder = found[0].removesuffix(MANIFEST_NAME)
    manifest = _parse_manifest(path / found[0], archive.read(found[0]))
    prefix = f"{folder}{TABLES_FOLDER}/"

    def load(name: str) -> bytes:
        try:
            return archive.read(prefix + name)
        except ArchiveError as error:
            raise PartError(str(error)) from error

    names = [name.removeprefix(prefix) for name in archive.names if name.startswith(prefix)]
    marked = {name: archive.read(folder + name) for name in _MARKERS if folder + name in archive.names}
    return assemble(manifest, names, load, marked, size_limit)


def _contents(trace: TraceView) -> dict[str, bytes | pa.Buffer]:
    files: dict[str, bytes | pa.Buffer] = {MANIFEST_NAME: manifests.dumps(trace.manifest).encode()}
    for table in TABLES:
        rows = trace.table(table)
        if len(rows):
            files[f"{TABLES_FOLDER}/{Part(table, 0, 0).name}"] = encode(rows, "zstd")
    return files


def _write_zip(trace: TraceView, path: Path) -> None:
    if path.is_dir():
        raise BundleError(path, "is a directory", "Choose another name.")
    with _scratch(path) as scratch:
        with open(scratch / "new", "wb") as file:
            with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
                for name, data in _contents(trace).items():
                    archive.writestr(name, memoryview(data))
            file.flush()
            os.fsync(file.fileno())
        os.replace(scratch / "new", path)


def _write_directory(trace: TraceView, path: Path) -> None:
    if path.exists() and not (path.is_dir() and (is_bundle(path) or not any(path.iterdir()))):
        raise BundleError(path, "is there and is no run bundle", "Choose another name, or remove it first.")
    with _scratch(path) as scratch:
        fresh, old = scratch / "new", scratch / "old"
        (fresh / TABLES_FOLDER).mkdir(parents=True)
        for name, data in _contents(trace).items():
            write_atomically(fresh / name, data, durable=True)
        if path.exists():
            if (path / CHECKPOINTS_FOLDER).is_dir() and _run_id(path) == trace.manifest.run_id:
                shutil.copytree(path / CHECKPOINTS_FOLDER, fresh / CHECKPOINTS_FOLDER)
            os.rename(path, old)
        try:
            os.rename(fresh, path)
        except OSError:
            if old.exists():
                os.rename(old, path)
            raise


@contextmanager
def _scratch(path: Path) -> Iterator[Path]:
    """A folder beside ``path``, so on its file system, that is gone afterwards."""
    scratch = Path(tempfile.mkdtemp(prefix=f".{path.name}.", suffix=".tmp", dir=path.parent))
    try:
        yield scratch
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _run_id(path: Path) -> str | None:
    try:
        return read_manifest(path).run_id
    except BundleError:
        return None


def _manifests(archive: Archive) -> list[str]:
    """Names of manifests at the top of a zip or in a folder there."""
    return [name for name in archive.names if name.split("/")[-1] == MANIFEST_NAME and name.count("/") <= 1]


def _is_ours(data: bytes) -> bool:
    try:
        document = json.loads(data)
    except (ValueError, RecursionError):
        return False
    return isinstance(document, dict) and "schema_version" in document and "run_id" in document


def _parse_manifest(file: Path, data: bytes) -> Manifest:
    try:
        return manifests.loads(data)
    except ManifestError as error:
        reason = ": ".join(part for part in (error.key, error.reason) if part)
        remedy = error.remedy or "restore the file from a copy of the bundle"
        raise BundleError(file, reason, f"{remedy[0].upper()}{remedy[1:]}.") from error


def _unreadable(path: Path, error: OSError) -> BundleError:
    if isinstance(error, FileNotFoundError):
        if path.name == MANIFEST_NAME:
            remedy = "Restore it from a copy; without it the numbers of the tables have no names."
            return BundleError(path, "is missing, so this is no run bundle or a damaged one", remedy)
        return BundleError(path, "does not exist", "Check the path.")
    return BundleError(path, f"cannot be read: {error.strerror or error}", "Check the permissions and the disk.")


def _listing(directory: Path) -> list[str]:
    """Names in a directory, the same twice over: one look may miss both a part that just came and those it replaced."""
    last: list[str] | None = None
    for _ in range(_REREADS):
        names = sorted(item.name for item in directory.iterdir()) if directory.is_dir() else []
        if names == last:
            break
        last = names
    return names


def _optional(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None
