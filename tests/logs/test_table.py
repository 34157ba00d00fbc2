from __future__ import annotations

import json
import math
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest

from foam_viz.logs.core.reader import ColumnRule, LogError
from foam_viz.logs.formats.table import READER
from foam_viz.trace import Trace
from tests.logs.examples import examples
from tests.logs.make_table import make_table
from tests.logs.reading import column, folder_files, log_file, read, said, source, written

LINES = "".join(f"{step},{3 - step / 8},\n" for step in range(8))


def one(folder: Path, content: str | bytes, name: str = "log.csv", **options: object) -> Trace:
    (trace,) = read(READER, written(folder, name, content), **options)
    return trace


def test_every_kind_of_table(tmp_path: Path) -> None:
    files = folder_files(make_table(tmp_path))
    traces = {trace.manifest.name: trace for trace in read(READER, *files)}
    assert set(traces) == {"a", "b", "c", "d", "e", "f a", "f b"}
    a = traces["a"]
    assert len(a.steps) == 201 and column(a, "loss")[:2] == [3.0, 2.99] and math.isnan(column(a, "loss")[200])
    assert column(a, "held_out_loss")[:2] == [3.1, None] and column(a, "held_out_loss")[200] == math.inf
    assert column(a, "total_seconds")[200] == pytest.approx(2.4) and a.manifest.diverged_step == 200
    assert said(a, "Left out as text", "'text'")
    assert column(traces["c"], "held_out_loss")[1] == pytest.approx(3.05) and source(traces["c"], "val/loss")["guessed"]
    assert traces["d"].manifest.config["lr"] == 0.1 and column(traces["d"], "loss") == [3, 2, 1]
    values = column(traces["e"], "loss")
    assert values[0] == 1 and math.isnan(values[1]) and values[2] is None
    assert column(traces["f b"], "loss/layer=1") == [step + 1 for step in range(9)]
    assert traces["f b"].manifest.config["run"] == "b"


@pytest.mark.parametrize("delimiter", [",", "\t", ";", "|", "  "])
def test_the_delimiter_is_found_by_content(tmp_path: Path, delimiter: str) -> None:
    rows = [["step", "loss", "lr"], *([str(s), str(s / 2), "1e-3"] for s in range(5))]
    trace = one(tmp_path, "\n".join(delimiter.join(row) for row in rows), "named.bin")
    assert column(trace, "loss") == [0, 0.5, 1, 1.5, 2] and column(trace, "learning_rate") == [1e-3] * 5


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "latin-1", "utf-32"])
def test_encodings(tmp_path: Path, encoding: str) -> None:
    trace = one(tmp_path, ("step,loss,größe\n" + "".join(f"{s},{s / 4},7\n" for s in range(40))).encode(encoding))
    assert column(trace, "step")[:3] == [0, 1, 2] and column(trace, "größe")[0] == 7
    if encoding == "latin-1":
        assert said(trace, "latin-1")


def test_blank_and_nan_stay_different(tmp_path: Path) -> None:
    trace = one(tmp_path, "step,loss,x\n1,nan,1\n2,,2\n3,NaN,3\n4,-inf,null\n5,Infinity,5\n")
    values = column(trace, "loss")
    assert math.isnan(values[0]) and values[1] is None and math.isnan(values[2])
    assert values[3:] == [-math.inf, math.inf] and column(trace, "x") == [1, 2, 3, None, 5]


def test_ragged_rows_are_dropped_with_their_lines(tmp_path: Path) -> None:
    text = (
        "step,loss\n"
        + "".join(f"{s},{s}\n" for s in range(30))
        + "30,1,2,3\n31\n"
        + "".join(f"{s},1\n" for s in range(40, 50))
    )
    trace = one(tmp_path, text)
    assert len(trace.steps) == 40 and said(trace, "2 rows were dropped (lines 32, 33)", "not 2 fields")
    quoted = one(tmp_path, text.replace("step,", '"step",'))
    assert len(quoted.steps) == 40 and said(quoted, "2 rows were dropped (lines 32, 33)")


def test_a_cut_last_line_is_dropped_and_said(tmp_path: Path) -> None:
    trace = one(tmp_path, "step,loss,lr\n" + "".join(f"{s},2.5,0.1\n" for s in range(20)) + "20,2.")
    assert column(trace, "step") == list(range(20)) and said(trace, "last line", "cut off")
    lines = "".join(json.dumps({"step": s, "loss": 1.5}) + "\n" for s in range(9)) + '{"step": 9, "lo'
    trace = one(tmp_path, lines, "x.jsonl")
    assert column(trace, "step") == list(range(9)) and said(trace, "line 10", "cut off")


