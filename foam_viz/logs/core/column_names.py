"""What the name of a column says: which quantity it may hold, in which unit. Values are looked at elsewhere."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

SECONDS: dict[str, float] = {
    **dict.fromkeys(("ns", "nanoseconds"), 1e-9),
    **dict.fromkeys(("us", "usec", "microseconds"), 1e-6),
    **dict.fromkeys(("ms", "msec", "msecs", "millis", "milliseconds"), 1e-3),
    **dict.fromkeys(("s", "sec", "secs", "second", "seconds"), 1.0),
    **dict.fromkeys(("m", "min", "mins", "minute", "minutes"), 60.0),
    **dict.fromkeys(("h", "hr", "hrs", "hour", "hours"), 3600.0),
    **dict.fromkeys(("d", "day", "days"), 86400.0),
}
"""How many seconds one of a unit is."""

STEP_NAMES: tuple[str, ...] = (
    "global_step", "trainer_global_step", "train_global_step", "globalstep", "global_steps", "step", "current_steps",
    "current_step", "cur_step", "optimizer_step", "optimizer_steps", "opt_step", "train_step", "training_step",
    "total_timesteps", "time_total_timesteps", "num_timesteps", "timesteps_total", "timesteps", "timestep",
    "num_env_steps_sampled_lifetime", "num_env_steps_sampled", "total_env_steps", "num_env_steps", "env_steps",
    "env_step", "environment_steps", "total_frames", "num_frames", "frames", "frame", "global_iteration", "global_iter",
    "iteration", "iter", "iterations", "iters", "it", "niter", "n_iter", "n_iters", "num_iter", "num_iters",
    "current_iteration", "current_iter", "cur_iter", "training_iteration", "train_iter", "time_iterations", "update",
    "updates", "n_updates", "num_updates", "train_n_updates", "num_steps", "n_steps", "steps", "train_steps",
    "training_steps", "iter_num", "iteration_num", "iter_idx", "step_num", "step_idx", "step_id", "actual_step",
    "actual_steps", "batch_idx", "batch_index", "batch_num", "batch_id", "batch", "batches", "minibatch", "mini_batch",
    "itr", "steps_done", "steps_completed", "completed_steps", "steps_taken", "num_batches", "n_batches", "total_steps",
    "total_iterations", "total_iters", "total_iter", "total_updates", "total_batches", "num_training_steps",
    "num_train_steps", "num_iterations", "max_steps", "max_iters", "max_iter", "max_iterations", "steps_planned",
)  # fmt: skip
"""Names of a step column, underscores for whatever separates words, the best first; the last may be planned totals."""

TRAIN = frozenset({"train", "training", "tr", "trn"})
HELD_OUT = frozenset(
    {"val", "vals", "valid", "validation", "eval", "evaluation", "dev", "heldout", "held", "out", "cv"}
)
TEST = frozenset({"test", "testing"})
_LOSS = frozenset({"loss", "losses", "objective", "ce", "nll", "xent", "crossentropy"})
_LOSS_PARTS = frozenset({"ce", "nll", "xent", "crossentropy"})
"""Beside the word loss a part of it, where another column holds the whole."""
_LOSS_FILLER = {
    **dict.fromkeys(
        ("step", "batch", "iter", "lm", "cross", "entropy", "online", "mean", "avg", "average", "total", "reduced"), 1
    ),
    **dict.fromkeys(("metrics", "metric"), 1),
    **dict.fromkeys(("full", "hard", "per", "epoch", "smooth", "smoothed", "running", "ema"), 2),
}
_LEARNER = frozenset({"info", "learner", "learners", "stats"})
_GRADIENT = frozenset({"grad", "grads", "gradient", "gradients"})
_NORM_FILLER = frozenset({"global", "total", "l2", "overall", "train", "full", "2", "0", "all", "raw"})
_TOKENS = frozenset({"tokens", "token"})
_TOKENS_FILLER = frozenset(
    {"seen", "num", "n", "total", "consumed", "processed", "train", "training", "trained",
     "input", "cumulative", "so", "far", "throughput"}
)  # fmt: skip
COUNTS: dict[str, float] = {
    "k": 1e3,
    "thousand": 1e3,
    "m": 1e6,
    "million": 1e6,
    "millions": 1e6,
    "b": 1e9,
    "billion": 1e9,
    "billions": 1e9,
}
_TIME = frozenset(
    {"time", "times", "elapsed", "runtime", "duration", "wall", "walltime", "clock", "wallclock", "timing", "uptime"}
)
_STAMP = frozenset({"timestamp", "timestamps", "datetime", "date", "created"})
_NOT_A_CLOCK = frozenset(
    {"step", "iter", "iteration", "batch", "avg", "mean", "data", "forward", "backward", "load", "per", "epoch", "sync",
     "remaining", "eta", "dt", "latency", "lr", "logging", "checkpoint", "interval", "this", "fwd", "bwd", "wait",
     "update", "timers", "timer", "learn", "sample", "sampling", "inference", "left"}
    | HELD_OUT | TEST
)  # fmt: skip
_TRAINING_CLOCK = frozenset({"compute", "optimizer", "submission", "active"} | TRAIN)
_WHOLE_CLOCK = frozenset({"total", "wall", "elapsed", "wallclock", "walltime", "end", "real"})
_ACCURACY = frozenset({"acc", "accuracy", "accuracies", "accs", "top1", "top5", "acc1", "acc5", "acc@1", "acc@5"})
_PERCENT = frozenset({"percent", "percentage", "pct", "%"})
_COUNTED = frozenset(
    {"tokens", "token", "tok", "toks", "samples", "sample", "examples", "example", "images", "image", "imgs", "img",
     "steps", "step", "it", "its", "iter", "iters", "iterations", "batches", "batch", "frames", "frame", "updates",
     "sequences", "seqs", "seq", "episodes", "words", "items", "rows", "epochs", "timesteps", "sentences", "graphs",
     "queries", "requests"}
)  # fmt: skip
_RATES = frozenset({"fps", "sps", "wps", "ups", "ips", "tps"})
_SECOND = r"(?:s|secs?|seconds?)"
_A_SECOND = re.compile(rf"([a-z]+)\s*/\s*{_SECOND}(?![a-z])")
_SECONDS_EACH = re.compile(r"(?:^|[^a-z])(ns|us|ms|s|secs?|seconds?|min|minutes?)\s*/\s*([a-z]+)")
_BRACKETS = re.compile(r"\s*[(\[]([^()\[\]]*)[)\]]\s*$")
_SEPARATORS = re.compile(r"[^a-z0-9%@]+")


@dataclass(frozen=True)
class Role:
    """What a name suggests.

    Attributes:
        kind: ``step``, ``loss``, ``held_out_loss``, ``learning_rate``, ``gradient_norm``, ``epoch``, ``tokens``,
            ``decompositions``, ``optimizer_seconds``, ``total_seconds``, ``timestamp``, ``duration``, ``accuracy``, or
            empty.
        penalty: How far the name is from the plainest one of its kind; the least wins where several would do.
        scale: To the unit of the trace; None where the name tells no unit.
        unit: Unit as the name has it, for quantities that the schema does not define.
    """

    kind: str = ""
    penalty: int = 0
    scale: float | None = None
    unit: str = ""


def words(name: str) -> list[str]:
    """Split a name: ``"trainLoss (ms)"`` gives ``["train", "loss"]``; brackets at the end hold the unit."""
    plain = re.sub(r"(?<=[a-z0-9])(?=[A-Z][a-z])", "_", _BRACKETS.sub("", name)[:300])
    return [word for word in _SEPARATORS.split(plain.lower()) if word]


def bracketed_unit(name: str) -> str:
    """Return what stands in brackets at the end of a name, ``"GB"`` of ``"memory (GB)"``; empty without.

    ``(B)`` and ``(M)`` right behind a name are boxes and masks of detectors, no bytes and metres; ``(2)`` counts
    columns of one name.
    """
    found = _BRACKETS.search(name[:300])
    if found is None or re.fullmatch(r"\s*(?:\([A-Z]\)|[(\[]\d+[)\]])", found.group()):
        return ""
    return found.group(1).strip()


@lru_cache(maxsize=16384)
def role_of(name: str) -> Role:
    """Say what a column may hold by its name alone."""
    parts = words(name)
    unit = bracketed_unit(name)
    if not parts:
        return Role(unit=unit)
    joined = "_".join(parts)
    if joined in STEP_NAMES:
        return Role("step", STEP_NAMES.index(joined))
    if joined in ("decompositions", "evd_calls", "eigendecompositions"):
        return Role("decompositions", int(joined != "decompositions"))
    rate = _rate(name[:300].lower(), parts, unit)
    if rate is not None:
        return rate
    for find in (_loss, _rates_and_counts, _time, _accuracy):
        found = find(parts, unit)
        if found is not None:
            return found
    return Role(unit="%" if parts[-1] in _PERCENT else unit)


def unit_of_rate(unit: str) -> str:
    """Return ``1/s`` for so many of anything a second (``it/s``, ``samples/sec``), else the unit as it is."""
    found = _A_SECOND.fullmatch(unit.strip().lower())
    return "1/s" if found is not None and found.group(1) in _COUNTED or unit.strip() in ("1/s", "Hz", "/s") else unit


def _rate(name: str, parts: list[str], unit: str) -> Role | None:
    """So many a second, and so many seconds each: neither is ever a clock."""
    if unit_of_rate(unit) == "1/s":
        return Role(unit="1/s")
    plain = _BRACKETS.sub("", name)
    a_second = _A_SECOND.search(plain)
    if a_second is not None and a_second.group(1) in _COUNTED or parts[-1] in _RATES:
        return Role(unit="1/s")
    each = _SECONDS_EACH.search(plain)
    if each is not None and each.group(2) in _COUNTED:
        return Role("duration", 0, SECONDS[each.group(1)])
    if "per" not in parts[1:-1]:
        return None
    position = parts.index("per", 1)
    before, after = parts[:position], parts[position + 1]
    if set(before) & _TIME or before[-1] in SECONDS and len(before[-1]) > 1 or after not in SECONDS:
        return None
    return Role(unit="1/s" if SECONDS[after] == 1 else f"1/{after}")


def _loss(parts: list[str], unit: str) -> Role | None:
    if parts == ["trl"]:
        return Role("loss")
    if parts == ["tel"]:
        return Role("held_out_loss")
    if "entropy" in parts and "cross" not in parts:
        return None  # a bonus for exploring, not what is learned
    if parts[-1] == "value" and len(parts) > 1:
        parts = parts[:-1]  # "lm loss value"; the other way round it is a critic's loss
    if "learner" in parts or "learners" in parts:  # RLlib keeps its losses deep inside
        kept = "_".join(parts).replace("default_policy", "").split("_")
        parts = [part for part in kept if part and part not in _LEARNER]
    rest = [part for part in parts if part not in _LOSS]
    named = len(rest) < len(parts) or {"cross", "entropy"} <= set(parts)
    filler = [part for part in rest if part in _LOSS_FILLER]
    if not named or unit:
        return None
    penalty = sum(_LOSS_FILLER[part] for part in filler if part != "total" or len(filler) > 1)
    penalty += 2 * bool({"loss", "losses"} & set(parts) and _LOSS_PARTS & set(parts))
    rest = [part for part in rest if part not in _LOSS_FILLER]
    if all(part in TRAIN for part in rest):
        return Role("loss", penalty)
    if all(part in HELD_OUT for part in rest):
        return Role("held_out_loss", penalty)
    return Role("held_out_loss", penalty + 10) if all(part in TEST for part in rest) else None


def _rates_and_counts(parts: list[str], unit: str) -> Role | None:
    joined = "_".join(part for part in parts if part not in TRAIN) or parts[0]
    if joined in ("lr", "learning_rate", "learning_rates", "learningrate", "lrs", "current_lr", "last_lr"):
        return Role("learning_rate", len(parts) - 1)
    if parts[0] == "lr" and 2 <= len(parts) <= 3 and parts[-1] not in ("time", "scale", "factor", "mult"):
        return Role("learning_rate", 4 + len(parts))  # a monitor's lr-AdamW, lr-AdamW/pg1
    rest = [part for part in parts if part not in _GRADIENT and part != "norm"]
    if joined in ("norm", "gnorm", "gradnorm", "g_norm"):
        return Role("gradient_norm", 1)
    if "norm" in parts and len(parts) - len(rest) >= 2 and all(part in _NORM_FILLER for part in rest):
        return Role("gradient_norm", len(rest))
    if joined in (
        "epoch",
        "epochs",
        "current_epoch",
        "epoch_num",
        "cur_epoch",
        "epoch_id",
        "epoch_idx",
        "epoch_number",
    ):
        return Role("epoch", len(parts) - 1)
    if _TOKENS & set(parts):
        rest = [part for part in parts if part not in _TOKENS and part not in _TOKENS_FILLER]
        factor = COUNTS.get(unit.lower()) if unit else COUNTS.get(rest[-1] if rest else "")
        if not rest or (len(rest) == 1 and factor is not None):
            return Role("tokens", len(parts) - 1, factor)
    return None


def _time(parts: list[str], unit: str) -> Role | None:
    present = set(parts)
    suffix = parts[-1] if parts[-1] in SECONDS and (len(parts) > 1 or len(parts[-1]) > 1) else ""
    said = unit.lower() if unit.lower() in SECONDS else suffix
    timed = bool(present & (_TIME | _STAMP)) or len(suffix) > 3 or suffix in ("ms", "sec") or parts == ["dt"]
    if "per" in present:
        before, after = parts[: parts.index("per")], parts[parts.index("per") + 1 :]
        if set(before) & _TIME or (before and before[-1] in SECONDS):
            scale = SECONDS.get(unit.lower()) or SECONDS.get(after[-1] if len(after) > 1 else "")
            return Role("duration", 0, scale or SECONDS.get(before[-1] if before else ""))
        return None
    if parts[-2:] == ["train", "wall"]:
        return Role("duration", 0, scale=1.0)  # fairseq: of one interval
    if not timed and unit.lower() not in ("ms", "sec", "seconds", "minutes", "hours") and parts != ["step", "avg"]:
        return None
    scale = SECONDS.get(said)
    if present & _STAMP:
        return Role("timestamp", 5, scale)
    if present & _NOT_A_CLOCK or parts == ["time", "step"]:
        return Role("duration", 0, scale)
    training = bool(present & _TRAINING_CLOCK) and not present & _WHOLE_CLOCK
    return Role("optimizer_seconds" if training else "total_seconds", len(parts) - 1, scale)


def _accuracy(parts: list[str], unit: str) -> Role | None:
    if not _ACCURACY & set(parts):
        return None
    percent = bool(_PERCENT & set(parts)) or unit in _PERCENT
    return Role("accuracy", unit="%" if percent else "")
