from __future__ import annotations

from pathlib import Path

from foam_viz.logs.formats.llmc import READER
from tests.logs.examples import examples
from tests.logs.make_llmc import make_llmc
from tests.logs.reading import column, folder_files, log_file, read, said, written


def test_a_log_with_a_resume(tmp_path: Path) -> None:
    (trace,) = read(READER, *folder_files(make_llmc(tmp_path)))
    assert column(trace, "step") == list(range(41)) and column(trace, "loss")[:2] == [11, 10.9]
    assert column(trace, "loss")[25:27] == [7.5, 7.4] and column(trace, "loss")[40] is None
    assert column(trace, "held_out_loss")[0] == 11.0092 and column(trace, "held_out_loss")[40] == 6.25
    assert column(trace, "gradient_norm")[0] == 15 and column(trace, "learning_rate")[3] == 0.0003
    assert column(trace, "eval")[20] == 0.2868 and trace.units["eval"] == "fraction" and said(trace, "HellaSwag")
    assert said(trace, "falls back", "29 to 25")


def test_other_lines_are_passed_over_and_counted(tmp_path: Path) -> None:
    (trace,) = read(READER, written(tmp_path, "x", "hello\ns:0 trl:2.5 lr:0.1\ns:1 trl:nan lr:0.1\ns:2 tr"))
    assert (
        column(trace, "step") == [0, 1]
        and trace.manifest.diverged_step == 1
        and said(trace, "2 lines were passed over")
    )


def test_two_lines_that_became_one_are_passed_over(tmp_path: Path) -> None:
    (trace,) = read(READER, written(tmp_path, "x", "s:0 trl:2.5\ns:1 trl:2.4\ns:2 trl:2.3 trl:2.2\ns:3 trl:2.1\n"))
    assert column(trace, "step") == [0, 1, 3] and column(trace, "loss") == [2.5, 2.4, 2.1]
    assert said(trace, "1 line was passed over")


def test_real_logs() -> None:
    (main,) = read(READER, log_file(examples("llmc", "main.log")))
    assert (
        len(main.steps) == 19561 and column(main, "held_out_loss")[-1] == 3.2722 and column(main, "loss")[0] == 11.0091
    )
    assert column(main, "gradient_norm")[0] == 15.37 and sum(v is not None for v in column(main, "loss")) == 19560
    (adamw,) = read(READER, log_file(examples("llmc", "adamw_2024-06-06.log")))
    assert (
        len(adamw.steps) == 9537
        and column(adamw, "held_out_loss")[128] == 6.034447
        and not adamw.has("steps", "learning_rate")
    )
    assert sum(value is not None for value in column(adamw, "held_out_loss")) == 76
