"""Hiding secrets and e-mail addresses in configurations that people show on a projector."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

MASKED = "(masked)"

# Words of a key that make a text under it a secret. Keys are cut into words first, so that `tokens`, `num_tokens`,
# `tokenizer`, `author` and `keyboard` are none of them.
_SECRET_WORDS = {
    "password", "passwd", "passphrase", "pwd", "secret", "secrets", "token", "apikey", "credential", "credentials",
    "authorization", "cookie", "bearer", "netrc",
}  # fmt: skip
_SECRET_PAIRS = {
    ("api", "key"), ("private", "key"), ("access", "key"), ("secret", "key"), ("account", "key"), ("auth", "key"),
    ("ssh", "key"), ("encryption", "key"), ("signing", "key"), ("connection", "string"), ("basic", "auth"),
    ("wandb", "key"), ("client", "key"), ("storage", "key"), ("license", "key"),
}  # fmt: skip
# A tokenizer's special tokens, and names and places of secrets, are settings.
_HARMLESS_WORDS = {
    "pad", "eos", "bos", "unk", "mask", "sep", "cls", "eot", "image", "special", "added", "per", "num", "max", "min",
    "count", "type", "name", "file", "path", "id", "ids", "level", "embedding", "mixer", "budget", "index", "length",
}  # fmt: skip

_SHAPES = re.compile(
    r"""
    \b(?:AKIA|ASIA)[0-9A-Z]{16}\b                                  # AWS access key
    | \bhf_[A-Za-z0-9]{20,}                                        # Hugging Face
    | \bsk-[A-Za-z0-9_-]{16,}                                      # OpenAI, Anthropic
    | \b(?:ghp|gho|ghu|ghs|ghr)_[A-Za-z0-9]{20,} | \bgithub_pat_[A-Za-z0-9_]{20,} | \bglpat-[A-Za-z0-9_-]{16,}
    | \bxox[abprs]-[A-Za-z0-9-]{10,}                               # Slack
    | \bAIza[A-Za-z0-9_-]{30,}                                     # Google
    | \beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{4,}\.[A-Za-z0-9_-]*    # JSON web token
    | \bwandb_v\d+_[A-Za-z0-9_]{20,} | \blocal-[0-9a-f]{40}\b      # W&B
    | -----BEGIN\ [A-Z ]*PRIVATE\ KEY-----[\s\S]*?(?:-----END\ [A-Z ]*PRIVATE\ KEY-----|\Z)
    | (?<=\bBearer\ )[A-Za-z0-9._~+/=-]{12,}
    """,
    re.VERBOSE,
)
_IN_URL = re.compile(r"(?<=://)[^\s/@:]{0,256}:[^\s/@]{1,256}(?=@)")
_QUERY = re.compile(r"(?<=[?&])((?:api_?key|token|access_token|secret|password|sig|signature)=)[^&\s#]+", re.IGNORECASE)
_FLAG = re.compile(
    r"((?:--?(?P<flag>[\w-]{1,60})[= ]|\b(?P<name>[\w-]{1,60})\s?=)\s?)(?P<value>[^\s'\"=,&()]{6,})", re.IGNORECASE
)
_EMAIL = re.compile(
    r"(?<![\w.+-])[\w.+-]{1,64}@[A-Za-z0-9-]{1,63}(?:\.[A-Za-z0-9-]{1,63}){0,8}\.[A-Za-z]{2,24}(?![\w.])"
)
_HEX_KEY = re.compile(r"[0-9a-f]{40}")
_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")
_LISTED = 5
_DEEPEST = 100


def masked(value: Any) -> tuple[Any, list[str]]:
    """Replace what looks like a secret or an e-mail address, in a copy.

    By the key: any text under a key like ``password``, ``hf_token`` or ``api_key``. By its shape, wherever it stands:
    keys of well-known services, JSON web tokens, private keys, passwords in addresses and command lines. Numbers and
    truth values are settings, never secrets.

    Args:
        value: A configuration: mappings, sequences and plain values, nested.

    Returns:
        The copy with ``"(masked)"`` in those places, and notes that name them; none when nothing was hidden.
    """
    secrets: list[str] = []
    emails: list[str] = []
    result = _masked(value, (), False, secrets, emails)
    notes = []
    for places, what in ((secrets, "like a secret"), (emails, "like an e-mail address")):
        if places:
            found = list(dict.fromkeys(places))
            more = f" and {len(found) - _LISTED} more" if len(found) > _LISTED else ""
            notes.append(f"what looks {what} is masked in {', '.join(found[:_LISTED])}{more}")
    return result, notes


def _masked(value: Any, path: tuple[str, ...], secret: bool, secrets: list[str], emails: list[str]) -> Any:
    if len(path) > _DEEPEST:
        return MASKED
    if isinstance(value, Mapping):
        return {
            key: _masked(item, (*path, str(key)), secret or _is_secret(str(key)), secrets, emails)
            for key, item in value.items()
        }
    if isinstance(value, list | tuple):
        items = [_masked(item, path, secret, secrets, emails) for item in value]
        return tuple(items) if isinstance(value, tuple) else items
    if isinstance(value, bytes | bytearray):
        value = bytes(value).decode("utf-8", "replace")
    if not isinstance(value, str) or not value or value == MASKED:
        return value
    place = ".".join(path) or "the text"
    if secret and not _is_plain(value):
        secrets.append(place)
        return MASKED
    text = _SHAPES.sub(MASKED, value)
    text = _IN_URL.sub(MASKED, text)
    text = _QUERY.sub(rf"\1{MASKED}", text)
    text = _FLAG.sub(_without_value, text)
    if _HEX_KEY.fullmatch(value) and any("key" in _words(part) for part in path[-1:]):
        text = MASKED
    if text != value:
        secrets.append(place)
    without = _EMAIL.sub(MASKED, text)
    if without != text:
        emails.append(place)
    return without


def _without_value(match: re.Match[str]) -> str:
    """``--api-key=...`` and ``HF_TOKEN=...`` without what stands behind them."""
    harmless = _is_plain(match["value"]) or not _is_secret(match["flag"] or match["name"])
    return match[0] if harmless else match[1] + MASKED


def _is_secret(key: str) -> bool:
    words = _words(key)
    if any(pair in _SECRET_PAIRS for pair in zip(words, words[1:], strict=False)):
        return words[-1] not in _HARMLESS_WORDS
    return bool(_SECRET_WORDS.intersection(words)) and not _HARMLESS_WORDS.intersection(words)


def _is_plain(value: str) -> bool:
    """A number, a truth value or nothing, written as text."""
    if value.strip().lower() in ("", "true", "false", "none", "null", "yes", "no", MASKED):
        return True
    try:
        float(value.replace(",", "").replace("_", ""))
    except ValueError:
        return False
    return len(value) <= 12


def _words(key: str) -> list[str]:
    return [word.lower() for word in _WORD.findall(key)]
