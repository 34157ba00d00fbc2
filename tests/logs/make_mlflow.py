"""A small MLflow file store."""

from __future__ import annotations

from pathlib import Path

EXPERIMENT = "406526481736028863"


def _meta(run: str, stage: str = "active") -> str:
    return (
        f"artifact_uri: mlruns/{EXPERIMENT}/{run}/artifacts\nend_time: 1795301835433\nexperiment_id: '{EXPERIMENT}'\n"
        f"lifecycle_stage: {stage}\nrun_id: {run}\nrun_name: {run}\nstart_time: 1795301835392\nstatus: 3\ntags: []\n"
        "user_id: root\n"
    )


def make_run(store: Path, run: str, metrics: dict[str, str], stage: str = "active", **parameters: str) -> Path:
    folder = store / EXPERIMENT / run
    for key, text in metrics.items():
        (folder / "metrics" / key).parent.mkdir(parents=True, exist_ok=True)
        (folder / "metrics" / key).write_text(text)
    for part, values in (("params", parameters), ("tags", {"mlflow.runName": f"name of {run}"})):
        (folder / part).mkdir(parents=True, exist_ok=True)
        for key, text in values.items():
            (folder / part / key).write_text(text)
    (folder / "meta.yaml").write_text(_meta(run, stage))
    return folder


def make_mlflow(folder: Path) -> Path:
    """Write two runs, one of them deleted, in one experiment, and the empty one that every store has."""
    store = folder / "mlruns"
    start = 1795301835000
    loss = "".join(f"{start + 100 * i} {2 - i / 10} {i}\n" for i in range(1, 11)) + f"{start + 1100} nan 11\n"
    # Step 10 was logged twice, a later MLflow adds a field, and accuracy comes every fifth step.
    loss = loss.replace(f"{start + 1100}", f"{start + 1050} 0.5 10\n{start + 1100}")
    accuracy = "".join(f"{start + 100 * i + 5} {i} {i} some-run\n" for i in (5, 10))
    make_run(
        store, "aaa", {"train/loss": loss, "val_acc": accuracy}, lr="0.01", optimizer="foam", hub_token="hf_secret1"
    )
    make_run(store, "bbb", {"loss": f"{start} 1.0 0\n"}, stage="deleted")
    for experiment, name in ((EXPERIMENT, "digits"), ("0", "Default")):
        (store / experiment).mkdir(exist_ok=True)
        (store / experiment / "meta.yaml").write_text(
            f"artifact_location: mlruns/{experiment}\nexperiment_id: '{experiment}'\n"
            f"lifecycle_stage: active\nname: {name}\n"
        )
    return store
