"""Puts what the browser loads where Streamlit serves it: the `static` folder beside `app.py`.

Streamlit serves files, not links, and sends inline scripts again with every update. So plotly.min.js, the
board's modules and its style sheet are copied once; the board's address carries a hash of its content, so a
browser never runs an old copy.
"""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from tempfile import NamedTemporaryFile

import plotly

from foam_viz.figures import theme
from foam_viz.files import STATIC
from foam_viz.lessons.glossary import TERMS

SOURCES = Path(__file__).parent / "board_assets"


@dataclass(frozen=True)
class Published:
    """Addresses of the assets, relative to the page's base."""

    board: str
    """Folder that holds board.js, its neighbours and board.css."""
    plotly: str


def palettes() -> str:
    """The module `theme.js`: the colours of `figures.theme` for the browser."""
    lanes = [asdict(theme.lane(position)) for position in range(theme.DISTINCT_LANES)]
    values = {"DARK_OF": theme.DARK_OF, "LANES": lanes, "LIGHT": asdict(theme.LIGHT), "DARK": asdict(theme.DARK)}
    return "".join(f"export const {name} = {json.dumps(value)};\n" for name, value in values.items())


def terms() -> str:
    """The module `terms.js`: the glossary for the browser."""
    return f"export const TERMS = {json.dumps([asdict(term) for term in TERMS])};\n"


def publish(static: Path = STATIC) -> Published:
    """Copies every asset into `static`, unless it is there already.

    Args:
        static: the folder Streamlit serves as ``app/static``; made if missing.

    Raises:
        OSError: the folder cannot be written.
    """
    files = {path.name: path.read_bytes() for path in sorted(SOURCES.iterdir()) if path.is_file()}
    files["theme.js"] = palettes().encode()
    files["terms.js"] = terms().encode()
    digest = hashlib.blake2b(digest_size=6)
    for name, content in files.items():
        digest.update(name.encode() + b"\0" + content)
    folder = f"board-{digest.hexdigest()}"
    for name, content in files.items():
        _write(static / folder / name, content)
    source = Path(plotly.__file__).parent / "package_data" / "plotly.min.js"
    name = f"plotly-{plotly.__version__}.min.js"
    target = static / name
    if not target.exists() or target.stat().st_size != source.stat().st_size:
        _write(target, source.read_bytes())
    return Published(board=f"app/static/{folder}", plotly=f"app/static/{name}")


@lru_cache(maxsize=1)
def published() -> Published:
    """`publish()`, once a process."""
    return publish()


def _write(path: Path, content: bytes) -> None:
    """Writes a file as a whole or not at all: a browser may be reading the old one, another server writing the same."""
    if path.exists() and path.read_bytes() == content:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    with NamedTemporaryFile(dir=path.parent, prefix=".", delete=False) as part:
        part.write(content)
    os.chmod(part.name, 0o644)
    os.replace(part.name, path)
