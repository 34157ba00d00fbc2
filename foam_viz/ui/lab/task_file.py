"""A table or a text of one's own to train on: its upload, what is in it, and which columns are used."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from typing import Any

import streamlit as st

from foam_viz.engine.server import task_files
from foam_viz.optim.fields import FieldError
from foam_viz.tasks import catalogue as tasks
from foam_viz.tasks import uploads
from foam_viz.tasks.files import FileField
from foam_viz.ui.server import hub
from foam_viz.ui.session.lab import Lab
from foam_viz.ui.text import plain

_MEGABYTES = task_files.MOST_BYTES // 1_000_000
_FOUND = "task file found"


def task_file(state: Lab) -> None:
    """Draw it for a task that takes a file; nothing for others."""
    spec = tasks.find(state.experiment.task)
    for field in spec.local_fields:
        if isinstance(field, FileField):
            _upload(state, spec.name, field)


def _upload(state: Lab, task: str, field: FileField) -> None:
    value = state.experiment.task_settings.get(field.name)
    count = st.session_state.setdefault("task file count", 0)
    key = f"task-file.{task}.{count}"

    def given() -> None:
        file = st.session_state.get(key)
        if file is None:
            state.next.use_file(task, None)
            return
        try:
            taken = task_files.take(hub().task_files, field.name, file.name, file.getvalue(), hub().data.hold)
        except FieldError as error:
            state.next.file_problem = error
            return
        st.session_state[_FOUND] = taken
        state.next.use_file(task, {field.name: taken.value})

    def dropped() -> None:
        st.session_state["task file count"] = count + 1  # an uploader is emptied by a new one
        state.next.use_file(task, None)

    st.file_uploader(
        f"{field.label} of your own",
        type=[field.ending, "tsv", "txt"] if field.ending == "csv" else None,
        key=key,
        on_change=given,
        max_upload_size=_MEGABYTES,
        help=f"In UTF-8, at most {_MEGABYTES} MB: cut a larger file. Without one the task takes its own data. It is "
        "kept on this server for the run; whoever has the run's link can train on it here.",
    )
    if state.next.file_problem is not None:
        st.caption(f":red[{plain(state.next.file_problem, 500)}]")
    if value is None or not uploads.is_upload(value):
        return
    try:
        found = _found(field.name, value)
    except FieldError as error:
        st.caption(f":red[{plain(error, 500)}]")
        found = None
    if found is not None:
        _preview(state, task, found)
    st.button(
        "Take the task's own data", key="task-file-drop", on_click=dropped, type="tertiary", icon=":material/undo:"
    )


def _found(field: str, value: str) -> task_files.TaskFile:
    """What is in the upload, looked into once a page.

    Raises:
        FieldError: It is no longer here.
    """
    known = st.session_state.get(_FOUND)
    if not isinstance(known, task_files.TaskFile) or known.value != value:
        known = task_files.TaskFile(value, "", task_files.look(hub().task_files, field, value))
        st.session_state[_FOUND] = known
    return known


def _preview(state: Lab, task: str, file: task_files.TaskFile) -> None:
    found = file.found
    name = f"{plain(file.name, 60)}: " if file.name else ""
    if not file.names:
        st.caption(f"{name}{found['characters']:,} characters, {found['different']:,} different. It begins:")
        st.code(found["head"], language=None, height=110, wrap_lines=True)
        return
    names, constant = list(file.names), set(found["constant"])
    st.caption(f"{name}{found['rows']:,} rows of {len(names):,} columns. The first:")
    st.dataframe(
        [dict(zip(names, row, strict=True)) for row in found["head"]], hide_index=True, height="auto",
        alt="First rows of the table",
    )  # fmt: skip
    settings = state.experiment.task_settings
    target = settings["target"] if settings["target"] in names else names[-1]
    key = f"task-file-columns.{file.value}"
    st.session_state[f"{key}.target"] = target
    st.session_state[f"{key}.inputs"] = chosen = _split(settings["columns"]) or [n for n in names if n != target]

    def changed() -> None:
        wanted = st.session_state[f"{key}.target"]
        inputs = [name for name in st.session_state[f"{key}.inputs"] if name != wanted]
        every = not inputs or set(inputs) | {wanted} == set(names)
        if target != wanted and len(chosen) == len(names) - 1:  # all others were chosen: they are again
            every = True
        state.next.use_file(task, {**_files(settings), "target": wanted, "columns": None if every else joined(inputs)})

    st.selectbox("Target", names, key=f"{key}.target", on_change=changed, help="The column to predict.")
    st.multiselect(
        "Columns", [name for name in names if name != target], key=f"{key}.inputs", on_change=changed,
        help="What it is predicted from; none means all others. A column that is constant counts as 0.",
    )  # fmt: skip
    if target in constant:
        st.caption(f":red[target = {plain(target)}: must be a column that varies; this one holds one number.]")


def _files(settings: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in settings.items() if uploads.is_upload(value)}


def _split(columns: str | None) -> list[str]:
    return [] if columns is None else [name.strip() for name in next(csv.reader([columns]), [])]


def joined(names: Sequence[str]) -> str:
    """Names as the setting ``columns`` holds them: separated by commas, in quotes where one has a comma."""
    text = io.StringIO()
    csv.writer(text, lineterminator="").writerow(names)
    return text.getvalue()
