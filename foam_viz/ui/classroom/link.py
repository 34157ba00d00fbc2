"""The link by which students come to a class, as text and as a code that phones read."""

from __future__ import annotations

import ipaddress
from urllib.parse import urlsplit

import segno

LOOPBACK_REMEDY = (
    "This page was opened under an address that leads to this machine alone, so no student could reach it. Start the "
    "server with `--server.address=0.0.0.0`, then open the page under the machine's name or its address in the room's "
    "network, as in `http://192.168.1.20:8501`. The code will be here."
)


def student_link(page: str, code: str) -> str:
    """Return the link of a class.

    Args:
        page: Address of the page of lessons, as the presenter's own browser reached it.
        code: Of the class.
    """
    return f"{page.split('?')[0].split('#')[0]}?class={code}"


def is_loopback(page: str) -> bool:
    """Say whether an address leads to the machine alone on which it is opened, or to none."""
    host = (urlsplit(page).hostname or "").rstrip(".").lower()
    if host == "localhost" or host.endswith(".localhost") or not host:
        return True
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    return address.is_loopback or address.is_unspecified or bool(mapped and mapped.is_loopback)


def picture(link: str) -> str:
    """Return the QR code of a link as the address of an image: black on white in both themes, as phones read it."""
    return segno.make(link, error="m", micro=False).svg_data_uri(scale=8, border=4, dark="#000", light="#fff")
