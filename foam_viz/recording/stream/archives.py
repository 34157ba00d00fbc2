"""Factor streams in zip files of bundles."""

from __future__ import annotations

import os
import zipfile
from pathlib import Path

from foam_viz.recording.stream.part import STREAM_FOLDER, is_part, parts_of
from foam_viz.recording.stream.reading import DEFAULT_SIZE_LIMIT
from foam_viz.trace.disk import bundle
from foam_viz.trace.disk.archive import ArchiveError, open_archive
from foam_viz.trace.disk.bundle import BundleError

_MOST_MEMBERS = 10_000


def pack(directory: str | os.PathLike[str], archive: str | os.PathLike[str]) -> None:
    """Write a bundle directory with its stream as one zip file; ``bundle.write`` keeps no stream.

    Raises:
        BundleError: The directory is no whole bundle.
        OSError: The zip file cannot be written.
    """
    directory, archive = Path(directory), Path(archive)
    bundle.write(bundle.read(directory), archive)
    add_to(archive, directory)


def add_to(archive: Path, directory: Path, prefix: str = "") -> None:
    """Add the stream of a bundle directory, where there is one, to a zip file of the same bundle.

    Args:
        archive: The zip file.
        directory: The bundle directory.
        prefix: Folder of the bundle in the zip file, with a slash at its end; empty for its top.

    Raises:
        OSError: The zip file cannot be written.
    """
    with zipfile.ZipFile(archive, "a", zipfile.ZIP_STORED) as file:
        for path in parts_of(directory):
            file.write(path, f"{prefix}{STREAM_FOLDER}/{path.name}")


def bundles_in(archive: Path) -> list[str]:
    """Folders of a zip file whose bundles hold a stream, in order: ``""`` for its top, else with a slash at the end.

    Raises:
        OSError: The file cannot be read.
        zipfile.BadZipFile: It is no zip file.
    """
    with zipfile.ZipFile(archive) as file:
        return sorted({_prefix(name) for name in file.namelist()[:_MOST_MEMBERS] if is_part(name)})


def take_out(archive: Path, prefix: str, target: Path, *, size_limit: int = DEFAULT_SIZE_LIMIT) -> None:
    """Write one of several bundles of a zip file, with its stream, as a zip file of its own.

    Args:
        archive: The zip file.
        prefix: One of ``bundles_in``.
        target: The zip file to write.
        size_limit: Bytes that the zip file may take, unpacked.

    Raises:
        BundleError: The zip file is refused.
        OSError: The target cannot be written.
    """
    try:
        with open_archive(archive, size_limit) as source, zipfile.ZipFile(target, "w", zipfile.ZIP_STORED) as file:
            for name in source.names:
                if name.startswith(prefix):
                    file.writestr(name.removeprefix(prefix), source.read(name))
    except ArchiveError as error:
        raise BundleError(archive, str(error), "Copy the file again, or give the lanes one by one.") from error


def _prefix(name: str) -> str:
    return "".join(f"{folder}/" for folder in name.split("/")[:-2])
