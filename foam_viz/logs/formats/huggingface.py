"""Hugging Face's ``trainer_state.json``: rows of training, of evaluation, and a last one that sums up."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace

from foam_viz.logs.core.damage import parsed_json
from foam_viz.logs.core.naming import run_id, run_name
from foam_viz.logs.core.reader import Group, LogFile, Options, Reader
from foam_viz.logs.formats.run_tables import trace_of_runs
from foam_viz.logs.formats.table import traces_of_tables
from foam_viz.logs.parsing.json_tables import table_of_records
from foam_viz.logs.parsing.text_lines import counted, decode, looks_like_text
from foam_viz.trace import Manifest, Trace

_CHECKPOINT = re.compile(r"checkpoint-\d+")
_SUMMARIES = ("all_results.json", "train_results.json", "eval_results.json", "test_results.json")
_PASSED_ON = (
    "max_steps", "num_train_epochs", "train_batch_size", "logging_steps", "eval_steps", "save_steps", "total_flos",
    "num_input_tokens_seen", "best_metric", "best_global_step", "best_model_checkpoint", "trial_name", "trial_params",
)  # fmt: skip


def find(files: Sequence[LogFile]) -> list[Group]:
    """Claim trainer states; those in ``checkpoint-N`` folders of one folder are one run at several moments."""
    runs: dict[str, list[LogFile]] = {}
    for file in files:
        if _is_state(file):
            parent, _, last = file.folder.rpartition("/")
            same = f"{parent}\0{file.base}" if _CHECKPOINT.fullmatch(last) else f"{file.folder}\0{file.base}"
            runs.setdefault(same, []).append(file)
    summaries: dict[str, list[LogFile]] = {}
    for file in files:
        if file.base in _SUMMARIES and looks_like_text(file.head) and file.head.lstrip().startswith(b"{"):
            summaries.setdefault(file.folder, []).append(file)
    for members in runs.values():
        parent, _, last = members[0].folder.rpartition("/")
        members += summaries.pop(parent if _CHECKPOINT.fullmatch(last) else members[0].folder, [])
    return [*(tuple(group) for group in runs.values()), *(tuple(alone) for alone in summaries.values())]


def _is_state(file: LogFile) -> bool:
    if not looks_like_text(file.head) or not decode(file.head)[0].lstrip().startswith("{"):
        return False
    if b'"log_history"' in file.head:
        return True
    # Newer versions write keys that take more than the head (stateful_callbacks, best checkpoints) before the log.
    return file.base == "trainer_state.json"


def read(group: Group, options: Options) -> list[Trace]:
    """Read one run: its latest state, and any other that does not hold the beginning of the same log.

    Raises:
        LogError: It is no JSON, or no row of the log has a step.
    """
    summaries = [file for file in group if file.base in _SUMMARIES]
    group = tuple(file for file in group if file not in summaries)
    if not group:
        return [_summary_alone(summaries, options)]
    states = sorted(((_state(file), file) for file in group), key=lambda pair: len(_history(pair[0])), reverse=True)
    longest = _history(states[0][0])
    traces: list[Trace] = []
    for position, (state, file) in enumerate(states):
        history = _history(state)
        if position and _begins_with(longest, history):
            continue
        traces += _one(state, file, options)
    left = len(group) - len({trace.manifest.files for trace in traces})
    if left:
        said = (
            f"{counted(left, 'earlier checkpoint')} in the same folder hold the beginning of this log and nothing more."
        )
        traces[0].manifest = traces[0].manifest.with_(files=tuple(file.name for file in group)).with_notes([said])
    if summaries and traces:
        told = {file.base.removesuffix(".json"): _numbers(file) for file in summaries}
        manifest = traces[0].manifest
        traces[0].manifest = manifest.with_(
            config={**manifest.config, **told}, files=(*manifest.files, *(file.name for file in summaries))
        ).with_notes([f"{', '.join(file.base for file in summaries)}: end values, kept in the configuration."])
    return traces


def _numbers(file: LogFile) -> dict[str, object]:
    try:
        document = json.loads(decode(file.path.read_bytes())[0])
    except (ValueError, RecursionError):
        return {}
    return document if isinstance(document, dict) else {}


def _summary_alone(files: Sequence[LogFile], options: Options) -> Trace:
    """End values without the log that they come from: a table of one run."""
    told = {key: value for file in files for key, value in _numbers(file).items() if isinstance(value, int | float)}
    if not told:
        raise files[0].problem("", "holds no end values", "give trainer_state.json, which holds the curve")
    folder = files[0].folder.rpartition("/")[2]
    manifest = Manifest(
        run_id=run_id(files), name=folder or run_name(files[0]), format=READER.name, files=tuple(f.name for f in files)
    ).with_notes(["These are end values; trainer_state.json of the same run holds its curve."])
    return trace_of_runs(table_of_records([told], ""), "", manifest)


def _state(file: LogFile) -> Mapping[str, object]:
    text, _ = decode(file.path.read_bytes())
    state = parsed_json(file, text, "it may be cut off; take an earlier checkpoint's")
    if not isinstance(state, dict) or not isinstance(state.get("log_history"), list):
        raise file.problem("", "has no list log_history", "give the trainer_state.json of a run that logged something")
    return state


def _history(state: Mapping[str, object]) -> list[dict[str, object]]:
    history = state["log_history"]
    return [row for row in history if isinstance(row, dict)] if isinstance(history, list) else []


def _begins_with(longest: list[dict[str, object]], shorter: list[dict[str, object]]) -> bool:
    # Compared as text: NaN is not equal to itself.
    return all(json.dumps(a) == json.dumps(b) for a, b in zip(longest, shorter, strict=False))


def _one(state: Mapping[str, object], file: LogFile, options: Options) -> list[Trace]:
    history = _history(state)
    # The last row of a finished run: its train_loss is a mean over the run, not the loss of a step.
    summaries = [row for row in history if "train_runtime" in row]
    rows = [row for row in history if "train_runtime" not in row]
    if not rows:
        raise file.problem("log_history", "holds no row of training or evaluation", "train with logging_steps above 0")
    table = table_of_records(rows, "")
    # The trainer measures these in seconds.
    table.series = [replace(one, unit="s") if one.name.endswith("_runtime") else one for one in table.series]
    table.config = {key: state[key] for key in _PASSED_ON if state.get(key) is not None}
    for ours, theirs in (("steps_planned", "max_steps"), ("batch_size", "train_batch_size")):
        if isinstance(state.get(theirs), int) and state[theirs]:
            table.config[ours] = state[theirs]
    if "batch_size" in table.config:
        table.notes.append("The batch size is that of one device and one pass, as the trainer keeps it.")
    if summaries:
        table.config["summary"] = dict(summaries[-1])
        table.notes.append(
            "The last row of the log sums the run up (mean loss, run time); it is kept in the configuration."
        )
    strange = len(state["log_history"]) - len(history)  # type: ignore[arg-type]
    if strange:
        table.notes.append(f"{counted(strange, 'entry')} of log_history dropped: no object.")
    last = file.folder.rpartition("/")[2]
    name = file.folder.rpartition("/")[0].rpartition("/")[2] if _CHECKPOINT.fullmatch(last) else ""
    traces = traces_of_tables([table], (file,), READER.name, options, name=name)
    planned, reached = state.get("max_steps"), state.get("global_step")
    if not summaries and isinstance(planned, int) and isinstance(reached, int) and 0 <= reached < planned:
        for trace in traces:
            note = f"The state was saved at step {reached:,} of {planned:,} planned; what came after is not in it."
            ended = trace.manifest.status if trace.manifest.status == "diverged" else "interrupted"
            trace.manifest = trace.manifest.with_(status=ended).with_notes([note])
    return traces


READER = Reader(
    name="hf-trainer",
    label="Hugging Face trainer_state.json",
    summary="The log of a Hugging Face Trainer: training and evaluation by step, the final summary as configuration.",
    find=find,
    read=read,
)
