"""A presenter and a student in two real browsers."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from benchmarks.server import CHROMIUM_FLAGS, Server, chromium

NAME = socket.gethostname()


@pytest.fixture(scope="module")
def class_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    home = tmp_path_factory.mktemp("class")
    with Server(home, FOAM_VIZ_ENGINES="1", STREAMLIT_BROWSER_SERVER_ADDRESS=NAME) as started:
        yield started


@pytest.fixture
def pages(browser, class_server: Server) -> Iterator[tuple]:
    """A teacher's and a student's page, each of a browser of its own that knows the machine by its name."""
    launched = browser.browser_type.launch(
        executable_path=chromium(), args=[*CHROMIUM_FLAGS, f"--host-resolver-rules=MAP {NAME} 127.0.0.1"]
    )
    teacher = launched.new_context(viewport={"width": 1280, "height": 720}).new_page()
    student = launched.new_context(viewport={"width": 400, "height": 800}).new_page()
    problems: list[str] = []
    for page in (teacher, student):
        page.on("pageerror", lambda error: problems.append(str(error)))
    yield teacher, student, f"http://{NAME}:{class_server.port}"
    launched.close()
    assert not problems


def test_a_class_from_the_code_to_the_answer(pages) -> None:
    teacher, student, base = pages
    teacher.goto(f"{base}/lessons?lesson=how-stale&present=true")
    teacher.get_by_text("How long may f be").wait_for()
    teacher.locator("html[data-presenting]").wait_for(state="attached")  # from then on keys are heard
    teacher.keyboard.press("PageDown")
    teacher.get_by_text("Which sentence will be true").wait_for()
    teacher.keyboard.press("q")
    teacher.get_by_role("button", name="Open a class").click()
    teacher.get_by_alt_text("QR code of the link").wait_for()
    code = teacher.evaluate("new URLSearchParams(location.search).get('class')")

    student.goto(f"{base}/lessons?class={code}")
    student.get_by_text("You follow the class").wait_for()
    student.get_by_text("The loss rises with the period").first.click()
    student.get_by_role("button", name="This is my prediction").click()
    student.get_by_text("Your prediction:").wait_for()
    teacher.get_by_text("1 of 1 follow · 1 predicted · 0 results").wait_for()

    teacher.reload()  # the class is the browser's
    teacher.get_by_text("1 of 1 follow").wait_for()
    teacher.get_by_text("1 predicted. Press R to show their choices.").wait_for()
    teacher.keyboard.press("r")
    teacher.locator(".foam-choices b", has_text="1").wait_for()

    teacher.keyboard.press("PageDown")
    teacher.locator(".fb-slot").nth(1).wait_for()
    assert teacher.evaluate("document.documentElement.scrollHeight <= innerHeight"), "a slide fits 1280 x 720"
    teacher.get_by_label("Stop playing").click()
    moment = teacher.locator(".fb-step").inner_text()
    student.locator(".fb-step", has_text=moment).wait_for()
    assert student.locator(".fb-slot").count() == teacher.locator(".fb-slot").count() == 2

    student.get_by_role("button", name="Let go").click()
    student.get_by_text("You look around on your own").wait_for()
    teacher.get_by_text("0 of 1 follow").wait_for()
    teacher.keyboard.press("PageDown")
    student.get_by_role("button", name="Follow", exact=True).click()
    student.get_by_role("heading", name="The answer").wait_for()

    student.wait_for_timeout(3_000)  # a link that was left just before counts as late, see Session.link
    student.go_back()  # to the lesson where the student looked around
    student.get_by_text("You look around on your own").wait_for()
    student.get_by_role("heading", name="The answer").wait_for(state="detached")
    assert "lesson=how-stale" in student.url
    student.go_forward()
    student.get_by_text("You follow the class").wait_for()
    student.get_by_role("heading", name="The answer").wait_for()

    teacher.keyboard.press("q")
    teacher.get_by_role("button", name="End the class").click()
    student.get_by_text("This class is not open").wait_for()


def test_pages_of_a_class_say_so_when_the_server_is_started_again(pages, class_server: Server) -> None:
    teacher, student, base = pages
    teacher.goto(f"{base}/lessons?lesson=how-stale&present=true&slide=2")
    teacher.get_by_role("button", name="Class").click(timeout=60_000)
    teacher.get_by_role("button", name="Open a class").click()
    teacher.get_by_alt_text("QR code of the link").wait_for()
    code = teacher.evaluate("new URLSearchParams(location.search).get('class')")
    teacher.keyboard.press("Escape")
    student.goto(f"{base}/lessons?class={code}")
    teacher.get_by_text("1 of 1 follow").wait_for()
    student.locator(".fb-card").first.wait_for(timeout=60_000)
    class_server.restart()
    teacher.get_by_text("Your class is closed").wait_for(timeout=90_000)
    student.get_by_text("This class is not open").first.wait_for(timeout=90_000)
    student.get_by_text("You follow the class").wait_for(state="detached")
    assert teacher.locator(".fb-trouble").is_hidden(), "the recording is shown again"
    teacher.locator(".fb-card").first.wait_for()
