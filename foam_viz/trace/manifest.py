"""The manifest: what a run is, apart from its numbers.

Dataclasses to and from strict JSON. Keys that this version does not know are kept and written back, so a bundle of a
later minor version survives a round trip; a later ``schema_version`` changes what known keys mean and is refused.
"""

from __future__ import annotations

import types
import typing
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from functools import cached_property
from typing import Any

from foam_viz.trace.disk import strict_json
from foam_viz.trace.factor_names import FactorName, factor_names
from foam_viz.trace.schema import LARGEST_COUNT, LARGEST_STEP, SCHEMA_VERSION

STATUSES: tuple[str, ...] = ("running", "paused", "finished", "diverged", "interrupted")


class ManifestError(ValueError):
    """A manifest that cannot be used.

    Attributes:
        key: The key at fault, empty when the whole document is.
        reason: What is wrong with it.
        remedy: What to do about it.
    """

    def __init__(self, key: str, reason: str, remedy: str = "") -> None:
        super().__init__(": ".join(part for part in (key, reason) if part) + (f" ({remedy})" if remedy else ""))
        self.key, self.reason, self.remedy = key, reason, remedy


def _described(meaning: str, *, least: int | None = None, most: int = LARGEST_COUNT, **options: Any) -> Any:
    """A dataclass field with the line that the documentation prints for it, and the range of a whole number."""
    limits = {} if least is None else {"range": (least, most)}
    return field(metadata={"meaning": meaning, **limits}, **options)


@dataclass(frozen=True, kw_only=True)
class FactorInfo:
    """One Kronecker factor of one block of one parameter; its index in the manifest is its number in the tables."""

    id: str = _described("`<parameter index>.block_<block>.<dim>`, unique in the run.")
    parameter: str = _described("Name of the parameter.")
    block: int = _described("Block of the parameter, from 0.", least=0)
    dim: int = _described("Dimension of the block that the factor belongs to, from 0.", least=0)
    order: int = _described("Number of dimensions of the block.", least=1)
    size: int = _described("Rows, and columns, of the factor.", least=1)
    extra: Mapping[str, object] = field(default_factory=dict, hash=False)

    @property
    def side(self) -> str | None:
        """``"left"`` or ``"right"`` for a factor of an order-2 block, else None."""
        return ("left", "right")[self.dim] if self.order == 2 and self.dim in (0, 1) else None


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """What a run is: identity, configuration, factors, machine, and how it ended. Change it with :meth:`with_`."""

    schema_version: int = _described("Version of this layout; a reader refuses a later one.", default=SCHEMA_VERSION)
    run_id: str = _described("Identity of the run; never a secret.")
    name: str = _described("Name to show.")
    format: str = _described("Where the trace comes from: `foam_viz`, or the format that was read.", default="foam_viz")
    created: str = _described("Start of the run, ISO 8601 with a zone; empty when unknown.", default="")
    task: str = _described("Task trained; empty when unknown.", default="")
    optimizer: str = _described("Optimizer; empty when unknown.", default="")
    config: Mapping[str, Any] = _described("Complete configuration of the run.", default_factory=dict, hash=False)
    factors: tuple[FactorInfo, ...] = _described("The factors that the tables number.", default=())
    device: str = _described("Device trained on; empty when unknown.", default="")
    hardware: Mapping[str, Any] = _described("The machine.", default_factory=dict, hash=False)
    software: Mapping[str, Any] = _described("Versions of software.", default_factory=dict, hash=False)
    picture: str = _described("Kind of the pictures of what the model does; empty for none.", default="")
    loss_floor: float | None = _described(
        "Expected loss of the best predictor there is, where it is known.", default=None
    )
    files: tuple[str, ...] = _described("Names of the files the trace was read from.", default=())
    notes: tuple[str, ...] = _described(
        "What a reader of the trace must know: rows dropped, units assumed.", default=()
    )
    source_columns: tuple[Mapping[str, Any], ...] = _described(
        "How a reader of foreign logs took each column of the source: objects with `source`, `target` (column of "
        "steps, empty when left out), `unit`, `scale`, `guessed` (true or false) and `samples` (up to three values as "
        "text).",
        default=(),
        hash=False,
    )
    status: str = _described("One of " + ", ".join(f"`{word}`" for word in STATUSES) + ".", default="finished")
    diverged_step: int | None = _described(
        "Step at which the loss became NaN or inf, else null.", least=0, most=LARGEST_STEP, default=None
    )
    shared_machine: bool = _described("True when other runs trained meanwhile: seconds do not compare.", default=False)
    recorder: Mapping[str, Any] = _described("Recording schedule, in steps.", default_factory=dict, hash=False)
    extra: Mapping[str, object] = field(default_factory=dict, hash=False)

    def __post_init__(self) -> None:
        if self.status not in STATUSES:
            raise ManifestError("status", f"{self.status!r} is none of {', '.join(STATUSES)}")

    @cached_property
    def factor_names(self) -> tuple[FactorName, ...]:
        """The readable name of each factor, in the order of ``factors``."""
        return factor_names(self.factors)

    def with_(self, **changes: object) -> Manifest:
        """Return a copy with some fields changed."""
        return replace(self, **changes)

    def with_notes(self, notes: typing.Iterable[str]) -> Manifest:
        """Return a copy with notes added, each once."""
        return replace(self, notes=tuple(dict.fromkeys((*self.notes, *notes))))

    def factor_index(self, factor_id: str) -> int:
        """Return the number of a factor in the tables.

        Raises:
            KeyError: No factor has that id.
        """
        for index, factor in enumerate(self.factors):
            if factor.id == factor_id:
                return index
        raise KeyError(f"no factor {factor_id!r} among the {len(self.factors)} of run {self.name!r}")


