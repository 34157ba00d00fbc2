"""What holds for every task: determinism, the drift burst, settings, pictures."""

from __future__ import annotations

from dataclasses import fields

import numpy as np
import pytest
import torch

from foam_viz.experiment.config import RUN_FIELDS, from_manifest
from foam_viz.experiment.links import from_query
from foam_viz.optim.catalogue import OPTIMIZERS
from foam_viz.optim.fields import FieldError
from foam_viz.tasks.catalogue import TASKS
from foam_viz.tasks.spec import TaskSpec
from foam_viz.tasks.task import Batch, batch_generator, coordinate_permutation
from tests.tasks.small import SMALL, small

EVERY_TASK = pytest.mark.parametrize("name", list(TASKS))


def same(one: Batch, other: Batch) -> bool:
    return len(one) == len(other) and all(map(torch.equal, one, other))


@EVERY_TASK
def test_a_batch_needs_no_history(name: str) -> None:
    task = small(name, seed=5)
    wanted = small(name, seed=5).batch(7)
    for step in (3, 9, 7, 1):
        task.batch(step)
    task.held_out_loss(task.model())
    torch.manual_seed(123)
    assert same(task.batch(7), wanted)
    assert not same(task.batch(8), wanted)
    assert not same(small(name, seed=6).batch(7), wanted)


@EVERY_TASK
def test_drawing_leaves_the_global_generator_alone(name: str) -> None:
    torch.manual_seed(4)
    before = torch.get_rng_state()
    task = small(name, shift_at=1)
    task.held_out_loss(task.model(), 1)
    task.batch(2)
    assert torch.equal(torch.get_rng_state(), before)


@EVERY_TASK
def test_weights_depend_on_the_seed_alone(name: str) -> None:
    def weights(seed: int, **settings: int) -> torch.Tensor:
        return torch.cat([p.detach().flatten() for p in small(name, seed=seed, **settings).model().parameters()])

    assert torch.equal(weights(3), weights(3, shift_at=10, batch_size=4))
    if name != "rotating-quadratic":  # starts at zero
        assert not torch.equal(weights(3), weights(4))


@EVERY_TASK
def test_from_shift_at_on_coordinates_are_permuted(name: str) -> None:
    plain, shifted = small(name, seed=2), small(name, seed=2, shift_at=5)
    order = shifted.permutation()
    assert torch.equal(order.sort().values, torch.arange(shifted.coordinates()))
    assert not torch.equal(order, torch.arange(len(order)))
    for step in (1, 4):
        assert same(shifted.batch(step), plain.batch(step))
        assert same(shifted.held_out_batch(step), plain.held_out_batch(step))
    for step in (5, 6, 900):
        assert same(shifted.batch(step), plain.permute(plain.batch(step), order))
        assert same(shifted.held_out_batch(step), plain.permute(plain.held_out_batch(step), order))
        assert not same(shifted.held_out_batch(step), plain.held_out_batch(step))


@EVERY_TASK
def test_the_permutation_depends_on_the_seed_alone(name: str) -> None:
    one, other = small(name, seed=2, shift_at=5), small(name, seed=2, shift_at=90, batch_size=4)
    other.batch(95)
    assert torch.equal(one.permutation(), other.permutation())
    if one.coordinates() > 2:
        assert any(not torch.equal(one.permutation(), small(name, seed=seed).permutation()) for seed in (3, 4))


@EVERY_TASK
def test_the_burst_changes_the_held_out_loss_from_its_step_on(name: str) -> None:
    task = small(name, shift_at=20)
    model = task.model()
    optimizer = torch.optim.Adam(model.parameters(), lr=2e-2)
    for step in range(1, 20):
        loss = task.loss(model, task.batch(step))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    calm = task.held_out_loss(model)
    assert not calm.requires_grad
    assert calm == task.held_out_loss(model, 19)
    assert task.held_out_loss(model, 20) > calm
    task.batch(20)
    assert task.held_out_loss(model) == task.held_out_loss(model, 20)


@pytest.mark.parametrize("count", [2, 3, 64])
def test_no_permutation_is_the_identity(count: int) -> None:
    for seed in range(30):
        order = coordinate_permutation(seed, count)
        assert sorted(order.tolist()) == list(range(count)) != order.tolist()


def test_one_coordinate_cannot_be_permuted() -> None:
    with pytest.raises(ValueError, match="at least 2 input coordinates.*has 1"):
        coordinate_permutation(0, 1)


def test_coordinates_show_what_the_permutation_says() -> None:
    task = small("digits-classifier", shift_at=1)
    pixels, order = task.held_out(1)[0], task.permutation()
    shown = task.held_out_batch(1)[0]
    assert all(torch.equal(shown[:, i], pixels[:, order[i]]) for i in range(64))
    task = small("digits-vit", shift_at=1)
    patches, order = task.held_out(1)[0], task.permutation()
    assert all(torch.equal(task.held_out_batch(1)[0][:, i], patches[:, order[i]]) for i in range(16))


def test_seeds_and_steps_share_no_stream() -> None:
    draws = {
        torch.randint(2**60, (1,), generator=batch_generator(seed, step)).item()
        for seed in range(20)
        for step in range(-2, 50)
    }
    assert len(draws) == 20 * 52


