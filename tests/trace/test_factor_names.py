from __future__ import annotations

import pytest

from foam_viz.trace import FactorInfo, Manifest


def _factors(*parameters: tuple[str, int]) -> tuple[FactorInfo, ...]:
    """Factors of parameters given with their number of dimensions."""
    return tuple(
        FactorInfo(id=f"{place}.block_0.{dim}", parameter=name, block=0, dim=dim, order=order, size=128)
        for place, (name, order) in enumerate(parameters)
        for dim in range(order)
    )


def _names(*parameters: tuple[str, int]) -> list[str]:
    return [name.text for name in Manifest(run_id="r", name="r", factors=_factors(*parameters)).factor_names]


@pytest.mark.parametrize(
    ("parameters", "names"),
    [
        ([("0.weight", 2), ("0.bias", 1), ("2.weight", 2)], [
            "layer 1 left", "layer 1 right", "layer 1 bias", "layer 2 left", "layer 2 right"]),
        ([("0.weight", 2), ("2.weight", 2), ("10.weight", 2)], [
            "layer 1 left", "layer 1 right", "layer 2 left", "layer 2 right", "layer 3 left", "layer 3 right"]),
        ([("left", 2), ("right", 2)], [
            "left matrix, left", "left matrix, right", "right matrix, left", "right matrix, right"]),
        ([("weight", 2)], ["weight left", "weight right"]),
        ([("blocks.0.norm.weight", 1), ("blocks.0.norm.bias", 1)], ["blocks.0.norm weight", "blocks.0.norm bias"]),
        ([("blocks.0.attention.inward.weight", 2)], [
            "blocks.0.attention.inward left", "blocks.0.attention.inward right"]),
        ([("encoder.3.weight", 2)], ["encoder.3 left", "encoder.3 right"]),
        ([("0.weight", 3)], ["layer 1 dimension 0", "layer 1 dimension 1", "layer 1 dimension 2"]),
        ([("parameter 3", 2)], ["parameter 3 left", "parameter 3 right"]),
    ],
)  # fmt: skip
def test_names_are_readable(parameters: list[tuple[str, int]], names: list[str]) -> None:
    assert _names(*parameters) == names


def test_names_are_unique_and_carry_the_shape() -> None:
    twice = tuple(
        FactorInfo(id=f"{group}.block_0.0", parameter="parameter 0", block=0, dim=0, order=2, size=4)
        for group in range(2)
    )
    names = Manifest(run_id="r", name="r", factors=twice).factor_names
    assert [name.text for name in names] == ["parameter 0 (0.block_0) left", "parameter 0 (1.block_0) left"]
    assert names[0].with_shape == "parameter 0 (0.block_0) left, 4×4" and names[0].layer != names[1].layer


def test_blocks_of_one_parameter_are_told_apart() -> None:
    blocks = tuple(
        FactorInfo(id=f"0.block_{block}.0", parameter="0.weight", block=block, dim=0, order=2, size=4)
        for block in range(2)
    )
    names = Manifest(run_id="r", name="r", factors=blocks).factor_names
    assert [name.text for name in names] == ["layer 1 block 0 left", "layer 1 block 1 left"]


def test_names_of_many_factors_cost_little() -> None:
    many = Manifest(run_id="r", name="r", factors=_factors(*[(f"layers.{i}.weight", 2) for i in range(2000)]))
    assert len({name.text for name in many.factor_names}) == 4000
    assert many.factor_names is many.factor_names
    assert many.with_(status="running").factor_names == many.factor_names
