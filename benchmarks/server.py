"""Starts the app on a free loopback port, for benchmarks and browser tests, and ends it."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
CHROMIUM_FLAGS = [
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-background-timer-throttling",
    "--disable-renderer-backgrounding",
    "--disable-backgrounding-occluded-windows",
]


def chromium() -> str | None:
    """The path of an installed Chromium, or None."""
    return next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


class Server:
    """The app under a home of its own.

    Args:
        home: Becomes ``FOAM_VIZ_HOME``; the log of the server lies there.
        port: Where it listens; a free one where None.
        base: Path below which the app is, without slashes (``server.baseUrlPath``).
        environment: More variables.
    """

    def __init__(self, home: Path, port: int | None = None, base: str = "", **environment: str) -> None:
        self.home = home
        self.port = port or free_port()
        self.url = f"http://127.0.0.1:{self.port}" + (f"/{base}" if base else "")
        self.log = home / "server.log"
        self._environment = {
            **os.environ,
            "FOAM_VIZ_HOME": str(home),
            **({"STREAMLIT_SERVER_BASE_URL_PATH": base} if base else {}),
            **environment,
        }
        home.mkdir(parents=True, exist_ok=True)
        self._start()

    def _start(self) -> None:
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "streamlit", "run", "app.py", "--server.port", str(self.port)],
                cwd=ROOT,
                env=self._environment,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        self._wait()

    def restart(self) -> None:
        """Ends the server and starts it again, on the same port and under the same home."""
        self.stop()
        self._start()

    def _wait(self) -> None:
        for _ in range(150):
            if self.process.poll() is not None:
                break
            try:
                with urllib.request.urlopen(f"{self.url}/_stcore/health", timeout=1) as answer:
                    if answer.status == 200:
                        return
            except OSError:
                time.sleep(0.2)
        self.stop()
        raise RuntimeError(f"the app did not start: {self.log.read_text(errors='replace')[-2000:]}")

    def stop(self) -> None:
        """Ends the server; its engines end with it."""
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()

    def __enter__(self) -> Server:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
