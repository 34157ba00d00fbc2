"""The sidebar of the page of logs: what is brought in, and what is open."""

from __future__ import annotations

from pathlib import Path

import streamlit as st

from foam_viz.engine import store
from foam_viz.ui.run_logs import reading as logs_reading
from foam_viz.ui.server import hub
from foam_viz.ui.session.logs import Logs, sample_names
from foam_viz.ui.session.open_logs import Source
from foam_viz.ui.text import plain

MOST_MB = 2000
"""Of all that one browser has uploaded. The limit of one file is Streamlit's own, ``server.maxUploadSize``."""
_WAIT_SECONDS, _WATCH_SECONDS = 0.5, 3.0


def sidebar(state: Logs) -> None:
    """Draws the sidebar and takes in what was dropped on it."""
    with st.sidebar:
        _upload(state)
        if hub().settings.log_folders:
            _server_folder(state)
        _waiting(state)
        _open(state)
        _samples(state)
        _live(state)


def _upload(state: Logs) -> None:
    whole = st.toggle(
        "A whole folder",
        key="logs.whole",
        help="Folders keep what belongs together: TensorBoard runs, FOAM run directories, MLflow stores. Zips do too.",
    )
    count = st.session_state.setdefault("logs.uploads", 0)
    files = st.file_uploader(
        "Drop logs here" if not whole else "Drop a folder of logs here",
        accept_multiple_files="directory" if whole else True,
        key=f"logs.upload.{count}",
        help="CSV, TSV, JSON, JSONL, Parquet, text logs, TensorBoard, W&B, MLflow, Optuna, trackio, Lightning, HF, "
        "AlgoPerf, FOAM run directories, run bundles, and zips of any mix. Found by content, not by name. A file may "
        f"have {st.get_option('server.maxUploadSize'):,} MB, all that is open {MOST_MB:,} MB. Files belong to this "
        f"browser alone; they are deleted when no tab of it was open for {_span(hub().settings.browser_seconds)}.",
    )
    if not files:
        return
    size = sum(file.size for file in files)
    if size + state.open.size > MOST_MB * 2**20:
        state.notice = f"More than {MOST_MB:,} MB would be open: remove an upload first, or give fewer files."
        st.session_state["logs.uploads"] = count + 1
        st.rerun()
    name = files[0].name.replace("\\", "/").rpartition("/")[2] if len(files) == 1 else f"{len(files):,} files"
    try:
        state.show(state.open.upload(name, [(file.name, file.getbuffer()) for file in files], size))
    except OSError as error:
        state.notice = f"The upload was not opened: {store.unwritable(error)}."
    st.session_state["logs.uploads"] = count + 1  # another uploader: what was taken in need not stay in memory twice
    st.rerun()


def allowed_folder(text: str, folders: tuple[Path, ...]) -> tuple[Path | None, str]:
    """The folder or file on the server that a reader may open, or why not.

    Whether something outside the allowed folders exists is not told.

    Args:
        text: Absolute, relative to one of the folders, or its name and what lies in it.
        folders: What the configuration allows.
    """
    homes = [folder.resolve() for folder in folders]
    missing = ""
    if "\0" in text:
        return None, "a path has no zero bytes"
    given = Path(text.strip())
    for home in homes:
        for start in (home, home.parent) if given.parts[:1] == (home.name,) else (home,):
            try:
                place = (given if given.is_absolute() else start / given).resolve()
            except (OSError, RuntimeError):
                continue
            if place.is_relative_to(home) and place.exists():
                return place, ""
            if place.is_relative_to(home) and len(homes) == 1 and start == home:
                missing = "there is no such folder or file"
    if missing:
        return None, missing
    return None, "only what lies in the folders that the configuration allows (log_folders) can be opened"


def _server_folder(state: Logs) -> None:
    folders = hub().settings.log_folders

    def chosen() -> None:
        text = st.session_state["logs.folder"].strip()
        if not text:
            return
        place, problem = allowed_folder(text, folders)
        if place is None:
            state.notice = f"{text}: {problem}."
            return
        st.session_state["logs.folder"] = ""
        if all(place not in source.paths for source in state.sources):
            state.show(state.open.add("folder", place.name, [place], None))

    st.text_input(
        "Folder on the server",
        key="logs.folder",
        on_change=chosen,
        placeholder=folders[0].name,
        help="Everything below it is read. Allowed: " + ", ".join(plain(folder.name) for folder in folders) + ".",
    )


