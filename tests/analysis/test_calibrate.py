"""Calibration: what each suggestion follows from, its units, and how it travels."""

from __future__ import annotations

import pytest

from foam_viz.analysis.calibrate import PAPER, Spectra, scaled, suggest
from foam_viz.analysis.fronts import front, reference_settings, to_csv
from foam_viz.analysis.replay import Grid, Summary
from foam_viz.analysis.replay_setting import Setting, default_map, default_setting, tau_and_cap
from foam_viz.optim.fields import FieldError
from foam_viz.recording.stream import Spacing

OWN = default_setting(1e-6, 10)


def spectra(scale: float = 1.0, mass: float = 0.0) -> Spectra:
    return Spectra(
        steps=(10, 20),
        largest=(2 * scale, scale),
        mean=(0.2 * scale, 0.1 * scale),
        quantiles=[scale * 1e-6 * 10 ** (i / 4) for i in range(21)],
        smallest=1e-9 * scale,
        most=2 * scale,
        new_mass=mass * scale,
        alpha=0.25,
        root=2,
    )


def test_epsilon_is_what_float32_resolves_and_epsilon_max_a_third_of_the_spectrum() -> None:
    found = suggest(spectra(), OWN)
    values = found.setting.values
    assert values["epsilon"] == pytest.approx(4 * 2.0**-23 * 2, rel=0.05)
    assert values["epsilon_max"] == pytest.approx(spectra().quantile(1 / 3), rel=0.05)
    assert (values["period"], values["tau"]) == (10, 0.75)
    assert [row[0] for row in found.reasons] == ["epsilon", "epsilon_max", "tau", "unit"]


def test_new_mass_asks_for_more() -> None:
    """Eps rises to alpha M / (p tau) in one check, so a smaller eps_max would always decompose."""
    found = suggest(spectra(mass=0.01), OWN)
    assert found.drift_allowance == pytest.approx(0.25 * 0.01 / (2 * 0.75))
    assert found.setting.values["epsilon_max"] == pytest.approx(found.drift_allowance, rel=0.05)


def test_without_new_mass_no_allowance_is_reasoned_from() -> None:
    reason = suggest(spectra(), OWN).reasons[1][2]
    assert "drift asks for nothing more" in reason and "alpha M" not in reason
    assert "alpha M / (p tau)" in suggest(spectra(mass=0.01), OWN).reasons[1][2]


def test_every_amount_of_a_reason_has_its_unit() -> None:
    rows = suggest(spectra(mass=0.01), OWN).reasons
    assert [value.endswith(" gradient²") for _, value, _ in rows] == [True, True, False, True]
    assert rows[2][1] == "0.75"
    assert rows[0][2].count("gradient²") == 1 and rows[1][2].count("gradient²") == 3


def test_a_suggestion_has_the_unit_of_gradients_squared_and_travels() -> None:
    one, hundred = suggest(spectra(), OWN), suggest(spectra(scale=100), OWN)
    for name in ("epsilon", "epsilon_max"):
        assert hundred.setting.values[name] == pytest.approx(100 * one.setting.values[name], rel=0.05)
        assert hundred.relative[name] == pytest.approx(one.relative[name], rel=0.05)
        assert scaled(one.relative, hundred.unit)[name] == pytest.approx(hundred.setting.values[name], rel=0.05)
    assert one.ageing[1]["epsilon"] == pytest.approx(one.ageing[0]["epsilon"] / 2, rel=0.05)
    assert [row["tau"] for row in PAPER] == [0.75, 0.4]


def test_from_zeros_nothing_follows() -> None:
    with pytest.raises(FieldError, match="epsilon"):
        suggest(spectra(scale=0.0), OWN)


def point(setting: Setting, decompositions: int, error: float) -> Summary:
    return Summary(
        setting=setting, exact=False, checks=100, decompositions=decompositions, cap_refreshes=0, error_left=error,
        staleness_error=0.0, damping_error=error, directions_damped=1.0, kernel_seconds=decompositions * 0.5,
    )  # fmt: skip


def test_a_front_keeps_what_nothing_beats_and_leaves_out_what_was_not_measured() -> None:
    points = [point(OWN, n, e) for n, e in ((10, 0.5), (20, 0.6), (30, 0.1), (30, 0.2), (5, float("nan")))]
    found = front(points)
    assert [(p.decompositions, p.error_left) for p in found.best] == [(10, 0.5), (30, 0.1)]
    assert len(found.points) == 4
    lines = to_csv(points).splitlines()
    assert len(lines) == 6 and lines[1].split(",")[-1] == "5.0"


def test_references_are_fixed_periods_and_turns_that_the_stream_can_answer() -> None:
    grid = Grid(Spacing(10, 1, 10), 10, 100, None)
    chosen = reference_settings(OWN, grid)
    assert [(s.optimizer, s.values["period"]) for s in chosen] == [
        (name, period) for name in ("shampoo", "shampoo-staggered") for period in (10, 20, 40, 80)
    ]
    for setting in chosen:
        grid.require(setting)


def test_the_first_map_lies_around_the_setting() -> None:
    taus, caps = default_map(OWN)
    settings = tau_and_cap(OWN, taus, caps)
    assert len(settings) == 25 and caps[2] == pytest.approx(OWN.values["epsilon_max"])
    assert all(s.values["epsilon_max"] >= s.values["epsilon"] for s in settings)
    assert tau_and_cap(OWN.changed({"optimizer": "dr-shampoo"}), [0.5], [1e-4])[0].optimizer == "foam"
