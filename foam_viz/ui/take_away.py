"""What of a run can be taken away besides pictures: the run itself, and its configuration to run elsewhere."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import streamlit as st

from foam_viz.experiment import export
from foam_viz.optim.fields import FieldError
from foam_viz.recording.stream import archives
from foam_viz.trace.disk import bundle
from foam_viz.trace.model import Trace
from foam_viz.ui.text import plain


class Form(NamedTuple):
    """How a form of :data:`foam_viz.experiment.export.FORMS` is shown and saved.

    Attributes:
        words: For the reader.
        language: In which it is coloured.
        ending: Of its file.
        kind: Of its file, as a MIME type.
    """

    words: str
    language: str
    ending: str
    kind: str


FORMS: Mapping[str, Form] = {
    "python": Form("Python program", "python", "py", "text/x-python"),
    "cli": Form("Command", "bash", "sh", "text/x-shellscript"),
    "artifact-yaml": Form("YAML of FOAM's artifact", "yaml", "yaml", "application/yaml"),
}
"""By form of :data:`foam_viz.experiment.export.FORMS`."""


def take_away(name: str, traces: Sequence[Trace], lanes: Sequence[Path] = ()) -> None:
    """Draw the downloads of some runs.

    Args:
        name: Of all of them together, for the names of the files.
        traces: The runs; each may still grow.
        lanes: Where the runs are kept: their bundles hold the factor streams that lie there.
    """
    if not traces:
        st.caption("The run can be taken away once it has begun.")
        return
    place = 0
    if len(traces) > 1:
        place = st.selectbox(
            "Lane",
            range(len(traces)),
            format_func=lambda at: f"{at + 1} · {traces[at].manifest.name}",
            key="take-away-lane",
        )
    place = min(place, len(traces) - 1)
    trace, kept = traces[place], lanes[place] if place < len(lanes) else None
    of_lane = f"{name}-lane-{place + 1}" if len(traces) > 1 else name
    # Of a run that goes on nobody knows yet which step it will have made at the click.
    step = "" if trace.manifest.status == "running" else f"-step-{trace.view().last_step}"
    _download("Run bundle", f"foam_viz-{of_lane}{step}.zip", "application/zip", lambda: zipped(trace, kept))
    for form, (words, language, ending, kind) in FORMS.items():
        try:
            text = export.FORMS[form](trace.manifest.config)
        except FieldError as error:
            st.caption(f"No {words}: {plain(error)}.")
            continue
        _download(words, f"foam_viz-{of_lane}.{ending}", kind, text.encode())
        if form == "cli":
            st.code(text.rstrip(), language=language, wrap_lines=True, height=120)


def _download(words: str, name: str, kind: str, data: bytes | Callable[[], Any]) -> None:
    st.download_button(
        words,
        data=data,
        file_name=name,
        mime=kind,
        on_click="ignore",
        key=f"download-{words}",
        type="tertiary",
        icon=":material/download:",
    )


def zipped(trace: Trace, kept: Path | None = None) -> bytes:
    """The run bundle of a trace as one .zip file, with the factor stream that is kept at a place; made at the click."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "run.zip"
        bundle.write(trace, path)
        if kept is not None:
            archives.add_to(path, kept)
        return path.read_bytes()
