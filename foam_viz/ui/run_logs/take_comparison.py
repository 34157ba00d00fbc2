"""A comparison as one HTML file that needs no server: figures, tables, and what was chosen."""

from __future__ import annotations

import html
import json
from collections.abc import Mapping, Sequence
from typing import Any

from plotly.offline import get_plotlyjs

from foam_viz.analysis.axes import BY_ID
from foam_viz.analysis.configuration import entries
from foam_viz.analysis.confounds import Confound
from foam_viz.figures import theme
from foam_viz.figures.catalogue import compared
from foam_viz.figures.look import Look
from foam_viz.figures.look_fields import BY_NAME
from foam_viz.figures.scene import Lane, Scene
from foam_viz.ui.board.board import LaneChip
from foam_viz.ui.session.logs import Run

_MOST_VALUES = 400
"""Settings of one run that are written at most."""
_LONGEST = 300


def document(name: str, lanes: Sequence[Lane], look: Look, rows: Sequence[LaneChip], found: Sequence[Confound]) -> str:
    """Write the comparison.

    Args:
        name: Title of the document.
        lanes: The runs.
        look: How they are drawn.
        rows: The table of what they reached.
        found: What else differs between them.
    """
    scene = Scene(lanes, look)
    figures: dict[str, Any] = {}
    parts = [_reached(rows)]
    for spec in compared(scene):
        drawing = spec.draw(scene)
        words = html.escape(". ".join(filter(None, [drawing.moment, drawing.reading])) or drawing.empty)
        place = ""
        if drawing.figure is not None:
            figures[spec.id] = {**drawing.figure, "height": spec.height}
            place = f'<div id="{html.escape(spec.id)}"></div>'
        parts.append(
            f"<section><h2>{html.escape(drawing.title or spec.title)}</h2><p>{words}</p>{place}"
            f"<details><summary>How to read</summary><p>{html.escape(spec.help)}</p></details></section>"
        )
    parts += [_differs(lanes, found), _chosen(look), _configurations(lanes)]
    light = theme.LIGHT
    style = (
        f"body{{font:15px/1.45 system-ui,sans-serif;margin:24px auto;max-width:1100px;padding:0 16px;"
        f"background:{light.paper};color:{light.ink}}}section{{margin:0 0 32px}}h2{{font-size:17px;margin:0 0 4px}}"
        f"p{{margin:2px 0 8px;color:{light.soft_ink}}}table{{border-collapse:collapse}}th,td{{text-align:left;"
        f"font-weight:400;padding:2px 16px 2px 0;vertical-align:top;font-variant-numeric:tabular-nums}}"
        f"thead th{{color:{light.soft_ink}}}.wide{{overflow-x:auto}}.swatch{{display:inline-block;width:22px;"
        f"height:0;border-top:3px solid;margin-right:8px;vertical-align:middle}}"
    )
    # Inside a script element only "</" could end it, and "<!--" could begin what hides its end.
    library = get_plotlyjs().replace("</script", "<\\/script")
    data = json.dumps(figures, allow_nan=False).replace("<", "\\u003c")
    return "\n".join(
        [
            '<!doctype html><html lang="en"><head><meta charset="utf-8">',
            f'<meta name="viewport" content="width=device-width"><title>{html.escape(name)}</title>',
            f"<style>{style}</style></head><body><h1>{html.escape(name)}</h1>",
            *parts,
            f"<script>{library}</script><script>",
            f"for (const [id, {{ data, layout, height }}] of Object.entries({data}))",
            "Plotly.newPlot(id, data, { ...layout, height, autosize: true },",
            "{ responsive: true, displaylogo: false });",
            "</script></body></html>",
        ]
    )


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table of cells that are markup already."""
    top = "".join(f"<th>{html.escape(cell)}</th>" for cell in head)
    body = "".join("<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>" for row in rows)
    return f'<div class="wide"><table><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table></div>'


def _swatch(position: int) -> str:
    style = theme.lane(position)
    line = {"solid": "solid", "dot": "dotted"}.get(style.dash, "dashed")
    return f'<span class="swatch" style="border-color:{style.colour};border-top-style:{line}"></span>'


def _reached(rows: Sequence[LaneChip]) -> str:
    if not rows:
        return ""
    head = ["Run", *(label for label, _, _ in rows[0].cells), "State"]
    body = [
        [
            _swatch(row.position) + html.escape(row.label),
            *(f'<span title="{html.escape(words)}">{html.escape(text)}</span>' for _, text, words in row.cells),
            html.escape(row.state),
        ]
        for row in rows
    ]
    return f"<section><h2>What each run reached</h2>{_table(head, body)}</section>"


def _differs(lanes: Sequence[Lane], found: Sequence[Confound]) -> str:
    if not found:
        return ""
    body = [
        [html.escape(each.label), *(html.escape(value) if value else "not told" for value in each.values)]
        for each in found
    ]
    words = "".join(f"<p>{html.escape(each.words)}.</p>" for each in found)
    head = ["", *(lane.label for lane in lanes)]
    return f"<section><h2>What differs besides the optimizer</h2>{words}{_table(head, body)}</section>"


def _chosen(look: Look) -> str:
    """How the comparison was drawn: every field of the look that comparisons read."""
    names = ("metrics", "x", "log_x", "log_y", "smoothing", "scale", "raw", "seeds", "target", "whole")
    body = []
    for name in names:
        field, value = BY_NAME[name], getattr(look, name)
        if name == "x":
            text = BY_ID[value].title
        elif name == "metrics":
            text = ", ".join(value)
        else:
            text = field.format(value) + (f" {field.unit}" if field.unit else "")
        body.append([html.escape(field.label), html.escape(text)])
    return f"<section><h2>How it was drawn</h2>{_table(['Setting', 'Value'], body)}</section>"


def _configurations(lanes: Sequence[Lane]) -> str:
    """The settings of every run beside each other, those that differ first."""
    told = [
        {".".join(path): str(value)[:_LONGEST] for path, value in entries(lane.trace.manifest.config)} for lane in lanes
    ]
    names = list(dict.fromkeys(name for each in told for name in each))
    if not names:
        return ""
    differs = {name: len({each.get(name) for each in told}) > 1 for name in names}
    names = sorted(names, key=lambda name: not differs[name])[:_MOST_VALUES]
    body = [
        [
            f"<b>{html.escape(name)}</b>" if differs[name] else html.escape(name),
            *(html.escape(each.get(name, "–")) for each in told),
        ]
        for name in names
    ]
    head = ["Setting", *(lane.label for lane in lanes)]
    return f"<section><h2>Settings of the runs, those that differ in bold</h2>{_table(head, body)}</section>"


def file_name(runs: Sequence[Run], view: Mapping[str, Any]) -> str:
    """Name of the file: the first metric and the number of runs."""
    metric = "".join(letter if letter.isalnum() else "-" for letter in (view["metric"] or ["metrics"])[0])
    return f"foam_viz-{metric}-of-{len(runs)}-runs.html"
