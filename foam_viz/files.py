"""Where the files of the app are that are no modules: `app.py`, its pages and configuration, the recorded runs.

In a checkout they stand beside the package, so that ``streamlit run app.py`` works there. A wheel carries them inside
the package, as ``foam_viz/app``: see ``[tool.hatch.build.targets.wheel.force-include]`` in pyproject.toml.
"""

from __future__ import annotations

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent

APP_FOLDER = _PACKAGE / "app" if (_PACKAGE / "app" / "app.py").is_file() else _PACKAGE.parent
"""Folder of `app.py`, `pages`, `.streamlit` and `sample_runs`."""

APP = APP_FOLDER / "app.py"
STATIC = APP_FOLDER / "static"
"""What Streamlit serves to browsers as it is."""
SAMPLE_RUNS = APP_FOLDER / "sample_runs"
