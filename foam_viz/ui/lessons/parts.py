"""The parts of a lesson, which its page and a presenter's screen put together: prediction, experiment, answer."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import streamlit as st

from foam_viz.figures.catalogue import BY_ID as PANELS
from foam_viz.figures.scene import Lane
from foam_viz.files import SAMPLE_RUNS
from foam_viz.lessons import measured
from foam_viz.lessons.lesson import Lesson, Stage
from foam_viz.trace.disk import bundle
from foam_viz.ui import own_run, session
from foam_viz.ui.board.board import board
from foam_viz.ui.feed import lessons as live_lessons
from foam_viz.ui.feed.recorded import RecordedSource
from foam_viz.ui.lab import head as lab_head
from foam_viz.ui.lessons.sketch import compared, sketch
from foam_viz.ui.saving_notice import saving_notice
from foam_viz.ui.server import feed, hub
from foam_viz.ui.text import whole

RECORDED = SAMPLE_RUNS / "lessons"


def predicted(lesson: Lesson) -> int | None:
    """Return what the reader has predicted, in any tab of the browser; None before that."""
    return session.current().browser.predictions.get(lesson.id)


def prediction(lesson: Lesson, *, closed: bool = False, on_given: Callable[[int], None] | None = None) -> None:
    """Ask; the answer stands once it is given, so that nobody predicts what was revealed.

    Args:
        lesson: Whose question it is.
        closed: Whether the answer was shown already, by a presenter.
        on_given: Called with the choice.
    """
    asked, given = lesson.prediction, predicted(lesson)
    with st.container(border=True, key="prediction"):
        st.markdown(f"**Predict.** {whole(measured.filled(lesson, asked.question))}")
        if given is not None or closed:
            st.markdown(
                "The answer was shown before you predicted."
                if given is None
                else f"Your prediction: *{asked.choices[given]}*"
            )
            if given is not None:
                sketch(lesson)
            return
        chosen = st.radio(
            "Your prediction", range(len(asked.choices)), format_func=lambda position: asked.choices[position],
            index=None, key=f"prediction-{lesson.id}", label_visibility="collapsed",
        )  # fmt: skip
        if asked.sketch:
            with st.expander("Sketch it, too", icon=":material/draw:"):
                sketch(lesson)

        def keep() -> None:
            if chosen is None:
                return
            kept = session.current().browser.predictions.setdefault(lesson.id, chosen)
            if on_given:
                on_given(kept)

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
    chosen, steers = tuple(panels) or tuple(lesson.stages[stage].panels), None
    if run:
        found = hub().find(run, session=session.current().tab, owner=session.current().browser.id)
        source, outline = live_lessons.name_of(lesson.id, stage, chosen, run), lab_head.outline(found)
        steers = own_run.control(found) if found and run == live_run(lesson, stage) else None
        saving_notice(found)
    elif recorded(lesson, stage):
        name = f"lesson-{lesson.id}-{stage}-{'+'.join(chosen)}"
        source = feed.sources.share(name, lambda identity: _source(identity, lesson, stage, chosen))
        outline = ""
    else:
        st.info("This experiment is not recorded: run it live, it takes a few seconds.")
        return
    board(
        key="lesson-board", source=source, outline=outline, session=steers, plays=plays and not run, time=time,
        look={"lane": lesson.stages[stage].lane, "factor": lesson.stages[stage].factor},
    )  # fmt: skip


def _source(identity: str, lesson: Lesson, stage: int, panels: Sequence[str]) -> RecordedSource:
    lanes = [
        Lane(bundle.read(RECORDED / name), label, position)
        for position, (name, label) in enumerate(
            zip(recorded(lesson, stage), lesson.stages[stage].labels(), strict=True)
        )
    ]
    return RecordedSource(
        identity, lanes, panels=[PANELS[name] for name in panels], bands=measured.bands(lesson, stage)
    )


# --- the live run of an experiment


def _name(lesson: Lesson, stage: int) -> str:
    return f"{lesson.id}-{stage}"


def live_run(lesson: Lesson, stage: int) -> str:
    """Return the view id of this browser's live run of an experiment; empty for none."""
    run = own_run.run(_name(lesson, stage))
    return run.view_id if run else ""


def run_buttons(lesson: Lesson, stage: int, *, in_lab: bool = True) -> None:
    """Draw what starts an experiment live, pauses it, and brings the recording back."""
    name, experiment = _name(lesson, stage), lesson.stages[stage]
    if (run := own_run.run(name)) is None:
        st.button(
            "Run this yourself", icon=":material/play_arrow:", key="run-live",
            type="primary" if in_lab else "secondary",
            on_click=lambda: own_run.start(name, experiment.experiment()),
            help="Trains the experiment here. The band of the recorded seeds, where there is one, stays in sight.",
        )  # fmt: skip
    else:
        own_run.steer(run)
        st.button(
            "Back to the recording", icon=":material/history:", key="to-recording", on_click=own_run.forget,
            args=(name,),
        )  # fmt: skip
    if in_lab:
        query = [*pairs(experiment), *([("run", run.view_id)] if run else [])]
        st.page_link(
            "pages/live_lab.py", label="Open in the live lab", icon=":material/science:", query_params=query,
            help="There you can change every setting.",
        )  # fmt: skip
    own_run.problem()


# --- the answer


def answer(lesson: Lesson) -> None:
    """Say what the measurement says, and what the reader had predicted."""
    given, asked = predicted(lesson), lesson.prediction
    who = "the runs show" if lesson.claims else "the calculation shows"
    right = f"{who.capitalize()}: **{asked.choices[asked.right]}**"
    st.markdown("### The answer")
    if given is not None and given == asked.right:
        st.markdown(f"You predicted: *{asked.choices[given]}*. That is what {who}.".replace(".*.", ".*"))
    else:
        st.markdown(f"You predicted: *{asked.choices[given]}*  \n{right}" if given is not None else right)
    statements(claimed(lesson))
    compared(lesson)


def why(lesson: Lesson) -> None:
    """Explain it."""
    st.markdown("### Why")
    for paragraph in lesson.why:
        st.markdown(whole(measured.filled(lesson, paragraph)))


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
    found = measured.results(lesson.id)
    told = [measured.sentence(lesson, claim, found) for claim in lesson.claims] if found else []
    for item in lesson.calculations:  # a sentence may take several of them
        if told and not told[-1].endswith("."):
            told[-1] += f" {item.text}"
        else:
            told.append(item.text)
    return told


def statements(lines: Sequence[str]) -> None:
    """Draw a list."""
    st.markdown("\n".join(f"* {whole(line)}" for line in lines))
