"""The parts of a lesson, which its page and a presenter's screen put together: prediction, experiment, answer."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import streamlit as st

from foam_viz.engine.server.hub import ControlRefused, HubFull, TooCostly
from foam_viz.engine.server.lab_run import LabRun
from foam_viz.engine.wire import commands
from foam_viz.figures.catalogue import BY_ID as PANELS
from foam_viz.figures.scene import Lane
from foam_viz.files import SAMPLE_RUNS
from foam_viz.lessons import measured
from foam_viz.lessons.lesson import Lesson, Stage
from foam_viz.trace.disk import bundle
from foam_viz.ui import session
from foam_viz.ui.board.board import board
from foam_viz.ui.feed import lessons as live_lessons
from foam_viz.ui.feed.recorded import RecordedSource
from foam_viz.ui.lab import head as lab_head
from foam_viz.ui.server import feed, hub
from foam_viz.ui.text import plain

RECORDED = SAMPLE_RUNS / "lessons"
_ANSWER_SECONDS = 0.2


def predicted(lesson: Lesson) -> int | None:
    """Return what the reader has predicted; None before that."""
    return st.session_state.setdefault("predictions", {}).get(lesson.id)


def prediction(lesson: Lesson, *, closed: bool = False, on_given: Callable[[int], None] | None = None) -> None:
    """Ask; the answer stands once it is given, so that nobody predicts what was revealed.

    Args:
        lesson: Whose question it is.
        closed: Whether the answer was shown already, by a presenter.
        on_given: Called with the choice.
    """
    asked, given = lesson.prediction, predicted(lesson)
    with st.container(border=True, key="prediction"):
        st.markdown(f"**Predict.** {measured.filled(lesson, asked.question)}")
        if given is not None or closed:
            st.markdown(
                "The answer was shown before you predicted."
                if given is None
                else f"Your prediction: *{asked.choices[given]}*"
            )
            return
        chosen = st.radio(
            "Your prediction", range(len(asked.choices)), format_func=lambda place: asked.choices[place], index=None,
            key=f"prediction-{lesson.id}", label_visibility="collapsed",
        )  # fmt: skip

        def keep() -> None:
            st.session_state["predictions"][lesson.id] = chosen
            if on_given and chosen is not None:
                on_given(chosen)

        st.button(
            "This is my prediction", on_click=keep, disabled=chosen is None, type="primary", key="keep-prediction"
        )


def pairs(stage: Stage) -> list[tuple[str, str]]:
    """Return the parameters of the link that opens a stage in the live lab."""
    return [(key, value) for key, values in stage.link.items() for value in values]


def recorded(lesson: Lesson, stage: int) -> list[str]:
    """Return the names of the recorded runs of a stage, a lane each; empty where they are not all there."""
    names = [f"{lesson.id}-{stage}-{lane}.zip" for lane in range(len(lesson.stages[stage].labels()))]
    return names if all((RECORDED / name).exists() for name in names) else []


def experiment(
    lesson: Lesson,
    stage: int,
    *,
    panels: Sequence[str] = (),
    run: str = "",
    time: bool = True,
    plays: bool = True,
) -> None:
    """Draw the board of an experiment: its recording, or a live run of it.

    Args:
        lesson: Whose experiment it is.
        stage: Which.
        panels: Ids of the panels; empty for those of the experiment.
        run: View id of the live run; empty for the recording.
        time: Whether there is a time cursor.
        plays: Whether the recording plays by itself.
    """
    chosen = tuple(panels) or tuple(lesson.stages[stage].panels)
    if run:
        found = hub().find(run, session=session.current().tab, owner=session.current().browser.id)
        source, outline = live_lessons.name_of(lesson.id, stage, chosen, run), lab_head.outline(found)
    elif recorded(lesson, stage):
        name = f"lesson-{lesson.id}-{stage}-{'+'.join(chosen)}"
        source = feed.sources.share(name, lambda identity: _source(identity, lesson, stage, chosen))
        outline = ""
    else:
        st.info("This experiment is not recorded: run it live, it takes a few seconds.")
        return
    board(key="lesson-board", source=source, look={}, outline=outline, plays=plays and not run, time=time)


def _source(identity: str, lesson: Lesson, stage: int, panels: Sequence[str]) -> RecordedSource:
    lanes = [
        Lane(bundle.read(RECORDED / name), label, place)
        for place, (name, label) in enumerate(zip(recorded(lesson, stage), lesson.stages[stage].labels(), strict=True))
    ]
    return RecordedSource(
        identity, lanes, panels=[PANELS[name] for name in panels], bands=measured.bands(lesson, stage)
    )


# --- the live run of an experiment


def _key(lesson: Lesson, stage: int) -> str:
    return f"live-{lesson.id}-{stage}"


def live_run(lesson: Lesson, stage: int) -> str:
    """Return the view id of this tab's live run of an experiment; empty for none."""
    return st.session_state.get(_key(lesson, stage), "")


