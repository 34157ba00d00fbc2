"""Tables: what is read, how it is split and scaled, and what is said about the rest."""

from __future__ import annotations

from pathlib import Path
from random import Random

import numpy as np
import pytest
import torch

from foam_viz.optim.fields import FieldError
from foam_viz.tasks.catalogue import TASKS
from foam_viz.tasks.table import read_table
from tests.tasks.small import small

ROWS = [(i, i * i - 3.5, -2e-1 * i) for i in range(30)]


def _write(path: Path, rows=ROWS, header: str | None = "a,b,c", delimiter: str = ",", encoding: str = "utf-8") -> str:
    lines = [] if header is None else [header.replace(",", delimiter)]
    path.write_text("\n".join(lines + [delimiter.join(map(str, row)) for row in rows]) + "\n", encoding=encoding)
    return str(path)


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
def test_numbers_are_read_as_they_are(tmp_path: Path, delimiter: str, encoding: str) -> None:
    names, values = read_table("table", _write(tmp_path / "t.csv", delimiter=delimiter, encoding=encoding))
    assert names == ("a", "b", "c")
    assert np.array_equal(values, np.array(ROWS))


def test_a_table_without_names_gets_numbers(tmp_path: Path) -> None:
    names, values = read_table("table", _write(tmp_path / "t.csv", header=None))
    assert names == ("column 1", "column 2", "column 3")
    assert len(values) == len(ROWS)


def test_blank_lines_and_quotes_do_not_matter(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text('"a, first",b\n\n' + "".join(f'"{i}", {i + 1} \r\n,\n' for i in range(25)), encoding="utf-8")
    names, values = read_table("table", str(path))
    assert names == ("a, first", "b")
    assert np.array_equal(values[:, 1], np.arange(25) + 1)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("", "this file is empty"),
        ("a,b\n" + "1,2\n" * 3, "at least 20 rows"),
        ("a\n" + "1\n" * 30, "2 to 1024 columns; 1 found in the first line: separate cells by"),
        ("a,a\n" + "1,2\n" * 30, "'a' occurs twice: rename one"),
        ("a,\n" + "1,2\n" * 30, "column 2 has none: name it"),
        ("a,b\n" + "1,2\n" * 5 + "1\n" + "1,2\n" * 30, "line 7 has 1, not 2: complete it or remove it"),
        ("a,b\n" + "1,2\n" * 5 + "1,dog\n" * 30, "line 7, column 'b' holds 'dog': replace it by a finite number"),
        ("a,b\n" + "1,2\n" * 30 + ",2\n", "line 32, column 'a' holds nothing: fill it in, or remove"),
        ("a,b\n" + "1,nan\n" * 30, "line 2, column 'b' holds 'nan'"),
        ("a,b\n" + "1,inf\n" * 30, "column 'b' holds 'inf'"),
        ("a,b\n" + "1,1e999\n" * 30, "column 'b' holds '1e999'"),
        ("a,b\n" + "1,1_000\n" * 30, "column 'b' holds '1_000'"),
        ("a,b\n" + "1,=1+1\n" * 30, "column 'b' holds '=1+1'"),
        ("a,b\n" + "1,0x10\n" * 30, "column 'b' holds '0x10'"),
        ("a;b\n" + "1;2,5\n" * 30, "column 'b' holds '2,5': write the decimal mark as a point"),
        ('a,b\n"1,2\n', "unexpected end of data"),
        ("x" * 200_000, "a cell has more than 131,072 characters"),
        (",".join(f"c{i}" for i in range(2000)) + "\n", "2 to 1024 columns; 2000 found"),
    ],
)
def test_what_is_wrong_is_said_with_its_place(tmp_path: Path, content: str, words: str) -> None:
    path = tmp_path / "t.csv"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(FieldError) as raised:
        TASKS["csv"].build({"table": str(path)}, seed=0)
    assert words in raised.value.allowed
    assert raised.value.field == "table" and raised.value.value == str(path)


def test_the_target_is_the_last_or_the_named_column(tmp_path: Path) -> None:
    path = _write(tmp_path / "t.csv")
    assert small("csv", table=path).names == ("a", "b")
    named = small("csv", table=path, target="a")
    assert named.names == ("b", "c")
    with pytest.raises(FieldError, match="target = d: must be the name of a column: a, b, c"):
        small("csv", table=path, target="d")


