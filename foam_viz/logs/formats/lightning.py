"""PyTorch Lightning's ``CSVLogger``: ``version_N/metrics.csv``, hyperparameters in ``hparams.yaml`` beside it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from foam_viz.logs.core.reader import Group, LogFile, Options, Reader
from foam_viz.logs.formats.table import traces_of_tables
from foam_viz.logs.parsing.dialect import find_dialect
from foam_viz.logs.parsing.table_files import read_delimited
from foam_viz.logs.parsing.text_lines import LogText, looks_like_text
from foam_viz.trace import Trace

_LARGEST_HPARAMS = 256 << 10
_MOST_VALUES = 10_000
_VERSION = re.compile(r"version_\d+")


def find(files: Sequence[LogFile]) -> list[Group]:
    """Claim tables with ``epoch`` and ``step`` that lie in a ``version_N`` folder or beside hyperparameters."""
    beside = {file.folder: file for file in files if file.base == "hparams.yaml"}
    groups: list[Group] = []
    for file in files:
        hparams = beside.get(file.folder)
        if (hparams is not None or _VERSION.fullmatch(_last(file.folder))) and _is_metrics(file):
            groups.append((file, hparams) if hparams is not None else (file,))
    return groups


def _last(folder: str) -> str:
    return folder.rpartition("/")[2]


def _is_metrics(file: LogFile) -> bool:
    if not looks_like_text(file.head):
        return False
    first = LogText.of_head(file).text.lstrip()
    if first.startswith(("{", "[")) or "step" not in first[:20_000] or "epoch" not in first[:20_000]:
        return False
    dialect = find_dialect(first)
    return dialect is not None and dialect.delimiter == "," and {"epoch", "step"} <= set(dialect.names)


def read(group: Group, options: Options) -> list[Trace]:
    """Read one version; rows of training and of validation become one row a step.

    Raises:
        LogError: The table cannot be read.
    """
    metrics, *rest = group
    table = read_delimited(metrics)
    table.notes.append("Epochs are numbered from 0, as they were logged.")
    for hparams in rest:
        table.config = _hyperparameters(hparams, table.notes)
    folders = metrics.folder.split("/")
    name = "/".join(folders[-2:]) if metrics.folder else ""
    return traces_of_tables([table], group, READER.name, options, name=name)


def _hyperparameters(file: LogFile, notes: list[str]) -> dict[str, object]:
    """Read ``hparams.yaml``; a tag for a Python object is kept as its name, the object is never built."""
    import yaml

    class Loader(yaml.SafeLoader):
        pass

    def as_text(loader: yaml.SafeLoader, suffix: str, node: yaml.Node) -> object:
        if isinstance(node, yaml.MappingNode):
            return {"": suffix, **loader.construct_mapping(node, deep=True)}
        if isinstance(node, yaml.SequenceNode):
            return loader.construct_sequence(node, deep=True)
        return f"{suffix} {node.value}".strip()

    Loader.add_multi_constructor("", as_text)
    if file.size > _LARGEST_HPARAMS:
        notes.append(f"{file.name} was left out: {file.size:,} bytes are too many for hyperparameters.")
        return {}
    try:
        loaded = yaml.load(LogText.of(file).text, Loader)  # noqa: S506 - a safe loader
        if loaded is None:
            return {}
        if not isinstance(loaded, Mapping):
            raise ValueError("holds no names with values")
        return {str(key): _plain(value, [_MOST_VALUES]) for key, value in loaded.items()}
    except (yaml.YAMLError, ValueError, TypeError, RecursionError) as error:
        notes.append(f"{file.name} could not be read: {str(error).splitlines()[0][:200]}.")
        return {}


def _plain(value: object, left: list[int], depth: int = 0) -> object:
    """Turn YAML values into those of JSON; repeated references cannot make it grow without end."""
    left[0] -= 1
    if left[0] < 0 or depth > 30:
        raise ValueError("holds too many values")
    if isinstance(value, Mapping):
        return {str(key): _plain(item, left, depth + 1) for key, item in value.items()}
    if isinstance(value, list | tuple | set):
        return [_plain(item, left, depth + 1) for item in value]
    return value if isinstance(value, str | int | float | bool | None) else str(value)


READER = Reader(
    name="lightning",
    label="Lightning metrics.csv",
    summary="A version_N folder of PyTorch Lightning's CSVLogger; training and validation rows are united by step.",
    find=find,
    read=read,
)
