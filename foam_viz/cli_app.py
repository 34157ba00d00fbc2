"""``foam_viz app``: Streamlit on the app, wherever the package is installed."""

from __future__ import annotations

import argparse
from contextlib import suppress

from foam_viz.files import APP, STATIC


def port(text: str) -> int:
    """Read a port number.

    Raises:
        argparse.ArgumentTypeError: `text` is not an integer from 1 to 65535.
    """
    if not (text.isascii() and text.isdigit() and 1 <= int(text) <= 65535):
        raise argparse.ArgumentTypeError(f"{text[:80]!r}: must be an integer from 1 to 65535")
    return int(text)


def serve(options: argparse.Namespace) -> int:
    """Run the server until it is interrupted.

    Args:
        options: `port` and `address`; None leaves each to Streamlit's configuration.
    """
    from streamlit.web import cli  # the other commands start without Streamlit

    with suppress(OSError):  # Streamlit looks for it before the app fills it; the app tells who cannot write
        STATIC.mkdir(exist_ok=True)
    arguments = ["run", str(APP)]
    for option, value in (("port", options.port), ("address", options.address)):
        if value is not None:
            arguments += [f"--server.{option}", str(value)]
    cli.main(arguments, prog_name="foam_viz app", standalone_mode=False)
    return 0