def run_buttons(lesson: Lesson, stage: int, *, in_lab: bool = True) -> None:
    """Draw what starts an experiment live, pauses it, and brings the recording back."""
    here = session.current()
    view_id = live_run(lesson, stage)
    run = hub().find(view_id, session=here.tab, owner=here.browser.id) if view_id else None
    if run is None:
        st.button(
            "Run this yourself", icon=":material/play_arrow:", key="run-live", on_click=_start, args=(lesson, stage),
            help="Trains it here and now. Where seeds were measured, their band stays behind the curves.",
        )  # fmt: skip
    else:
        _steer(run, lesson, stage)
    if in_lab:
        query = [*pairs(lesson.stages[stage]), *([("run", view_id)] if run else [])]
        st.page_link(
            "pages/live_lab.py", label="Open in the live lab", icon=":material/science:", query_params=query,
            help="With every setting to change.",
        )  # fmt: skip
    if problem := st.session_state.pop("lesson-problem", ""):
        st.error(plain(problem))


def _steer(run: LabRun, lesson: Lesson, stage: int) -> None:
    if run.running or run.queued or run.starting:
        st.button("Pause", icon=":material/pause:", key="pause-live", on_click=_tell, args=(run.view_id, "pause"))
    elif not run.ended:
        st.button("Go on", icon=":material/play_arrow:", key="go-on", on_click=_tell, args=(run.view_id, "start"))

    def back() -> None:
        _tell(run.view_id, "pause")
        st.session_state.pop(_key(lesson, stage), None)

    st.button("Back to the recording", icon=":material/history:", key="to-recording", on_click=back)


def _start(lesson: Lesson, stage: int) -> None:
    here = session.current()
    try:
        run, key = hub().create(lesson.stages[stage].experiment(), session=here.tab, owner=here.browser.id)
    except (HubFull, TooCostly) as error:
        st.session_state["lesson-problem"] = str(error)
        return
    here.browser.control_keys[run.view_id] = key
    st.session_state[_key(lesson, stage)] = run.view_id
    _tell(run.view_id, "start")
    run.wait(_ANSWER_SECONDS)


def _tell(view_id: str, command: str) -> None:
    here = session.current()
    try:
        key = here.browser.control_keys.get(view_id)
        hub().command(view_id, key, commands.make(command), owner=here.browser.id)
    except (KeyError, ControlRefused) as error:
        st.session_state["lesson-problem"] = str(error) or "The run is kept no more."


# --- the answer


def answer(lesson: Lesson) -> None:
    """Say what the measurement says, and what the reader had predicted."""
    given, asked = predicted(lesson), lesson.prediction
    words = "That is what the runs show." if given == asked.right else f"The runs show: *{asked.choices[asked.right]}*"
    mine = "" if given is None else f"You predicted: *{asked.choices[given]}* "
    st.markdown(f"### The answer\n{mine}{words}")
    statements(claimed(lesson))


def why(lesson: Lesson) -> None:
    """Explain it."""
    st.markdown("### Why")
    for paragraph in lesson.why:
        st.markdown(measured.filled(lesson, paragraph))


def onward(lesson: Lesson) -> None:
    """Say what to try next, and where the lesson comes from."""
    if lesson.try_yourself:
        st.markdown("### Try yourself")
        statements(lesson.try_yourself)
    sources = "; ".join(f"[{source.title}]({source.url})" if source.url else source.title for source in lesson.sources)
    if sources:
        st.caption(f"Sources: {sources}")


def claimed(lesson: Lesson) -> list[str]:
    """Return what was measured of each claim, and what is calculated, a sentence each."""
    found = measured.results(lesson)
    told = [measured.sentence(lesson, claim, found) for claim in lesson.claims] if found else []
    return [*told, *(item.text for item in lesson.calculations)]


def statements(lines: Sequence[str]) -> None:
    """Draw a list."""
    st.markdown("\n".join(f"* {line}" for line in lines))