def test_numbers_as_text(tmp_path: Path) -> None:
    text = 'step,loss,acc,time,gpu\n"1,000","tensor(2.5)",12.5%,1:30,x\n'
    text += '"2,000","tensor(1.5, device=\'cuda:0\')",25%,2:30,x\n'
    text += '"12,000",oops,30%,3:00,x\n'
    trace = one(tmp_path, text)
    assert column(trace, "step") == [1000, 2000, 12000] and column(trace, "loss") == [2.5, 1.5, None]
    assert column(trace, "total_seconds") == [90, 150, 180] and trace.units["acc"] == "%"
    assert (
        trace.manifest.config["gpu"] == "x" and said(trace, "'loss'", "1 cells", "'oops'") and said(trace, "thousands")
    )


def test_decimal_commas(tmp_path: Path) -> None:
    trace = one(tmp_path, "step;loss;lr\n1;2,5;1,5e-3\n2;1.234,5;2e-3\n3;0,75;2e-3\n")
    assert column(trace, "loss") == [2.5, 1234.5, 0.75] and said(trace, "decimal comma")
    trace = one(tmp_path, "step;tokens\n1;1,024\n2;2,048\n3;13,072\n")
    assert column(trace, "tokens") == [1024, 2048, 13072] and said(trace, "thousands")


def test_hazardous_names_stay_text(tmp_path: Path) -> None:
    names = [
        "step",
        "=cmd|' /C calc'!A0",
        "<img src=x onerror=alert(1)>",
        "a,b",
        'quo"te',
        "",
        "loss",
        "loss",
        "y" * 5000,
    ]
    head = ",".join('"' + name.replace('"', '""') + '"' for name in names)
    trace = one(tmp_path, head + "\n" + "".join(f"{s},1,2,3,4,9.5,6,7,8\n" for s in range(3)))
    assert (
        column(trace, names[1]) == [1, 1, 1] and column(trace, names[2]) == [2, 2, 2] and column(trace, "a,b")[0] == 3
    )
    assert column(trace, 'quo"te')[0] == 4 and column(trace, "loss")[0] == 6 and column(trace, "loss (2)")[0] == 7
    assert said(trace, "Two columns are called 'loss'") and max(map(len, trace.steps.column_names)) <= 200


def test_layouts(tmp_path: Path) -> None:
    assert column(one(tmp_path, "sep=;\nstep;loss\n1;2\n2;3\n"), "loss") == [2, 3]
    assert column(one(tmp_path, "# made by x\n# y\nstep,loss\n1,2\n2,3\n"), "loss") == [2, 3]
    assert column(one(tmp_path, "# step loss\n1 2.5\n2 3.5\n"), "loss") == [2.5, 3.5]
    assert column(one(tmp_path, "step,loss\r\n1,2\r\n2,3\r\n"), "loss") == [2, 3]
    assert column(one(tmp_path, "step,loss\r1,2\r2,3\r"), "loss") == [2, 3]
    assert column(one(tmp_path, "1,2.5\n2,3.5\n3,4.5\n"), "column 2") == [2.5, 3.5, 4.5]
    assert column(one(tmp_path, ",step,loss\n0,10,2\n1,20,3\n2,30,3\n"), "step") == [10, 20, 30]
    assert column(one(tmp_path, "loss\n1.5\n2.5\n3.5\n4\n"), "loss") == [1.5, 2.5, 3.5, 4]
    assert column(one(tmp_path, 'step,note,loss\n1,"a\nb",2\n2,"c, d",3\n'), "loss") == [2, 3]
    broken = one(
        tmp_path, "step,note,loss\n" + "".join(f'{s},"a" {s},2\n' for s in range(9)) + '9,"open,3\n10,b,4\n11,c,5\n'
    )
    assert column(broken, "step")[-2:] == [10, 11]
    nul = one(tmp_path, b"step,loss\n1,2\n2,3\n" + bytes(4096))
    assert column(nul, "loss") == [2, 3] and said(nul, "4,096 zero bytes")


def test_what_is_no_table_is_not_claimed(tmp_path: Path) -> None:
    prose = "Dear all,\nthis is prose, with commas, and more.\nYours, me\n" * 5
    log = "".join(f"step: {s}, loss: {3 - s / 9}, lr: 0.1\n" for s in range(9))
    config = json.dumps({"lr": 0.1, "betas": [0.9, 0.95], "layers": [64, 128, 64]})
    for content in (prose, log, config, b"\x00\x01\x02" * 99, "", "a,b\n", "import os\nx = [1, 2]\ny = (3, 4)\n"):
        file = written(tmp_path, "x", content)
        assert READER.find([file]) == [], content


