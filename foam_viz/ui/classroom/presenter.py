"""A presenter's screen: one thing at a time, in large type, moved by keys; and the class that follows it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from html import escape
from typing import Any, Literal

import streamlit as st

from foam_viz.engine.server.hub import ControlRefused
from foam_viz.figures.catalogue import BY_ID as PANELS
from foam_viz.lessons import measured
from foam_viz.lessons.catalogue import LESSONS
from foam_viz.lessons.lesson import Lesson
from foam_viz.ui import address, session
from foam_viz.ui.classroom import link, results
from foam_viz.ui.classroom.component import connection
from foam_viz.ui.classroom.room import HOURS, Room, Shown, rooms
from foam_viz.ui.lessons import parts as lesson_parts
from foam_viz.ui.lessons.sandbox import sandbox
from foam_viz.ui.server import hub
from foam_viz.ui.text import plain, whole

PAGE = "lessons"
_OVER = "presenter-over"
"""What lies over the slide: the link's code, the class's results, or nothing."""
_REVEALED = "presenter-revealed"
_PANELS_AT_ONCE = 2
_CLOSED = (
    "Your class is closed: it has ended, or the server was started again. Open a new one (Q) and give the students its "
    "link."
)
_ELSEWHERE = (
    "The class of this link was opened in another browser, which alone moves it. Here you can open one of your own (Q)."
)
_STYLE = """<style>
.stApp { --foam-ink: light-dark(#000, #FFF); }
header[data-testid="stHeader"], [data-testid="stLayoutWrapper"]:has(> .st-key-page-tools-place) { display: none; }
.stMainBlockContainer { padding: 0.4rem 1.6rem 3.5rem; }
.st-key-slide-head { justify-content: space-between; }
.st-key-slide-head [data-testid="stCaptionContainer"] { text-align: right; }
.st-key-slide-head h1 { font-size: 2rem; padding: 0; }
.st-key-slide :is(p, li) { font-size: 1.55rem; line-height: 1.45; color: var(--foam-ink); max-width: 78ch; }
.st-key-slide :is([data-testid="stWidgetLabel"], [data-testid="stMetricLabel"]) p { font-size: 1.1rem;
  line-height: 1.3; }
.st-key-slide [data-testid="stMetricLabel"] p { white-space: normal; }
.st-key-slide .st-key-slide-watch p { font-size: 1.25rem; max-width: none; }
.st-key-slide h3 { font-size: 1.7rem; padding: 0; }
.st-key-slide [data-testid="stCaptionContainer"] p { font-size: 1.15rem; }
.st-key-presenter-foot { position: fixed; left: 0; right: 0; bottom: 0; z-index: 50; padding: 0.45rem 1.6rem;
  background: var(--paper); border-top: 1px solid color-mix(in srgb, currentColor 20%, transparent); }
.foam-choices { font-size: 1.6rem; line-height: 1.35; padding-left: 2.2rem; color: var(--foam-ink); }
.foam-choices li { position: relative; margin: 0.9rem 0; padding: 0.2rem 0 0.7rem; }
.foam-choices b { margin-left: 1rem; }
.foam-share { position: absolute; left: 0; bottom: 0; height: 0.5rem; border-radius: 3px; background: var(--accent);
  transition: width 400ms; }
.foam-code { width: min(26rem, 56vh); background: #FFF; border-radius: 8px; display: block; }
.foam-class-said { font-size: 1.05rem; color: var(--foam-ink); font-variant-numeric: tabular-nums; }
@media (prefers-reduced-motion: reduce) { .foam-share { transition: none; } }
</style>"""


@dataclass(frozen=True)
class Slide:
    """A part of a lesson.

    Attributes:
        kind: What is shown.
        stage: Which experiment.
    """

    kind: Literal["question", "prediction", "experiment", "sandbox", "answer", "why", "onward"]
    stage: int = 0


def slides(lesson: Lesson) -> tuple[Slide, ...]:
    """Return the parts of a lesson, in order."""
    return (
        Slide("question"),
        Slide("prediction"),
        *(Slide("experiment", stage) for stage in range(len(lesson.stages))),
        *([Slide("sandbox")] if lesson.sandbox else []),
        Slide("answer"),
        Slide("why"),
        *([Slide("onward")] if lesson.try_yourself else []),
    )


def door(lesson: Lesson) -> None:
    """Draw what leads from a lesson to its presentation."""
    with st.popover("Present", icon=":material/co_present:", help="Shows this lesson to a class, large."):
        chosen = st.multiselect(
            "On the screen", list(address.CONTROLS), default=list(_default("control")), key="present-controls",
            format_func=address.CONTROLS.__getitem__, help="Each also has a key.",
        )  # fmt: skip
        panels = st.multiselect(
            "Panels", list(PANELS), default=[], key="present-panels", format_func=lambda name: PANELS[name].title,
            placeholder="the first two of each experiment",
        )  # fmt: skip
        values = {"lesson": lesson.id, "present": True, "control": tuple(chosen), "panel": tuple(panels)}
        st.page_link(
            "pages/lessons.py", label="Begin", icon=":material/play_arrow:", query_params=_pairs(_written(values)),
        )  # fmt: skip
        st.caption("Keys: Page Down and Page Up, or the arrows, turn; R predictions; Q the class's link; C its results")


def _default(name: str) -> Any:
    return address.defaults(PAGE)[name]


def _written(values: Mapping[str, Any]) -> address.Query:
    return address.write(PAGE, {**address.defaults(PAGE), **values})


def _pairs(query: address.Query) -> list[tuple[str, str]]:
    return [(key, value) for key, values in query.items() for value in values]


def presenter(lesson: Lesson, values: dict[str, Any]) -> None:
    """Draw the screen.

    Args:
        lesson: What is presented.
        values: What the address says.
    """
    here = session.current()
    parts = slides(lesson)
    position = min(values["slide"], len(parts) - 1)
    slide = parts[position]
    room = rooms.of(here.browser.id)
    panels = tuple(values["panel"]) or _panels(lesson, slide)
    run = lesson_parts.live_run(lesson, slide.stage) if lesson.stages else ""
    if room is not None:
        room.show(_shown(lesson, slide, panels, run))
        _first(run)
    elif values["class"] and here.known:
        st.warning(_ELSEWHERE if rooms.find(values["class"]) else _CLOSED)
    st.html(_STYLE)
    turn = _Turn(lesson, values, position, len(parts))
    over = st.session_state.get(_OVER, "")
    with st.container(key="presenter"):
        _head(lesson, turn, room, over)
        with st.container(key="slide"):
            if over == "code":
                _code(room, lesson, slide)
            elif over == "runs" and room is not None:
                results.results(room, lesson, slide.stage)
            elif over == "predictions" and room is not None:
                _predicted(lesson, room)
            else:
                _slide(lesson, slide, values, panels, room)
    _foot(turn, values, room, over)


def _shown(lesson: Lesson, slide: Slide, panels: tuple[str, ...] = (), run: str = "") -> Shown:
    """What the class sees of a slide."""
    answer, asks = slide.kind in ("answer", "why", "onward"), slide.kind in ("question", "prediction")
    return Shown(lesson.id, slide.stage, panels, answer, run, experiment=not asks)


def _first(run: str) -> None:
    """The steps of a run that a class looks at come before all others."""
    here = session.current()
    if run:
        with suppress(KeyError, ControlRefused):
            hub().present(run, here.browser.control_keys.get(run), True, owner=here.browser.id)


def _panels(lesson: Lesson, slide: Slide) -> tuple[str, ...]:
    return tuple(lesson.stages[slide.stage].panels[:_PANELS_AT_ONCE]) if lesson.stages else ()


@dataclass(frozen=True)
class _Turn:
    """Moves the presentation.

    Attributes:
        lesson, values: What is presented, and how.
        position, count: Which of how many slides.
    """

    lesson: Lesson
    values: Mapping[str, Any]
    position: int
    count: int

    def by(self, slides: int) -> None:
        """Go on, or back; over the end begins the next lesson."""
        st.session_state[_OVER] = ""
        st.session_state[_REVEALED] = False
        position, lesson = self.position + slides, LESSONS.index(self.lesson)
        if not 0 <= position < self.count:
            lesson += 1 if slides > 0 else -1
            if not 0 <= lesson < len(LESSONS):
                return
            position = 0 if slides > 0 else 20
        self.show(lesson=LESSONS[lesson].id, slide=position)

    def show(self, **change: Any) -> None:
        """Put another link into the address, which is what the screen is drawn from."""
        session.current().show(_written({**self.values, **change}))

    def press(self, name: str) -> None:
        """Do what a key stands for."""
        if name in ("next", "back"):
            self.by(1 if name == "next" else -1)
        elif name == "predictions" and slides(self.lesson)[self.position].kind == "prediction":
            st.session_state[_REVEALED] = not st.session_state.get(_REVEALED, False)
            st.session_state[_OVER] = ""
        elif name == "close":
            st.session_state[_OVER] = ""
        else:
            st.session_state[_OVER] = "" if st.session_state.get(_OVER) == name else name


def _head(lesson: Lesson, turn: _Turn, room: Room | None, over: str) -> None:
    """The title, and how many follow: the part of the page that hears of the class and of keys."""
    with st.container(
        horizontal=True, vertical_alignment="center", horizontal_alignment="distribute", key="slide-head"
    ):
        st.title(f"{LESSONS.index(lesson) + 1}. {lesson.title}", anchor=False)
        connection(
            "class-connection",
            {
                "role": "presenter",
                "class": room.code if room else "",
                "key": room.key if room else "",
                "watches": _watches(over),
            },
            turn.press,
        )
        st.caption(f"{turn.position + 1} of {turn.count}")


def _slide(lesson: Lesson, slide: Slide, values: Mapping[str, Any], panels: tuple[str, ...], room: Room | None) -> None:
    if slide.kind == "question":
        st.markdown(whole(lesson.question))
    elif slide.kind == "prediction":
        st.markdown(whole(measured.filled(lesson, lesson.prediction.question)))
        _predictions(lesson, room)
    elif slide.kind == "experiment":
        stage, run = lesson.stages[slide.stage], lesson_parts.live_run(lesson, slide.stage)
        with st.container(key="slide-watch"):
            st.markdown(whole(stage.watch))
        lesson_parts.experiment(lesson, slide.stage, panels=panels, run=run, time="time" in values["control"])
    elif slide.kind == "sandbox":
        sandbox(lesson)
    elif slide.kind == "answer":
        st.markdown(f"**{lesson.prediction.choices[lesson.prediction.right]}**")
        lesson_parts.statements(lesson_parts.claimed(lesson))
    elif slide.kind == "why":
        lesson_parts.why(lesson)
    else:
        lesson_parts.onward(lesson)


def _predictions(lesson: Lesson, room: Room | None) -> None:
    """The choices; with bars once the presenter reveals what the class predicted."""
    counts = room.predictions(lesson) if room is not None else []
    revealed = bool(counts) and st.session_state.get(_REVEALED, False)
    total = _choices(lesson, counts, revealed)
    if room is not None:
        words = f"{total} predicted." if total else "No predictions yet."
        st.caption(f"{words} Press R to show their choices." if total and not revealed else words)


def _predicted(lesson: Lesson, room: Room) -> None:
    """What the class predicted, over any other part of the lesson."""
    st.markdown("### What the class predicted")
    total = _choices(lesson, room.predictions(lesson), True)
    st.caption(f"{total} predicted." if total else "No predictions yet.")


def _choices(lesson: Lesson, counts: Sequence[int], revealed: bool) -> int:
    """Draw the choices, and return how many have chosen."""
    total = sum(counts)
    rows = []
    for position, choice in enumerate(lesson.prediction.choices):
        share = 100 * counts[position] / total if revealed and total else 0
        told = f"<b>{counts[position]}</b>" if revealed else ""
        rows.append(
            f'<li><span class="foam-choice">{escape(choice)}</span>{told}'
            f'<i class="foam-share" style="width:{share:.0f}%"></i></li>'
        )
    st.html(f'<ol class="foam-choices" type="A">{"".join(rows)}</ol>')
    return total


def _code(room: Room | None, lesson: Lesson, slide: Slide) -> None:
    """The link of the class; or how to open one."""
    if room is None:
        st.markdown("### Open a class")
        st.markdown(
            "Students follow this screen on their own devices. You see how many follow, what they predict, and what "
            "their own runs gave: as numbers, without names. All of it is in this server's memory alone."
        )
        st.button("Open a class", type="primary", key="class-open", on_click=_open, args=(lesson, slide))
        if problem := st.session_state.pop("class-problem", ""):
            st.error(plain(problem))
        return
    page = st.context.url or ""
    if link.is_loopback(page):
        st.error(link.LOOPBACK_REMEDY, icon=":material/wifi_off:")
    else:
        address_of = link.student_link(page, room.code)
        with st.container(horizontal=True, vertical_alignment="center", gap="large"):
            st.html(
                f'<img class="foam-code" alt="QR code of the link" src="{link.picture(address_of)}">', width="content"
            )
            st.markdown(f"### Follow this class\n{plain(address_of)}")
    with st.container(horizontal=True, vertical_alignment="center"):
        st.caption(f"Open for {room.minutes_left} minutes more, of {HOURS:g} hours at most.")
        st.button("End the class", key="class-end", on_click=_end, args=(room,))


def _open(lesson: Lesson, slide: Slide) -> None:
    here = session.current()
    try:
        room = rooms.open(here.browser.id, _shown(lesson, slide))
    except LookupError as error:
        st.session_state["class-problem"] = str(error)
        return
    st.query_params["class"] = room.code


def _end(room: Room) -> None:
    rooms.end(room)
    st.session_state[_OVER] = ""
    st.query_params.pop("class", None)


def _foot(turn: _Turn, values: Mapping[str, Any], room: Room | None, over: str) -> None:
    controls = values["control"]
    experiment = slides(turn.lesson)[turn.position]
    with st.container(horizontal=True, vertical_alignment="center", key="presenter-foot"):
        if "turn" in controls:
            _button(turn, "Back", "back", "arrow_back")
            _button(turn, "Next", "next", "arrow_forward", primary=True)
        if "run" in controls and experiment.kind == "experiment" and not over:
            lesson_parts.run_buttons(turn.lesson, experiment.stage, in_lab=False)
        if "panels" in controls and experiment.kind == "experiment":
            _choose_panels(turn, experiment)
        if "class" in controls:
            _button(turn, "Predictions", "predictions", "bar_chart", disabled=room is None)
            _button(turn, "Class", "code", "qr_code_2")
            _button(turn, "Results", "runs", "scatter_plot", disabled=room is None)
        query = _written({"lesson": turn.lesson.id, "stage": experiment.stage})
        st.page_link("pages/lessons.py", label="Leave", icon=":material/close:", query_params=_pairs(query))


def _watches(over: str) -> list[str]:
    """What the screen shows of the class besides the counts that its script writes."""
    return {"runs": ["points"], "code": []}.get(over, ["predicted"])


def _button(turn: _Turn, label: str, name: str, icon: str, *, primary: bool = False, disabled: bool = False) -> None:
    st.button(
        label, icon=f":material/{icon}:", key=f"presenter-{name}", on_click=turn.press, args=(name,), disabled=disabled,
        type="primary" if primary else "secondary",
    )  # fmt: skip


def _choose_panels(turn: _Turn, slide: Slide) -> None:
    offered = list(turn.lesson.stages[slide.stage].panels)
    key = f"presenter-panels-{turn.lesson.id}-{slide.stage}"
    shown = [name for name in turn.values["panel"] if name in offered] or list(_panels(turn.lesson, slide))
    st.session_state[key] = shown
    st.pills(
        "Panels", offered, selection_mode="multi", key=key, format_func=lambda name: PANELS[name].title,
        label_visibility="collapsed", on_change=lambda: turn.show(panel=tuple(st.session_state[key])),
    )  # fmt: skip
