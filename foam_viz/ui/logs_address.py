"""What the address of the page of logs holds: one typed list that drives the link, the defaults and the checks.

Uploads are not in it: they belong to their session. Recorded samples are, and everything that was chosen to look at.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from foam_viz.figures import look
from foam_viz.optim.fields import Field, FieldError

TABS = {"runs": "What was recognised", "inspect": "Inspect one", "compare": "Compare many"}
SMOOTHINGS = {"none": "None", "ema": "Exponential mean", "window": "Centred window"}

FIELDS: tuple[Field, ...] = (
    Field(
        name="tab",
        kind="choice",
        default="compare",
        choices=tuple(TABS),
        label="View",
        help="What the page shows of the runs that are open.",
    ),
    *(look.BY_NAME[name] for name in ("x", "log_x", "log_y", "smoothing", "scale", "raw", "seeds", "target")),
    replace(look.BY_NAME["read_at"], name="at"),
)
"""Every typed parameter; ``metric`` and ``sample``, which are lists of names, come in addition."""

BY_NAME: dict[str, Field] = {field.name: field for field in FIELDS}
DEFAULT_METRICS = ("loss",)


def defaults() -> dict[str, Any]:
    """A new view."""
    return {field.name: field.default for field in FIELDS} | {"metric": list(DEFAULT_METRICS)}


def to_query(view: Mapping[str, Any], samples: Sequence[str], default_samples: Sequence[str]) -> dict[str, Any]:
    """The query of a link: only what differs from a new page."""
    query: dict[str, Any] = {
        field.name: field.format(view[field.name]) for field in FIELDS if view[field.name] != field.default
    }
    if tuple(view["metric"]) != DEFAULT_METRICS:
        query["metric"] = list(view["metric"])
    if list(samples) != list(default_samples):
        query["sample"] = list(samples) or ["none"]
    return query


def from_query(
    query: Mapping[str, Sequence[str]], samples: Sequence[str]
) -> tuple[dict[str, Any], list[str] | None, list[FieldError]]:
    """What a link asks for.

    Args:
        query: All values of each key.
        samples: Names of the recorded samples there are.

    Returns:
        The view, complete and valid; the samples asked for, None where the link does not say; what was refused.
    """
    view, chosen, refused = defaults(), None, []
    for key, values in query.items():
        if not values:
            continue
        try:
            if key in BY_NAME:
                view[key] = BY_NAME[key].parse(values[-1])
            elif key == "metric":
                kept = [name for name in dict.fromkeys(values) if 0 < len(name) <= look.LONGEST_NAME]
                view["metric"] = kept[: look.MOST_METRICS] or list(DEFAULT_METRICS)
            elif key == "sample":
                chosen = [name for name in dict.fromkeys(values) if name in samples]
                unknown = [name for name in values if name not in samples and name != "none"]
                refused += [FieldError("sample", name, "the name of a recorded sample") for name in unknown[:3]]
            else:
                refused.append(FieldError(key[:80], values[-1], "a setting of this page"))
        except FieldError as error:
            refused.append(error)
    return view, chosen, refused