def _open(state: Logs) -> None:
    if not state.sources:
        return
    st.markdown("**Open**")
    for source in list(state.sources):
        with st.container(border=True, key=f"source-{source.id}"):
            with st.container(horizontal=True, vertical_alignment="center", gap="small"):
                st.markdown(plain(source.label, 60), width="stretch")
                st.button(
                    "",
                    icon=":material/close:",
                    key=f"remove-{source.id}",
                    on_click=state.remove,
                    args=(source,),
                    type="tertiary",
                    help="Closes it" + (" and deletes the uploaded files." if source.folder else "."),
                )
            st.caption(_state_of(source))
            if source.freed and source.job is None and not source.lost:
                st.button("Read again", key=f"again-{source.id}", on_click=state.open.read, args=(source,))
            if source.kind == "folder":
                source.watch = st.toggle(
                    "Watch",
                    value=source.watch,
                    key=f"watch-{source.id}",
                    help="Checks the folder every few seconds, and reads it again after a change.",
                )
    st.button(
        "Forget my files",
        icon=":material/delete_sweep:",
        key="logs.forget-files",
        on_click=state.forget,
        type="tertiary",
        help="Closes everything above, deletes the uploaded files, and forgets selections and corrections of columns.",
    )


def _span(seconds: float) -> str:
    """A time in words."""
    if seconds == 3600:
        return "an hour"
    return f"{seconds / 3600:g} hours" if seconds > 3600 else f"{seconds / 60:g} minutes"


def _state_of(source: Source) -> str:
    reading = source.reading
    if reading is None:
        if not source.freed or source.job is not None:
            return "being read"
        return f"{source.freed} The uploaded files are deleted: upload them again." if source.lost else source.freed
    runs, problems = len(reading.traces), len(reading.problems)
    words = f"{runs:,} run{'s' if runs != 1 else ''}"
    if problems:
        words += f", {problems:,} thing{'s' if problems != 1 else ''} not read"
    return words + (", being read again" if source.job else "")


def _samples(state: Logs) -> None:
    if "logs.samples" not in st.session_state:
        st.session_state["logs.samples"] = state.samples

    def chosen() -> None:
        state.samples = list(st.session_state["logs.samples"])

    st.multiselect(
        "Recorded samples",
        sample_names(),
        key="logs.samples",
        on_change=chosen,
        format_func=sample_label,
        placeholder="Choose samples",
        help="Small runs of this project, recorded by its own command line; sample_runs/README.md says how.",
    )


def sample_label(name: str) -> str:
    """The file name in words: ``digits-autoencoder-shampoo-f200`` is ``digits: shampoo f200``."""
    for task, short in (("digits-autoencoder-", "digits: "), ("tiny-gpt-", "GPT: ")):
        if name.startswith(task):
            return short + name.removeprefix(task).replace("-", " ")
    return name


def _live(state: Logs) -> None:
    run = state.live_run()
    if run is None:
        state.with_live = False
        return
    state.with_live = st.toggle(
        "Overlay the live lab",
        value=state.with_live,
        key="logs.live",
        help="Shows the run of your live lab beside the logs, while it trains too.",
    )


def _waiting(state: Logs) -> None:
    """Shows what is being read, and draws the page again when something new is there."""
    pending = bool(state.open.pending)
    pace = _WAIT_SECONDS if pending else _WATCH_SECONDS if any(source.watch for source in state.sources) else None

    @st.fragment(run_every=pace, key="logs-waiting")
    def look() -> None:
        state.open.look_after()
        for source in state.open.pending:
            size = sum(path.stat().st_size for path in source.paths if path.is_file())
            much = f", {size / 2**20:,.1f} MB" if size else ""
            ahead = logs_reading.queue.ahead(source.job) if source.job else 0
            what = f"Behind {ahead:,} other visitor{'s' if ahead != 1 else ''}:" if ahead else "Reading"
            st.status(f"{what} {plain(source.label, 60)}{much}: {source.seconds:,.0f} s", state="running")
        now = state.open.pending
        if bool(now) != pending or any(source.job is None or source.job.done() for source in now):
            st.rerun()

    look()
