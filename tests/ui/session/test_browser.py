"""Browsers: what one has open is its own, is found again after a reload, and goes when it was away for long."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from foam_viz.logs.core.reader import ColumnRule
from foam_viz.logs.intake.limits import Limits
from foam_viz.ui.run_logs.kept import Kept
from foam_viz.ui.run_logs.upload import Uploads
from foam_viz.ui.session import Session
from foam_viz.ui.session.browser import Browser, Browsers, is_secret
from foam_viz.ui.session.open_logs import LogServices, Source

LOG = b"step,loss,waited\n" + b"".join(b"%d,%.3f,%d\n" % (i, 5 / i, 100 * i) for i in range(1, 40))
RULES = {"waited": ColumnRule(target="optimizer_seconds", unit="s", scale=0.001)}


def known(tmp_path: Path, active: Callable[[str], bool] = lambda tab: True, unseen: float = 3600.0) -> Browsers:
    services = LogServices(Uploads(tmp_path / "uploads", lambda: None), Kept(2**30, 2**30), Limits())
    return Browsers(services, active, unseen)


def upload(browser: Browser, name: str = "run.csv", content: bytes = LOG) -> Source:
    return browser.logs.upload(name, [(name, content)], len(content))


def read(browser: Browser) -> None:
    end = time.monotonic() + 60
    while browser.logs.pending:
        assert time.monotonic() < end
        browser.logs.collect()
        time.sleep(0.02)


def test_secrets_are_random_and_of_one_form() -> None:
    made = {Browsers.mint() for _ in range(100)}
    assert len(made) == 100
    assert all(map(is_secret, made))
    for tampered in (None, 5, "", "0" * 31, "G" * 32, "../" + "0" * 29, "0" * 33):
        assert not is_secret(tampered)


def test_the_secret_is_nowhere_in_what_it_opens(tmp_path: Path) -> None:
    secret = Browsers.mint()
    browser = known(tmp_path).open(secret, "tab")
    assert secret not in browser.id
    assert secret not in repr(vars(browser))
    assert secret not in repr(Session("tab", browser, secret))


def test_a_reload_and_a_second_tab_find_what_is_open(tmp_path: Path) -> None:
    all_ = known(tmp_path)
    secret = Browsers.mint()
    first = all_.open(secret, "tab 1")
    source = upload(first)
    again = all_.open(secret, "tab 2")
    assert again is first
    assert again.logs.sources == [source]
    assert all_.open(Browsers.mint(), "tab 3").logs.sources == []


def test_files_outlive_the_last_tab_for_so_long_only(tmp_path: Path) -> None:
    open_tabs = {"tab"}
    all_ = known(tmp_path, open_tabs.__contains__, unseen=0.2)
    secret = Browsers.mint()
    browser = all_.open(secret, "tab")
    source = upload(browser)
    read(browser)
    time.sleep(0.25)
    all_.sweep()
    assert source.folder.exists() and source.reading
    open_tabs.clear()  # the tab is closed
    all_.sweep()
    assert source.folder.exists()
    time.sleep(0.25)
    all_.sweep()
    assert not source.folder.exists() and source.reading is None
    assert all_.open(secret, "later").logs.sources == []


def test_forgetting_deletes_files_and_what_was_said_of_them(tmp_path: Path) -> None:
    browser = known(tmp_path).open(Browsers.mint(), "tab")
    source = upload(browser)
    read(browser)
    browser.logs.correct(source.found.traces[0], RULES)
    browser.confirmed, browser.left["logs"] = frozenset({"x"}), {"tab": ["runs"]}
    browser.control_keys["view"] = "key"
    browser.forget()
    assert not source.folder.exists()
    assert not browser.logs.sources and not browser.confirmed and not browser.left
    source = upload(browser)
    read(browser)
    assert not source.found.traces[0].has("steps", "optimizer_seconds")
    assert browser.control_keys == {"view": "key"}  # its runs stay


def test_corrections_of_one_browser_never_touch_another(tmp_path: Path) -> None:
    all_ = known(tmp_path)
    mine, theirs = all_.open(Browsers.mint(), "a"), all_.open(Browsers.mint(), "b")
    upload(mine), upload(theirs)
    read(mine), read(theirs)
    mine.logs.correct(mine.logs.sources[0].found.traces[0], RULES)
    assert theirs.logs.pending == []
    read(mine)
    theirs.logs.read_all()
    read(theirs)
    assert mine.logs.sources[0].found.traces[0].has("steps", "optimizer_seconds")
    assert not theirs.logs.sources[0].found.traces[0].has("steps", "optimizer_seconds")
    upload(known(tmp_path).open(Browsers.mint(), "c"))  # after a restart, too


def test_a_growing_log_that_is_read_again_keeps_its_corrections(tmp_path: Path) -> None:
    browser = known(tmp_path).open(Browsers.mint(), "tab")
    log = tmp_path / "growing.csv"
    log.write_bytes(LOG)
    source = browser.logs.add("folder", "growing", [log], None)
    source.watch = True
    read(browser)
    first = source.found.traces[0].manifest.run_id
    browser.logs.correct(source.found.traces[0], RULES)
    read(browser)
    assert source.found.traces[0].values("steps", "optimizer_seconds")[0] == pytest.approx(0.1)
    with open(log, "ab") as file:
        file.write(b"40,0.1,4000\n")
    browser.logs.look_after()
    read(browser)
    trace = source.found.traces[0]
    assert trace.values("steps", "optimizer_seconds")[-1] == pytest.approx(4.0)
    assert trace.manifest.run_id == first  # so that what was chosen stays chosen
    lines = log.read_bytes().splitlines()
    log.write_bytes(b"\n".join([lines[0] + b",extra", *(line + b",7" for line in lines[1:])]) + b"\n")
    browser.logs.look_after()
    read(browser)
    trace = source.found.traces[0]
    assert trace.values("steps", "optimizer_seconds")[-1] == pytest.approx(4.0)
    assert trace.has("steps", "extra")


def test_what_a_new_browser_took_in_is_not_lost_when_it_is_recognised(tmp_path: Path, monkeypatch) -> None:
    all_ = known(tmp_path)
    monkeypatch.setattr("foam_viz.ui.session.browsers", lambda: all_)
    old_secret, new_secret = Browsers.mint(), Browsers.mint()
    old = all_.open(old_secret, "earlier")
    session = Session("tab", all_.open(new_secret, "tab"), new_secret)
    source = upload(session.browser)
    for tampered in (None, 7, "x" * 32, {"secret": old_secret}):
        session.recognise(tampered)
    assert not session.known
    session.recognise(old_secret)
    assert session.known and session.browser is old
    read(old)
    assert old.logs.sources == [source] and source.folder.exists() and source.found.traces
