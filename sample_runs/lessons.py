"""Records what the lessons play: ``python sample_runs/lessons.py [ID ...]``, all lessons or those named.

Every lane of every stage with seed 0, as the live lab would train it; one file a lane, ``lessons/ID-STAGE-LANE.zip``.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / "sample_runs" / "lessons"
sys.path.insert(0, str(ROOT))

from foam_viz.lessons.catalogue import BY_ID, LESSONS  # noqa: E402 (found only now)
from foam_viz.lessons.lesson import Lesson, Stage  # noqa: E402


def command(stage: Stage, lane: int, target: Path) -> list[str]:
    """Return the words after ``python -m foam_viz`` that record a lane."""
    experiment = stage.experiment()
    chosen = experiment.lanes[lane]
    settings = {**experiment.task_settings, **experiment.run_settings, **chosen.settings}
    words = ["train", "--task", experiment.task, "--optimizer", chosen.optimizer]
    for name, value in settings.items():
        if name not in ("seed", "steps"):
            text = "none" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
            words += ["--set", f"{name}={text}"]
    seed, steps = experiment.run_settings["seed"], experiment.run_settings["steps"]
    return [*words, "--seed", str(seed), "--steps", str(steps), "--out", str(target), "--quiet"]


def record(lesson: Lesson) -> None:
    """Record a lesson over the files that are there.

    Raises:
        RuntimeError: A command failed; that a run diverged is no failure.
    """
    for place, stage in enumerate(lesson.stages):
        for lane in range(len(stage.labels())):
            target = FOLDER / f"{lesson.id}-{place}-{lane}.zip"
            target.unlink(missing_ok=True)
            words = [sys.executable, "-m", "foam_viz", *command(stage, lane, target)]
            done = subprocess.run(words, cwd=ROOT, check=False)
            if done.returncode not in (0, 1) or not target.exists():
                raise RuntimeError(f"{' '.join(words)}: exit status {done.returncode}")


def main() -> None:
    FOLDER.mkdir(exist_ok=True)
    for lesson in [BY_ID[name] for name in sys.argv[1:]] or LESSONS:
        record(lesson)


if __name__ == "__main__":
    main()