@EVERY_TASK
def test_settings_are_described_and_do_not_collide(name: str) -> None:
    spec = TASKS[name]
    names = [field.name for field in spec.all_fields]
    assert len(set(names)) == len(names)
    assert {"batch_size", "shift_at"} <= set(names)
    others = {field.name for field in RUN_FIELDS} | {"task", "lane", "run"}
    others |= {field.name for optimizer in OPTIMIZERS.values() for field in optimizer.all_fields}
    assert not others & set(names)
    for field in spec.all_fields:
        assert field.help and "\n" not in field.help and field.help.endswith("."), field.name
        assert field.check(field.default) == field.default
        if field.kind in ("integer", "real"):
            assert field.low is not None and field.high is not None


@EVERY_TASK
def test_defaults_of_catalogue_and_class_agree(name: str) -> None:
    spec = TASKS[name]
    settings, errors = spec.review({})
    assert not errors
    task, bare = spec.build(settings, seed=1), spec.build({}, seed=1)
    assert same(task.batch(1), bare.batch(1))
    shapes = [[p.shape for p in built.model().parameters()] for built in (task, bare)]
    assert shapes[0] == shapes[1]
    assert torch.isfinite(task.held_out_loss(task.model(), 1))


@pytest.mark.parametrize("name", [name for name in TASKS if name not in ("rotating-quadratic", "matrix-factorization")])
def test_width_and_depth_change_the_model(name: str) -> None:
    def size(**settings: int) -> int:
        return sum(p.numel() for p in small(name, **settings).model().parameters())

    assert size(width=16, depth=1) < size(width=32, depth=1)
    assert size(width=32, depth=1) != size(width=32, depth=2)


@EVERY_TASK
def test_local_settings_are_no_part_of_links(name: str) -> None:
    spec: TaskSpec = TASKS[name]
    assert {field.name for field in fields(TaskSpec)} >= {"local_fields"}
    for field in spec.local_fields:
        experiment, errors = from_query({"task": [name], field.name: ["/etc/hosts"]})
        assert [error.field for error in errors] == [field.name]
        assert experiment.task_settings[field.name] is None


@EVERY_TASK
def test_a_foreign_manifest_opens_no_local_file(name: str) -> None:
    spec: TaskSpec = TASKS[name]
    own = {"task": name, "task_settings": spec.review({"batch_size": 8})[0], "optimizer": "sgd"}
    experiment, errors = from_manifest(own)
    assert not errors and experiment.task_settings["batch_size"] == 8
    for field in spec.local_fields:
        hostile = {**own, "task_settings": {**own["task_settings"], field.name: "/etc/hosts"}}
        experiment, errors = from_manifest(hostile)
        assert [(error.field, error.value) for error in errors] == [(field.name, "/etc/hosts")]
        assert "command line" in str(errors[0])
        assert experiment.task_settings[field.name] is None and experiment.task_settings["batch_size"] == 8


@pytest.mark.parametrize("name", ["digits-vit", "tiny-gpt"])
def test_heads_must_share_the_width(name: str) -> None:
    settings, errors = TASKS[name].review({"width": 64, "attention_heads": 5})
    assert settings["attention_heads"] == 4
    assert [str(error) for error in errors] == ["attention_heads = 5: must be a divisor of the width, which is 64"]


@EVERY_TASK
@pytest.mark.parametrize("shift_at", [0, 1])
def test_a_picture_is_plain_arrays(name: str, shift_at: int) -> None:
    task = small(name, shift_at=shift_at)
    model = task.model()
    task.loss(model, task.batch(1))
    picture = task.picture(model, 1)
    assert (picture is None) == (TASKS[name].picture is None)
    for key, array in (picture or {}).items():
        assert isinstance(array, np.ndarray), key
        assert array.dtype in (np.float32, np.int64)
        assert np.isfinite(array).all() and array.size


@EVERY_TASK
def test_heads_are_modules_of_the_model(name: str) -> None:
    task = small(name)
    model = task.model()
    assert set(task.heads(model)) <= set(model.modules())


@EVERY_TASK
def test_float64_is_the_same_task_in_another_precision(name: str) -> None:
    complete, _ = TASKS[name].review({**SMALL.get(name, {}), "shift_at": 2})
    single, double = (TASKS[name].build(complete, seed=3, precision=p) for p in ("float32", "float64"))
    models = single.model(), double.model()
    for one, other in zip(models[0].parameters(), models[1].parameters(), strict=True):
        assert (one.dtype, other.dtype) == (torch.float32, torch.float64)
        assert torch.equal(one.double(), other)
    for step in (1, 2):
        for one, other in zip(single.batch(step), double.batch(step), strict=True):
            assert other.dtype == (torch.float64 if one.is_floating_point() else one.dtype)
            assert torch.equal(one.to(other.dtype), other)
        loss = double.loss(models[1], double.batch(step))
        assert loss.dtype == torch.float64
        torch.testing.assert_close(loss.float(), single.loss(models[0], single.batch(step)), rtol=1e-4, atol=1e-5)
        assert double.held_out_loss(models[1], step).dtype == torch.float64
    loss.backward()
    if TASKS[name].picture:
        assert {array.dtype for array in double.picture(models[1], 2).values()} <= {np.dtype("f4"), np.dtype("i8")}


def test_what_has_no_float64_says_so() -> None:
    complete, _ = TASKS["spirals"].review({})
    with pytest.raises(FieldError, match="precision = float64: must be float32 on an Apple GPU .* choose the CPU"):
        TASKS["spirals"].build(complete, seed=0, device="mps", precision="float64")
    with pytest.raises(FieldError, match="precision = float16: must be one of float32, float64"):
        TASKS["spirals"].build(complete, seed=0, precision="float16")
