"""Tiny GPT: windows, split, floor, causality, and texts of the user's own."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch

from foam_viz.optim.fields import FieldError
from foam_viz.optim.grouping import hidden_matrices
from foam_viz.tasks.catalogue import TASKS
from foam_viz.tasks.grammar import english_like
from tests.tasks.small import small


def _read(task, batch) -> list[str]:
    return ["".join(task.alphabet[code] for code in window) for window in batch[0].tolist()]


def test_windows_begin_before_a_sentence_and_none_is_in_both_parts() -> None:
    task = small("tiny-gpt", context=64, batch_size=256)
    kept, drawn = _read(task, task.held_out(1)), _read(task, task.batch(1))
    assert len(kept) == 128
    assert all(len(window) == 65 and window[0] == "\n" for window in kept + drawn)
    text = "".join(task.alphabet[code] for code in task.characters.tolist())
    trained = text[: task.held_out_from + 1]
    assert all(window in trained for window in drawn)
    assert not any(window in trained for window in kept)


def test_the_true_model_reaches_the_floor() -> None:
    """The grammar's own predictions on the task's windows lose the floor, within the error of the sample."""
    task = small("tiny-gpt", context=32, batch_size=512)
    grammar = english_like()
    losses = []
    for window in {w for step in (1, 2, 3) for w in _read(task, task.batch(step))}:
        stack: tuple[str, ...] = ()
        for character in window[1:]:
            choices = {c: (probability, after) for probability, c, after in grammar.next_characters(stack)}
            probability, stack = choices[character]
            losses.append(-math.log(probability))
    means = np.array(losses).reshape(-1, 32).mean(1)
    error = means.std() / math.sqrt(len(means))
    assert task.loss_floor == grammar.window_entropy(32)
    assert error < 0.01
    assert abs(means.mean() - task.loss_floor) < 4 * error


def test_enciphering_keeps_the_floor_and_the_statistics() -> None:
    task = small("tiny-gpt", shift_at=2)
    assert task.loss_floor == small("tiny-gpt").loss_floor
    plain, shifted = small("tiny-gpt").held_out_batch(2)[0], task.held_out_batch(2)[0]
    counts = [torch.bincount(part.flatten(), minlength=len(task.alphabet)).sort().values for part in (plain, shifted)]
    assert torch.equal(*counts)


def test_the_model_sees_no_later_character() -> None:
    task = small("tiny-gpt")
    model = task.model()
    characters = task.batch(1)[0][:, :-1]
    changed = characters.clone()
    changed[:, 9] = (changed[:, 9] + 1) % len(task.alphabet)
    before, after = model(characters), model(changed)
    assert torch.allclose(before[:, :9], after[:, :9], atol=1e-6)
    assert not torch.allclose(before[:, 9:], after[:, 9:], atol=1e-3)


def test_hidden_matrices_are_four_a_block() -> None:
    task = small("tiny-gpt", depth=2)
    model = task.model()
    inner = hidden_matrices(model, task.heads(model))[0]["params"]
    assert sorted(tuple(p.shape) for p in inner) == sorted(2 * [(48, 16), (16, 16), (64, 16), (16, 64)])


@pytest.fixture
def written(tmp_path: Path) -> Path:
    path = tmp_path / "mine.txt"
    path.write_text("".join(f"line {number} of a tale, told är {number * 7}.\n" for number in range(200)), "utf-8")
    return path


def test_a_text_of_ones_own(written: Path) -> None:
    task = small("tiny-gpt", text=str(written))
    assert task.loss_floor is None
    assert task.alphabet == "".join(sorted(set(written.read_text("utf-8"))))
    text = written.read_text("utf-8")
    boundary = len(text) - len(text) // 10
    assert all(window in text[:boundary] for step in range(1, 20) for window in _read(task, task.batch(step)))
    assert all(window in text[boundary:] for window in _read(task, task.held_out(1)))
    assert torch.isfinite(task.held_out_loss(task.model(), 1))


def test_a_text_that_cannot_be_used_says_why(tmp_path: Path) -> None:
    def refused(path: Path) -> str:
        with pytest.raises(FieldError) as raised:
            TASKS["tiny-gpt"].build({"text": str(path)}, seed=0)
        assert raised.value.field == "text" and raised.value.value == str(path)
        return raised.value.allowed

    assert "there is none" in refused(tmp_path / "absent.txt")
    assert "there is none" in refused(tmp_path)
    for name, content, words in (
        ("short.txt", b"to be", "at least 1300 characters for this context, this one has 5"),
        ("latin.txt", "é".encode("latin-1") * 5000, "in UTF-8; byte 0 is not"),
        ("one.txt", b"a" * 5000, "2 to 512 different characters, this one has 1"),
        ("many.txt", "".join(map(chr, range(0x4E00, 0x4E00 + 2000))).encode(), "this one has 2000"),
        ("large.txt", b"a" * 20_000_001, "at most 20 MB"),
    ):
        (tmp_path / name).write_bytes(content)
        assert words in refused(tmp_path / name)


def test_the_setting_is_text_of_one_line() -> None:
    field = TASKS["tiny-gpt"].local_fields[0]
    assert field.parse("none") is None and field.check(None) is None
    assert field.parse(" /a b.txt ") == "/a b.txt" == field.format("/a b.txt")
    assert field.format(None) == "none"
    for value in ("", "  ", "a\nb", "a\0b", 3, True):
        with pytest.raises(FieldError, match="text of one line, or none"):
            field.check(value)
