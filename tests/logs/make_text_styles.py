"""Small text logs in every style of :mod:`tests.logs.text_styles`, a few a folder."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from tests.logs.text_styles import STYLES

_FOLDERS = 8


def _maker(first: int) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        for style in STYLES[first::_FOLDERS]:
            (folder / f"{re.sub('[^a-z0-9]+', '_', style.name.lower())}.log").write_text(style.text, encoding="utf-8")
        return folder

    return make


(
    make_text_styles_1, make_text_styles_2, make_text_styles_3, make_text_styles_4, make_text_styles_5,
    make_text_styles_6, make_text_styles_7, make_text_styles_8,
) = map(_maker, range(_FOLDERS))  # fmt: skip
