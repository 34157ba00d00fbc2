"""What can be taken away of a run at any moment of it."""

from __future__ import annotations

from streamlit.testing.v1 import AppTest


def _page(count: int) -> None:
    from foam_viz.trace import Manifest, Trace
    from foam_viz.ui.take_away import take_away

    take_away("a1b2", [Trace.empty(Manifest(run_id=str(i), name=f"run {i}")) for i in range(count)])


def test_a_run_that_has_no_lanes_yet_says_when_it_can_be_taken() -> None:
    app = AppTest.from_function(_page, args=(0,)).run()
    assert not app.exception and "once it has begun" in app.caption[0].value


def test_a_run_of_another_program_has_its_bundle_and_says_why_it_has_no_program() -> None:
    app = AppTest.from_function(_page, args=(2,)).run()
    assert not app.exception
    assert [button.label for button in app.get("download_button")] == ["Run bundle"]
    assert len(app.caption) == 3 and all(
        "a run that this program trained" in caption.value.replace("\\", "") for caption in app.caption
    )
