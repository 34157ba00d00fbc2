"""Small text logs in every style of :mod:`tests.logs.text_styles`."""

from __future__ import annotations

import re
from pathlib import Path

from tests.logs.text_styles import STYLES


def make_text_styles(folder: Path) -> Path:
    for style in STYLES:
        (folder / f"{re.sub(r'[^a-z0-9]+', '_', style.name.lower())}.log").write_text(style.text)
    return folder
