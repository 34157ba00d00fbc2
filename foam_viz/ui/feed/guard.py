"""Who may open the feed: pages of this app, and programs that are no pages.

Streamlit checks its own addresses, not those that an app adds. A page of another origin must not read through a
visitor's browser what the visitor may read, be it directly or by making its own name lead to this machine (DNS
rebinding). So the Host header must be a name of this server, and the Origin header, which every browser sends with a
WebSocket, must be that of a page of it. The settings are Streamlit's: server.allowedHosts, browser.serverAddress,
server.enableCORS and server.corsAllowedOrigins.
"""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Iterable
from functools import lru_cache
from urllib.parse import urlsplit

from streamlit import config

_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})


def refusal(host: str | None, origin: str | None) -> str:
    """Return why a request is refused; the empty string where it is not.

    Args:
        host: The Host header.
        origin: The Origin header; None where there is none, as from programs that are no browsers.
    """
    name = _name(f"//{host}") if host else None
    if host is None or name is None or not _is_ours(name):
        return "The Host header names another server. server.allowedHosts lists the names of this one."
    if origin is None or _same(origin, host) or _is_allowed(origin):
        return ""
    return "The Origin header names another site. server.corsAllowedOrigins lists those that may read here."


def _is_ours(name: str) -> bool:
    allowed = config.get_option("server.allowedHosts")
    if allowed:
        return _matches(name, allowed)
    address = config.get_option("browser.serverAddress") if config.is_manually_set("browser.serverAddress") else None
    return _is_address(name) or name == "localhost" or name in _own_names() or name == _name(f"//{address}")


def _matches(name: str, patterns: Iterable[str]) -> bool:
    for pattern in (pattern.strip().lower().rstrip(".") for pattern in patterns):
        if pattern in ("*", name) or (pattern.startswith("*.") and name.endswith(pattern[1:])):
            return True
    return False


def _is_address(name: str) -> bool:
    """Whether it is an address of the internet protocol: no name, so nobody can make it lead elsewhere."""
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


@lru_cache(maxsize=1)
def _own_names() -> frozenset[str]:
    name = socket.gethostname().lower().rstrip(".")
    return frozenset({name, f"{name}.local"}) if name else frozenset()


def _same(origin: str, host: str) -> bool:
    try:
        return urlsplit(origin).netloc.lower() == host.lower()
    except ValueError:
        return False


def _is_allowed(origin: str) -> bool:
    if not config.get_option("server.enableCORS"):
        return True
    name = _name(origin)
    if name is None:
        return False
    allowed = {
        _name(entry.strip()) or entry.strip().lower() for entry in config.get_option("server.corsAllowedOrigins")
    }
    return name in _LOOPBACK or name in allowed


def _name(address: str) -> str | None:
    """The host name of an address; None where it is none, or holds more than a host and a port may."""
    try:
        parts = urlsplit(address)
        _ = parts.port
    except ValueError:
        return None
    if parts.hostname is None or parts.username is not None or parts.path or parts.query or parts.fragment:
        return None
    return parts.hostname.lower().rstrip(".")