def test_a_table_whose_rows_do_not_fit_is_refused_with_the_reason(tmp_path: Path) -> None:
    file = written(tmp_path, "bad.csv", "step,loss,lr,x\n" + "1,2\n3,4\n5,6\n" * 30)
    with pytest.raises(LogError, match=r"bad.csv: no row has 4 fields .* most have 2") as error:
        read(READER, file)
    assert error.value.problem.remedy


def test_a_damaged_parquet_and_json_say_where(tmp_path: Path) -> None:
    pyarrow.parquet.write_table(pa.table({"step": [1, 2]}), tmp_path / "x")
    cut = (tmp_path / "x").read_bytes()[:-9]
    with pytest.raises(LogError, match="damaged Parquet"):
        read(READER, written(tmp_path, "x.parquet", cut))
    whole = json.dumps({"history": {"step": list(range(99)), "loss": [1.5] * 99}}, indent=1)
    with pytest.raises(LogError, match=r"line \d+, column \d+: is not valid JSON"):
        read(READER, written(tmp_path, "x.json", whole[:600]))
    assert READER.find([written(tmp_path, "deep.json", "[" * 200_000)]) == []


def test_parquet_types(tmp_path: Path) -> None:
    table = pa.table({
        "step": pa.array([1, 2, 3], pa.int32()), "loss": pa.array([1.5, float("nan"), None], pa.float32()),
        "val": pa.array([{"loss": 1.0}, {"loss": 2.0}, None]),
        "when": pa.array([1_700_000_000, 1_700_000_060, None], pa.timestamp("s")),
        "tags": pa.array([[1], [2], [3]]), "on": [True, False, None],
    })  # fmt: skip
    pyarrow.parquet.write_table(table, tmp_path / "t")
    (trace,) = read(READER, log_file(tmp_path / "t"))
    assert column(trace, "loss")[0] == 1.5 and column(trace, "loss")[2] is None and math.isnan(column(trace, "loss")[1])
    assert column(trace, "held_out_loss") == [1, 2, None] and column(trace, "total_seconds") == [0, 60, None]
    assert column(trace, "on") == [1, 0, None] and said(trace, "'tags' was left out")


def test_shapes_of_json(tmp_path: Path) -> None:
    def of(document: object) -> list[Trace]:
        return read(READER, written(tmp_path, "x.json", json.dumps(document)))

    records = [{"step": s, "m": {"loss": s / 2}, "t": [1]} for s in range(4)]
    for document in (
        records,
        {"history": records},
        {"a": {"b": records}},
        {str(s): {"m": {"loss": s / 2}} for s in range(4)},
    ):
        (trace,) = of(document)
        assert column(trace, "step") == [0, 1, 2, 3] and column(trace, "m/loss") == [0, 0.5, 1, 1.5]
    assert said(of(records)[0], "Left out as lists: 't'")
    (trace,) = of({"loss": [3, 2, 1], "val_loss": [4, 3, 2], "few": [1, 2]})
    assert column(trace, "held_out_loss") == [4, 3, 2] and said(trace, "'few'", "2 values")
    runs = of(
        {
            "runs": [
                {"name": "adam", "history": {"step": [1, 2], "loss": [2, 1]}},
                {"name": "soap", "history": {"step": [1, 2], "loss": [3, 2]}},
            ]
        }
    )
    assert [(trace.manifest.name, column(trace, "loss")) for trace in runs] == [("x adam", [2, 1]), ("x soap", [3, 2])]
    runs = of({"adam": records, "soap": records})
    assert [trace.manifest.name for trace in runs] == ["x adam", "x soap"]
    (trace,) = of([[1700000000.5, 10, 2.5], [1700000001.5, 20, 1.5]])
    assert column(trace, "step") == [10, 20] and column(trace, "value") == [2.5, 1.5]


def test_json_lines_with_nan_and_bad_lines(tmp_path: Path) -> None:
    text = (
        '{"step": 1, "loss": NaN}\n{"step": 2, "loss": "NaN"}\n{bad\n\n{"step": 3, "loss": -Infinity}\n'
        '{"step": 4}\n{"step": 5, "loss": 1' + "0" * 400 + "}\n"
    )
    trace = one(tmp_path, text, "x.txt")
    values = column(trace, "loss")
    assert (
        math.isnan(values[0])
        and math.isnan(values[1])
        and values[2] == -math.inf
        and values[3] is None
        and values[4] == math.inf
    )
    assert said(trace, "1 line was dropped as no JSON object: 3")


