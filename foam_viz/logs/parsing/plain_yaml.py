"""YAML as configurations use it: plain values, and no references, by which a small file unfolds to gigabytes."""

from __future__ import annotations

from typing import Any

from foam_viz.logs.core.reader import LogFile

LARGEST = 4 * 2**20
"""Bytes; configurations are smaller, and the parser takes seconds for each megabyte."""


def load(file: LogFile) -> Any:
    """Read a YAML file into dict, list, str, int, float, bool and None; dates stay text.

    Raises:
        LogError: It is no YAML, too large, or uses references.
    """
    import yaml
    from yaml.composer import ComposerError

    base: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

    class Loader(base):
        """Refuses references, and leaves dates as they are written."""

        yaml_implicit_resolvers = {
            first: [pair for pair in pairs if pair[0] != "tag:yaml.org,2002:timestamp"]
            for first, pairs in base.yaml_implicit_resolvers.items()
        }

        def compose_node(self, parent: Any, index: Any) -> Any:
            if self.check_event(yaml.events.AliasEvent):
                mark = self.peek_event().start_mark
                raise ComposerError(None, None, "references (*name) are not read", mark)
            return super().compose_node(parent, index)

    if file.size > LARGEST:
        raise file.problem("", f"is too large for a configuration: {file.size:,} bytes, {LARGEST:,} are read")
    try:
        return yaml.load(file.path.read_bytes(), Loader)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        place = f"line {mark.line + 1}" if mark else ""
        raise file.problem(place, f"is no YAML that is read: {getattr(error, 'problem', None) or error}") from error
    except (ValueError, RecursionError, TypeError, AttributeError, OSError) as error:
        raise file.problem("", f"is no YAML that is read: {error or type(error).__name__}") from error
