from __future__ import annotations

import math
import tomllib
from pathlib import Path

import pytest

from foam_viz.figures import theme
from foam_viz.ui.board import assets

CONFIG = tomllib.loads((Path(__file__).parents[2] / ".streamlit" / "config.toml").read_text())


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.301, "0.301"),
        (0.81, "0.810"),
        (12.345, "12.3"),
        (999.6, "1,000"),
        (1240, "1,240"),
        (54321.0, "54,321"),
        (999_600.0, "1.0e6"),
        (1_126_127.0, "1.13e6"),
        (1_126_127, "1,126,127"),
        (3e-7, "3.0e-7"),
        (1.126e-6, "1.13e-6"),
        (0.0, "0"),
        (-0.25, "-0.250"),
        (2.5e9, "2.5e9"),
        (math.nan, "–"),
        (None, "–"),
        (math.inf, "∞"),
    ],
)
def test_number(value: float | None, text: str) -> None:
    assert theme.number(value) == text


def test_unit_follows_a_thin_space() -> None:
    assert theme.number(4.2, "s") == "4.20\u202fs"
    assert theme.percent(0.41) == "41\u202f%"


@pytest.mark.parametrize(
    ("value", "text"), [(0.75, "0.75"), (3e-7, "3e-7"), (1e-9, "1e-9"), (1.5e-8, "1.5e-8"), (10, "10")]
)
def test_setting_is_as_short_as_it_was_written(value: float, text: str) -> None:
    assert theme.setting(value) == text


def test_every_colour_of_a_figure_has_a_dark_partner() -> None:
    used = [lane.colour for lane in theme.LANES] + list(theme.DECISIONS.values())
    used += [colour for _, colour in theme.DIVERGING + theme.SINGLE_HUE]
    used += [getattr(theme.LIGHT, name) for name in ("paper", "card", "line", "ink", "soft_ink", "accent", "faint")]
    assert {colour for colour in used if colour.upper() not in theme.DARK_OF} == set()


def test_lanes_differ_in_colour_dash_and_symbol() -> None:
    for attribute in ("colour", "dash", "symbol"):
        assert len({getattr(lane, attribute) for lane in theme.LANES}) == len(theme.LANES) == 6


@pytest.mark.parametrize(("name", "palette"), [("light", theme.LIGHT), ("dark", theme.DARK)])
def test_streamlit_is_configured_with_the_same_palette(name: str, palette: theme.Palette) -> None:
    table = CONFIG["theme"][name]
    assert table["backgroundColor"] == palette.paper
    assert table["textColor"] == palette.ink
    assert table["primaryColor"] == palette.accent
    assert table["borderColor"] == palette.line
    lanes = [lane.colour for lane in theme.LANES] if name == "light" else list(theme.LANES_DARK)
    assert table["chartCategoricalColors"] == lanes


def test_streamlit_stays_local_and_quiet() -> None:
    assert CONFIG["server"]["address"] == "127.0.0.1"
    assert CONFIG["server"]["enableStaticServing"] is True
    assert CONFIG["runner"]["postScriptGC"] is False
    assert CONFIG["browser"]["gatherUsageStats"] is False


def _luminance(colour: str) -> float:
    channels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def _contrast(one: str, other: str) -> float:
    high, low = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("palette", [theme.LIGHT, theme.DARK])
def test_text_is_readable(palette: theme.Palette) -> None:
    assert _contrast(palette.ink, palette.card) >= 7
    assert _contrast(palette.soft_ink, palette.card) >= 4.5


def test_numbers_are_readable_on_every_cell_of_the_factor_map() -> None:
    for _, colour in theme.DIVERGING + theme.MAGNITUDE:
        assert _contrast(theme.LIGHT.ink, colour) >= 4.5
        assert _contrast(theme.DARK.ink, theme.DARK_OF[colour]) >= 4.5


def _lab(colour: str) -> tuple[float, float, float]:
    """CIE L*a*b* under D65."""
    channels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    red, green, blue = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels)
    x = (0.4124 * red + 0.3576 * green + 0.1805 * blue) / 0.9505
    y = 0.2126 * red + 0.7152 * green + 0.0722 * blue
    z = (0.0193 * red + 0.1192 * green + 0.9505 * blue) / 1.089
    fx, fy, fz = (t ** (1 / 3) if t > 0.008856 else 7.787 * t + 16 / 116 for t in (x, y, z))
    return 116 * fy - 16, 500 * (fx - fy), 200 * (fy - fz)


@pytest.mark.parametrize("dark", [False, True])
def test_colours_of_lanes_and_colours_of_meaning_never_meet(dark: bool) -> None:
    lanes = list(theme.LANES_DARK) if dark else [lane.colour for lane in theme.LANES]
    meaning = [theme.VERMILION, theme.PURPLE, theme.RED, theme.LIGHT.accent, theme.LIGHT.ink]
    if dark:
        meaning = [theme.DARK_OF[colour] for colour in meaning]
    for lane in lanes:
        assert min(math.dist(_lab(lane), _lab(colour)) for colour in meaning) > 25, lane
        assert min(math.dist(_lab(lane), _lab(other)) for other in lanes if other != lane) > 22, lane


# Machado, Oliveira and Fernandes (2009), "A physiologically-based model for simulation of color vision deficiency":
# the whole deficiency, on linear RGB.
_DEFICIENCIES = {
    "protan": [(0.152286, 1.052583, -0.204868), (0.114503, 0.786281, 0.099216), (-0.003882, -0.048116, 1.051998)],
    "deutan": [(0.367322, 0.860646, -0.227968), (0.280085, 0.672501, 0.047413), (-0.011820, 0.042940, 0.968881)],
    "tritan": [(1.255528, -0.076749, -0.178779), (-0.078411, 0.930809, 0.147602), (0.004733, 0.691367, 0.303900)],
}


def _seen(colour: str, deficiency: str) -> str:
    channels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    mixed = [
        min(1.0, max(0.0, sum(a * b for a, b in zip(row, linear, strict=True)))) for row in _DEFICIENCIES[deficiency]
    ]
    shown = [12.92 * c if c <= 0.0031308 else 1.055 * c ** (1 / 2.4) - 0.055 for c in mixed]
    return "#{:02X}{:02X}{:02X}".format(*(round(255 * c) for c in shown))


@pytest.mark.parametrize("deficiency", list(_DEFICIENCIES))
@pytest.mark.parametrize("dark", [False, True])
def test_the_colour_of_failure_is_no_lane_for_the_colour_blind(dark: bool, deficiency: str) -> None:
    """The brown lane beside the red of a failure above all."""
    lanes = list(theme.LANES_DARK) if dark else [lane.colour for lane in theme.LANES]
    red = theme.DARK_OF[theme.RED] if dark else theme.RED
    for lane in lanes:
        assert math.dist(_lab(_seen(lane, deficiency)), _lab(_seen(red, deficiency))) > 15, lane
    assert _contrast(red, theme.DARK.card if dark else theme.LIGHT.card) >= 4.5


def test_the_style_sheet_has_the_same_red() -> None:
    sheet = (assets.SOURCES / "board.css").read_text()
    assert sheet.count(theme.RED) == sheet.count(theme.DARK_OF[theme.RED]) == 1
