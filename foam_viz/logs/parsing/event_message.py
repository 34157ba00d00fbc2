"""One TensorBoard event, read field by field from its protobuf bytes.

The messages are those of TensorFlow's ``event.proto``, ``summary.proto`` and ``tensor.proto``; fields that this module
has no use for are skipped, whatever their number. It is the slow and general path:
:mod:`foam_viz.logs.parsing.event_file` reads most records of a file by the place where this module found
the number of the first.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

FIXED_TYPES = {
    1: "<f4", 2: "<f8", 3: "<i4", 4: "u1", 5: "<i2", 6: "i1", 9: "<i8", 10: "?",
    17: "<u2", 19: "<f2", 22: "<u4", 23: "<u8",
}  # fmt: skip
"""Element types of a tensor by their number in ``types.proto``; the bytes of ``tensor_content`` are of that type."""

_BFLOAT16 = 14
_FIXED_VALUES = {5: "<f4", 6: "<f8"}  # float_val, double_val of TensorProto
_VARINT_VALUES = {7, 10, 11, 13, 16, 17}  # int_val, int64_val, bool_val, half_val, uint32_val, uint64_val
_INTEGERS = {3, 4, 5, 6, 9, 10, 17, 22, 23}


class MessageError(ValueError):
    """Bytes that are not the message they should be."""


@dataclass(frozen=True)
class Scalar:
    """One scalar of an event.

    Attributes:
        tag: Name of the curve.
        value: The number.
        place: Byte of the record at which the value lies as ``type``; None where it is no plain number in the bytes.
        type: numpy type string of the bytes at ``place``.
        plugin: Plugin the value belongs to; empty when not said.
        is_tensor: Written as a tensor, by TensorFlow 2, and not as a simple value.
    """

    tag: str
    value: float
    place: int | None
    type: str
    plugin: str
    is_tensor: bool


@dataclass
class Event:
    """One record of an event file.

    Attributes:
        wall_time: Seconds since 1970; NaN when not said.
        step: Step; 0 when not said.
        scalars: In their order in the record.
        others: Tags of values that are no scalars, each with its plugin or kind.
        hyperparameters: What the hparams plugin says of the run, or empty.
    """

    wall_time: float = float("nan")
    step: int = 0
    scalars: list[Scalar] = field(default_factory=list)
    others: list[tuple[str, str]] = field(default_factory=list)
    hyperparameters: dict[str, object] = field(default_factory=dict)


def parse_event(record: bytes) -> Event:
    """Read one event.

    Raises:
        MessageError: The bytes are not a protobuf message, or a field has the wrong wire type.
    """
    event = Event()
    for number, wire, value, start in fields(record, 0, len(record)):
        if number == 1 and wire == 1:
            event.wall_time = struct.unpack_from("<d", record, start)[0]
        elif number == 2 and wire == 0:
            event.step = _signed(value)
        elif number == 5 and wire == 2:
            for inner, kind, end, begin in fields(record, start, value):
                if inner == 1 and kind == 2:
                    _summary_value(record, begin, end, event)
        elif number == 4 and wire == 2:
            event.others.append(("", "graph"))
    return event


def fields(data: bytes, start: int, end: int) -> Iterator[tuple[int, int, int, int]]:
    """Walk over the fields of the message in ``data[start:end]``.

    Yields:
        Field number, wire type, value, start. The value is the integer for wire type 0, else the byte behind the
        field's content, which begins at ``start``.

    Raises:
        MessageError: A field does not end within the message or has an unknown wire type.
    """
    at = start
    while at < end:
        key, at = varint(data, at, end)
        number, wire = key >> 3, key & 7
        if wire == 0:
            begin = at
            value, at = varint(data, at, end)
            yield number, wire, value, begin
            continue
        if wire == 2:
            length, at = varint(data, at, end)
        elif wire in (1, 5):
            length = 8 if wire == 1 else 4
        else:
            raise MessageError(f"wire type {wire} at byte {at}")
        if number == 0 or at + length > end:
            raise MessageError(f"field {number} at byte {at} does not end within its message")
        yield number, wire, at + length, at
        at += length


def varint(data: bytes, at: int, end: int) -> tuple[int, int]:
    """Read a variable-length integer; returns it, modulo 2^64, and the byte behind it.

    Raises:
        MessageError: It does not end within ten bytes or within the message.
    """
    result = 0
    for shift in range(0, 70, 7):
        if at >= end:
            raise MessageError(f"a number at byte {at} is cut off")
        byte = data[at]
        at += 1
        result |= (byte & 0x7F) << shift
        if byte < 0x80:
            return result & 0xFFFFFFFFFFFFFFFF, at
    raise MessageError(f"a number before byte {at} has more than ten bytes")


def _signed(value: int) -> int:
    return value - (1 << 64) if value >> 63 else value


def _text(data: bytes, start: int, end: int) -> str:
    return data[start:end].decode("utf-8", "replace")


def _summary_value(data: bytes, start: int, end: int, event: Event) -> None:
    tag, plugin, content, kind = "", "", b"", "without a value"
    simple: tuple[float, int] | None = None
    tensor: tuple[int, int] | None = None
    for number, wire, value, begin in fields(data, start, end):
        if number == 1 and wire == 2:
            tag = _text(data, begin, value)
        elif number == 2 and wire == 5:
            simple, tensor = (struct.unpack_from("<f", data, begin)[0], begin), None
        elif number == 8 and wire == 2:
            simple, tensor = None, (begin, value)
        elif number == 9 and wire == 2:
            plugin, content = _plugin(data, begin, value)
        elif number in _OTHER_KINDS and wire == 2:
            kind = _OTHER_KINDS[number]
    if plugin == "hparams" and content:
        event.hyperparameters.update(_hyperparameters(content))
    elif simple is not None:
        event.scalars.append(Scalar(tag, simple[0], simple[1], "<f4", plugin, False))
    elif tensor is not None and plugin in ("", "scalars") and (found := _tensor(data, *tensor)) is not None:
        event.scalars.append(Scalar(tag, *found, plugin, True))
    else:
        event.others.append((tag, plugin or ("tensors" if tensor else kind)))


_OTHER_KINDS = {4: "images", 5: "histograms", 6: "audio"}


def _plugin(data: bytes, start: int, end: int) -> tuple[str, bytes]:
    """Name and content of ``SummaryMetadata.plugin_data``."""
    name, content = "", b""
    for number, wire, value, begin in fields(data, start, end):
        if number == 1 and wire == 2:
            for inner, kind, stop, first in fields(data, begin, value):
                if inner == 1 and kind == 2:
                    name = _text(data, first, stop)
                elif inner == 2 and kind == 2:
                    content = data[first:stop]
    return name, content


def _tensor(data: bytes, start: int, end: int) -> tuple[float, int | None, str] | None:
    """Value, place and type of a tensor with one number; None for any other tensor."""
    kind, elements = 0, 1
    content: tuple[int, int] | None = None
    values: list[tuple[float | int, int | None, str]] = []
    for number, wire, value, begin in fields(data, start, end):
        if number == 1 and wire == 0:
            kind = value
        elif number == 2 and wire == 2:
            elements = _elements(data, begin, value)
        elif number == 4 and wire == 2 and value > begin:
            content = (begin, value)
        elif number in _FIXED_VALUES and wire in (1, 2, 5):
            width = int(_FIXED_VALUES[number][2])
            places = range(begin, value - width + 1, width)
            if len(places) > 1:
                return None
            values += [(_number(data, place, _FIXED_VALUES[number]), place, _FIXED_VALUES[number]) for place in places]
        elif number in _VARINT_VALUES and wire in (0, 2):
            first = value if wire == 0 else varint(data, begin, value)[0] if value > begin else None
            if first is None or (wire == 2 and varint(data, begin, value)[1] != value):
                return None
            values.append((first, None, ""))
    if elements != 1 or len(values) + (content is not None) != 1:
        return None
    if content is not None:
        return _content(data, *content, kind)
    number, place, word = values[0]
    if place is not None:
        return (float(number), place, word) if FIXED_TYPES.get(kind) == word else None
    return _from_varint(int(number), kind)


def _content(data: bytes, start: int, end: int, kind: int) -> tuple[float, int | None, str] | None:
    if kind == _BFLOAT16 and end - start == 2:
        return _bfloat(int.from_bytes(data[start:end], "little")), None, ""
    word = FIXED_TYPES.get(kind)
    if word is None or end - start != np.dtype(word).itemsize:
        return None
    return _number(data, start, word), start, word


def _from_varint(number: int, kind: int) -> tuple[float, int | None, str] | None:
    if kind == _BFLOAT16:
        return _bfloat(number & 0xFFFF), None, ""
    if kind == 19:
        return _number((number & 0xFFFF).to_bytes(2, "little"), 0, "<f2"), None, ""
    if kind not in _INTEGERS:
        return None
    return float(number if kind in (22, 23) else _signed(number)), None, ""


def _bfloat(bits: int) -> float:
    return struct.unpack("<f", struct.pack("<I", bits << 16))[0]


def _number(data: bytes, place: int, word: str) -> float:
    return float(np.frombuffer(data, word, 1, place)[0])


def _elements(data: bytes, start: int, end: int) -> int:
    """Number of elements of a ``TensorShapeProto``; 0 where the shape is not known."""
    elements = 1
    for number, wire, value, begin in fields(data, start, end):
        if number == 3 and wire == 0 and value:
            return 0
        if number == 2 and wire == 2:
            size = 0
            for inner, kind, length, _ in fields(data, begin, value):
                if inner == 1 and kind == 0:
                    size = max(0, _signed(length))
            elements *= size
    return elements


def _hyperparameters(content: bytes) -> dict[str, object]:
    """``HParamsPluginData.session_start_info.hparams``: a map of names to ``google.protobuf.Value``."""
    found: dict[str, object] = {}
    for number, wire, value, begin in fields(content, 0, len(content)):
        if number != 3 or wire != 2:
            continue
        for inner, kind, end, start in fields(content, begin, value):
            if inner == 1 and kind == 2:
                name, setting = "", None
                for part, form, stop, first in fields(content, start, end):
                    if part == 1 and form == 2:
                        name = _text(content, first, stop)
                    elif part == 2 and form == 2:
                        setting = _setting(content, first, stop)
                found[name] = setting
    return found


def _setting(data: bytes, start: int, end: int) -> object:
    setting: object = None
    for number, wire, value, begin in fields(data, start, end):
        if number == 2 and wire == 1:
            setting = struct.unpack_from("<d", data, begin)[0]
        elif number == 3 and wire == 2:
            setting = _text(data, begin, value)
        elif number == 4 and wire == 0:
            setting = bool(value)
    return setting
