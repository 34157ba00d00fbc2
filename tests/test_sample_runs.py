"""The recorded runs that the app opens with: each can be read, is small, and holds what its README says."""

from __future__ import annotations

import re
import subprocess
import sys
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from foam_viz.recording import stream
from foam_viz.trace import Trace, summarize
from foam_viz.trace.disk import bundle

FOLDER = Path(__file__).resolve().parents[1] / "sample_runs"
README = (FOLDER / "README.md").read_text(encoding="utf-8")
COMMANDS = dict(re.findall(r"^\| `([\w.-]+\.zip)` \| `([^`]+)` \|$", README, re.MULTILINE))
STREAMED = "digits-autoencoder-foam-stream.zip"
RECORDED = sorted(set(COMMANDS) - {STREAMED})
MEGABYTE = 10**6


@cache
def read(name: str) -> Trace:
    return bundle.read(FOLDER / name)


def options(name: str) -> dict[str, str]:
    """What the README's command says: ``--key value``, and ``--set key=value``."""
    words = COMMANDS[name].split()
    pairs = {word[2:]: words[i + 1] for i, word in enumerate(words) if word.startswith("--") and word != "--set"}
    return pairs | dict(word.split("=") for word in words if "=" in word)


def test_the_readme_names_every_file():
    assert sorted(COMMANDS) == sorted(path.name for path in FOLDER.glob("*.zip"))


def test_the_readme_has_the_commands_that_make_them():
    done = subprocess.run([sys.executable, FOLDER / "make.py", "--print"], capture_output=True, text=True, check=True)
    lines = done.stdout.splitlines()
    assert len(lines) == len(COMMANDS)
    assert [line for line in lines if line not in README.splitlines()] == []


def test_files_are_small():
    sizes = {path.name: path.stat().st_size for path in FOLDER.glob("*.zip")}
    assert {name: size for name, size in sizes.items() if size >= 5 * MEGABYTE} == {}
    assert sum(sizes.values()) < 20 * MEGABYTE


@pytest.mark.parametrize("name", RECORDED)
def test_a_sample_is_what_its_command_makes(name: str):
    trace, said = read(name), options(name)
    manifest, steps = trace.manifest, int(said.pop("steps"))
    assert ("stream" in said) == bool(stream.read(FOLDER / name).samples)
    said.pop("stream", None)
    assert manifest.notes == ()
    assert manifest.name == name.removesuffix(".zip") == Path(said.pop("out")).stem
    assert manifest.optimizer == said.pop("optimizer")
    assert manifest.task == said.pop("task", "digits-autoencoder")
    settings = {
        **manifest.config["run_settings"],
        **manifest.config["task_settings"],
        **manifest.config["optimizer_settings"],
    }
    for key, text in said.items():
        value = settings[key]
        assert (str(value) if isinstance(value, str | None) else value) == (
            {"none": "None"}.get(text, text) if isinstance(value, str | None) else float(text)
        ), key
    if "diverged" in name:
        assert manifest.status == "diverged"
        assert 200 < manifest.diverged_step == summarize(trace)["last_step"] < 250
        assert summarize(trace)["diverged"]
        return
    assert manifest.status == "finished"
    assert trace.values("steps", "step").tolist() == list(range(1, steps + 1))
    loss = trace.values("steps", "loss")
    assert np.isfinite(loss).all()
    assert loss[-20:].mean() < loss[:20].mean() / 2
    assert (len(trace.checks) > 0) == (manifest.factors != ()) == (len(trace.snapshots) > 0)


def test_digits_under_eight_optimizers_start_alike():
    names = [name for name in RECORDED if re.fullmatch(r"digits-autoencoder-(?!drift|diverged).*\.zip", name)]
    assert len({read(name).manifest.optimizer for name in names}) == 8
    for name in names:
        decided = read(name).checks.to_pylist()
        first = [row["step"] for row in decided if row["decision"] == "first"]
        # SOAP takes its first basis from the first gradient; the update that renews it first is the tenth.
        expected = {1} if read(name).manifest.optimizer == "soap" else {10}
        assert not first or set(first) == expected, name


def test_foam_asks_for_few_decompositions():
    foam = summarize(read("digits-autoencoder-foam.zip"))["decompositions"]
    fixed = summarize(read("digits-autoencoder-shampoo.zip"))["decompositions"]
    stale = summarize(read("digits-autoencoder-shampoo-f200.zip"))["decompositions"]
    assert (fixed, stale) == (1080, 72)
    assert 150 < foam < 300


def test_the_drift_burst_shows():
    for name in [name for name in RECORDED if "-drift-" in name]:
        loss = read(name).values("steps", "loss")
        assert loss[402:412].mean() > 3 * loss[380:400].mean(), name


def test_the_gpt_has_five_optimizers_and_seeds():
    runs = [read(name).manifest.config for name in RECORDED if name.startswith("tiny-gpt")]
    seeds: dict[str, list[int]] = {}
    for config in runs:
        seeds.setdefault(config["optimizer"], []).append(config["run_settings"]["seed"])
    assert len(seeds) == 5
    assert sorted(map(sorted, seeds.values())) == [[0], [0], [0], [0, 1, 2], [0, 1, 2]]


def test_the_stream_holds_every_factor_at_every_check():
    trace, record = read(STREAMED), stream.read(FOLDER / STREAMED)
    assert record.notes == ()
    factors = [sample for sample in record.samples if sample.kind == "factor"]
    infos = {info.id: info for info in trace.manifest.factors}
    assert len(factors) == len(infos) * 40
    assert {sample.step for sample in factors} == set(range(10, 401, 10))
    assert all(sample.values.shape == (infos[sample.id].size,) * 2 for sample in factors)
    assert {infos[sample.id].size for sample in factors} >= {32}
    assert len(record.samples) - len(factors) == 40 * len({info.parameter for info in infos.values()})
    # The factor that was recorded is the one that the run looked at.
    for row in trace.snapshots.to_pylist():
        if row["step"] % 100 == 0:
            factor = next(
                f for f in factors if f.step == row["step"] and infos[f.id] is trace.manifest.factors[row["factor"]]
            )
            values = np.linalg.eigvalsh(factor.current().astype(float))[::-1]
            assert np.allclose(row["eigenvalues"], values.clip(0), rtol=1e-3, atol=1e-6 * values[0])