def to_json(manifest: Manifest) -> dict[str, object]:
    """Return the manifest as plain JSON values; NaN and inf become None."""
    document = _dump(manifest)
    document["factors"] = [_dump(factor) for factor in manifest.factors]
    return typing.cast(dict[str, object], strict_json.plain(document))


def from_json(document: object) -> Manifest:
    """Build a manifest from parsed JSON.

    Raises:
        ManifestError: It is not an object, has a later ``schema_version``, misses a required key, or a value has the
            wrong type.
    """
    if not isinstance(document, Mapping):
        raise ManifestError("", f"must be a JSON object, not {_json_word(document)}")
    version = document.get("schema_version")
    if not isinstance(version, int) or isinstance(version, bool) or version < 1:
        raise ManifestError("schema_version", f"must be a whole number from 1, not {version!r}")
    if version > SCHEMA_VERSION:
        reason = f"{version} is later than {SCHEMA_VERSION}, the latest that this program reads"
        raise ManifestError("schema_version", reason, "update the program that reads it")
    factors = document.get("factors", ())
    if not isinstance(factors, list | tuple):
        raise ManifestError("factors", f"must be a list, not {_json_word(factors)}")
    loaded = tuple(_load(FactorInfo, factor, f"factors[{index}]") for index, factor in enumerate(factors))
    return _load(Manifest, {**document, "factors": loaded}, "")


def dumps(manifest: Manifest) -> str:
    """Return the manifest as the strict JSON text of ``manifest.json``."""
    return strict_json.dumps(to_json(manifest)) + "\n"


def loads(text: str | bytes) -> Manifest:
    """Parse the text of ``manifest.json``.

    Raises:
        ManifestError: See :func:`from_json`; also when the text is not strict JSON.
    """
    try:
        document = strict_json.loads(text)
    except ValueError as error:
        raise ManifestError("", f"is not strict JSON: {error}") from error
    return from_json(document)


def _dump(record: Manifest | FactorInfo) -> dict[str, object]:
    known = {item.name: getattr(record, item.name) for item in fields(record) if item.name != "extra"}
    return {**known, **{key: value for key, value in record.extra.items() if key not in known}}


def _load(record_type: type, document: object, where: str) -> Any:
    if not isinstance(document, Mapping):
        raise ManifestError(where, f"must be an object, not {_json_word(document)}")
    hints = typing.get_type_hints(record_type)
    known = {item.name: item for item in fields(record_type) if item.name != "extra"}
    arguments: dict[str, object] = {}
    for name, item in known.items():
        key = f"{where}.{name}" if where else name
        if name not in document:
            if item.default is item.default_factory:  # both MISSING: a required key
                raise ManifestError(key, "is missing")
            continue
        value = document[name]
        if not _fits(value, hints[name]):
            raise ManifestError(key, f"has the wrong type: {_json_word(value)}")
        low, high = item.metadata.get("range", (None, None))
        if low is not None and value is not None and not low <= value <= high:
            raise ManifestError(key, f"{_number(value)} is not {low:,} to {high:,}")
        arguments[name] = tuple(value) if isinstance(value, list) else value
    extra = {key: value for key, value in document.items() if key not in known}
    return record_type(**arguments, extra=extra)


def _fits(value: object, hint: Any) -> bool:
    """Say whether a JSON value may stand for a field of type ``hint``; a boolean is not a number."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        return any(_fits(value, argument) for argument in arguments)
    if origin is tuple:
        return isinstance(value, list | tuple) and all(_fits(item, arguments[0]) for item in value)
    if hint in (int, float):
        return isinstance(value, int if hint is int else int | float) and not isinstance(value, bool)
    return isinstance(value, Mapping if origin is not None else hint)


def _number(value: int) -> str:
    return f"{value:,}" if abs(value) < 10**18 else f"{value:.3g}"


def _json_word(value: object) -> str:
    words = {type(None): "null", bool: "true or false", str: "text", list: "a list", dict: "an object"}
    return words.get(type(value), "a number" if isinstance(value, int | float) else type(value).__name__)