def test_long_tables_are_spread(tmp_path: Path) -> None:
    rows = [f"{s},{name},{value}" for s in range(5) for name, value in (("train/loss", s), ("val/loss", s + 0.5))]
    trace = one(tmp_path, "step,metric,value\n" + "\n".join(rows))
    assert column(trace, "loss") == [0, 1, 2, 3, 4] and column(trace, "held_out_loss") == [0.5, 1.5, 2.5, 3.5, 4.5]
    rows = [f"{s},{split},{s + (split == 'val')},0.1" for s in range(4) for split in ("train", "val")]
    trace = one(tmp_path, "step,split,loss,lr\n" + "\n".join(rows))
    assert column(trace, "loss") == [0, 1, 2, 3] and column(trace, "held_out_loss") == [1, 2, 3, 4]
    rows = [f"{layer},{s},{s * 10 + layer}" for layer in range(3) for s in range(6)]
    trace = one(tmp_path, "layer,step,grad_norm\n" + "\n".join(rows))
    assert column(trace, "grad_norm/layer=2") == [2, 12, 22, 32, 42, 52] and not trace.has("steps", "gradient_norm")


def test_a_rule_of_the_user_reaches_the_table(tmp_path: Path) -> None:
    trace = one(
        tmp_path, "t,q\n1,2\n2,3\n", columns={"t": ColumnRule(target="step"), "q": ColumnRule(target="loss", scale=2)}
    )
    assert column(trace, "step") == [1, 2] and column(trace, "loss") == [4, 6] and not source(trace, "q")["guessed"]


def test_the_same_file_has_the_same_identity(tmp_path: Path) -> None:
    first, again = one(tmp_path, "step,loss\n1,2\n2,3\n"), one(tmp_path, "step,loss\n1,2\n2,3\n")
    assert first.manifest.run_id == again.manifest.run_id != one(tmp_path, "step,loss\n1,2\n2,4\n").manifest.run_id
    assert first.manifest.format == "table" and first.manifest.files == ("log.csv",)


def test_secrets_in_a_configuration_are_masked(tmp_path: Path) -> None:
    document = json.dumps({"api_key": "abcdefghijk123", "history": {"step": [1, 2], "loss": [2, 1]}})
    assert one(tmp_path, document, "x.json").manifest.config["api_key"] != "abcdefghijk123"
    assert one(tmp_path, document, "x.json", show_secrets=True).manifest.config["api_key"] == "abcdefghijk123"


def test_five_megabytes_are_read_in_a_moment(tmp_path: Path) -> None:
    random = np.random.default_rng(0).random((60_000, 4))
    table = pa.table(
        {"step": np.arange(60_000), **{name: random[:, i] for i, name in enumerate(("loss", "val_loss", "lr", "x"))}}
    )
    pyarrow.csv.write_csv(table, tmp_path / "big.csv")
    file = log_file(tmp_path / "big.csv")
    start = time.process_time()
    (trace,) = read(READER, file)
    assert len(trace.steps) == 60_000 and trace.steps["loss"][59_999].as_py() == random[59_999, 0]
    assert time.process_time() - start < 1.5  # the budget is 0.3 s for 20 MB; line by line it would be several seconds


def test_real_summaries_with_curves() -> None:
    folder = examples("muon_llm_research", "01_muon_vs_adamw_baseline")
    traces = {trace.manifest.name: trace for trace in read(READER, *folder_files(folder))}
    assert len(traces) == 6
    muon = traces["muon_seed42_metrics"]
    assert column(muon, "step") == [0, 1000, 5000, 10000, 20000, 30000, 40000, 50000, 103760]
    assert column(muon, "held_out_loss")[-1] == 3.315414309501648 and muon.manifest.optimizer == "muon"
    # elapsed_times are minutes: 434.599 of them, and the summary tells 26,081 s.
    assert column(muon, "total_seconds")[-1] == pytest.approx(434.5994933 * 60, rel=1e-6)
    assert muon.units["val_accuracies"] == "fraction" and muon.manifest.config["experiment_config"]["batch_size"] == 8


def test_real_lines_of_every_layer() -> None:
    traces = read(READER, log_file(examples("muon_llm_research", "dry_run", "alignment.jsonl")))
    assert [len(trace.steps) for trace in traces] == [6, 6, 12, 12]
    assert column(traces[0], "alignment/layer=0/q")[0] == 0.09221427142620087
    assert column(traces[3], "alignment/layer=21/down")[-1] == 0.08463086187839508
    assert column(traces[3], "tokens")[-1] == 999424
    norms = read(READER, log_file(examples("muon_llm_research", "dry_run", "norms.jsonl")))
    assert column(norms[0], "grad_norm/layer=0/q")[0] == 0.001068115234375 and not norms[0].has(
        "steps", "gradient_norm"
    )


def test_a_cell_of_a_hundred_thousand_digits_does_not_hang(tmp_path: Path) -> None:
    text = "step,loss\n1,0.5\n" + "1" * 200_000 + "x,1\n2,0.25\n"
    (trace,) = read(READER, written(tmp_path, "long.csv", text))
    assert column(trace, "loss") == [0.5, 0.25]