def test_columns_are_scaled_by_the_training_rows(tmp_path: Path) -> None:
    source = np.random.default_rng(0)
    rows = source.normal(size=(200, 4)) * [1e200, 1e-200, 3, 7] + [0, 0, 100, -5]
    rows[:, 2] = 1.5
    task = small("csv", table=_write(tmp_path / "t.csv", rows.tolist(), header="a,b,c,d"))
    trained = task.inputs[: task.training_rows]
    assert task.training_rows == 160 and len(task.inputs) == 200
    assert torch.allclose(trained[:, :2].mean(0), torch.zeros(2), atol=1e-5)
    assert torch.allclose(trained[:, :2].std(0, correction=0), torch.ones(2), atol=1e-4)
    assert torch.equal(task.inputs[:, 2], torch.zeros(200))
    assert float(task.outputs[:160].std(correction=0)) == pytest.approx(1, abs=1e-4)


def test_equal_rows_stay_on_one_side(tmp_path: Path) -> None:
    source = np.random.default_rng(1)
    rows = np.column_stack((source.integers(0, 4, size=(300, 2)), source.normal(size=300)))
    task = small("csv", table=_write(tmp_path / "t.csv", rows.tolist()), batch_size=1000)
    kept = {tuple(row) for row in task.held_out(1)[0].tolist()}
    drawn = {tuple(row) for step in range(1, 5) for row in task.batch(step)[0].tolist()}
    assert kept and drawn and not kept & drawn


def test_the_table_of_the_house_is_split_disjointly() -> None:
    task = small("csv", batch_size=1400)
    kept = {tuple(row) for row in task.held_out(1)[0].tolist()}
    drawn = {tuple(row) for step in range(1, 5) for row in task.batch(step)[0].tolist()}
    assert len(kept) == 442 - task.training_rows and not kept & drawn


def test_columns_that_teach_nothing_are_refused(tmp_path: Path) -> None:
    constant = [(i, 1.0) for i in range(30)]
    with pytest.raises(FieldError, match="target = b: must be a column that varies; 'b' is 1 in every row"):
        small("csv", table=_write(tmp_path / "t.csv", constant, header="a,b"))
    with pytest.raises(FieldError, match="input columns vary"):
        small("csv", table=_write(tmp_path / "t.csv", constant, header="a,b"), target="a")
    with pytest.raises(FieldError, match="shift_at = 5: must be 0 for a table with one input column"):
        small("csv", table=_write(tmp_path / "t.csv", [(i, i) for i in range(30)], header="a,b"), shift_at=5)


_CELLS = ["1", "-2.5", "+.5", "1.", "1e5", " 3 ", "4.9e-324", "12345678901234567890", "1e400", "", "1e", "1 2", "x"]


@pytest.mark.parametrize("seed", range(150))
def test_a_table_read_at_once_is_the_one_read_cell_by_cell(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    """Millions of plain numbers are read at once; whatever else there is, cell by cell. Both mean the same."""
    random = Random(seed)
    delimiter, columns = random.choice(",;\t"), random.choice([2, 3])
    pool = _CELLS if seed % 3 == 0 else _CELLS[:8]
    names = random.choice([["a", "b", "c"], ["a", "a", "c"], ["", "b", "c"], ["1", "2", "3"], ['"q, r"', "b", "c"]])
    lines = [delimiter.join(random.choice(pool) for _ in range(columns)) for _ in range(random.choice([19, 20, 30]))]
    lines[3:3] = random.choice([[], [""], [delimiter * (columns - 1)], ["1"]])
    path = tmp_path / "t.csv"
    text = "\n".join([delimiter.join(names[:columns]), *lines])
    path.write_text(text, encoding="utf-8")

    def found() -> object:
        try:
            told, values = read_table("table", str(path))
        except FieldError as error:
            return str(error)
        return told, values.tolist()

    at_once = found()
    monkeypatch.setattr("foam_viz.tasks.table._plain_numbers", lambda *_: None)
    assert found() == at_once
