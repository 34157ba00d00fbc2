"""Records the sample runs: ``python sample_runs/make.py [NAME ...]``, all of them or those named.

Each is recorded by the project's command line, so this is a list of commands and nothing else; ``--print`` prints them
as the table of ``sample_runs/README.md``. The one run of a
training loop of its own is recorded by ``sample_runs/stream.py``, which this calls too.
"""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

FOLDER = Path(__file__).resolve().parent
STREAMED = "digits-autoencoder-foam-stream"


@dataclass(frozen=True)
class Sample:
    """One recorded run.

    Attributes:
        name: File name without ``.zip``: task, optimizer, what else differs, seed where there are several.
        arguments: What follows ``python -m foam_viz train``, without ``--out``.
        diverges: Whether it is there to show a run that fails.
    """

    name: str
    arguments: str
    diverges: bool = False

    @property
    def file(self) -> str:
        return f"{self.name}.zip"

    @property
    def command(self) -> str:
        """The command as a person would type it at the top of the repository."""
        return f"python -m foam_viz train {self.arguments} --out sample_runs/{self.file}"


def _digits(name: str, arguments: str, steps: int = 600, diverges: bool = False) -> Sample:
    return Sample(f"digits-autoencoder-{name}", f"--optimizer {arguments} --steps {steps} --seed 0", diverges)


def _drift(name: str, arguments: str) -> Sample:
    return _digits(f"drift-{name}", f"{arguments} --set shift_at=400", steps=800)


def _gpt(name: str, arguments: str, seed: int = 0, several: bool = False) -> Sample:
    settings = "--set width=32 --set schedule=warm-up-linear-decay --steps 3000"
    suffix = f"-seed{seed}" if several else ""
    return Sample(f"tiny-gpt-{name}{suffix}", f"--task tiny-gpt --optimizer {arguments} {settings} --seed {seed}")


SAMPLES: tuple[Sample, ...] = (
    _digits("adamw", "adamw"),
    _digits("muon", "muon"),
    _digits("soap", "soap"),
    _digits("shampoo", "shampoo"),
    _digits("shampoo-f200", "shampoo --set period=200"),
    _digits("shampoo-eigenvalue-corrected", "shampoo-eigenvalue-corrected"),
    _digits("shampoo-staggered", "shampoo-staggered"),
    _digits("dr-shampoo", "dr-shampoo"),
    _digits("foam", "foam"),
    _digits("foam-factors", "foam --set width=32 --stream"),
    _drift("shampoo", "shampoo"),
    _drift("shampoo-f50", "shampoo --set period=50"),
    _drift("foam", "foam"),
    _digits("diverged", "shampoo --set period=50 --set start=200 --set grafting=none --set lr=1e-3", diverges=True),
    *(_gpt("shampoo", "shampoo", seed, several=True) for seed in range(3)),
    *(_gpt("foam", "foam", seed, several=True) for seed in range(3)),
    _gpt("adamw", "adamw --set lr=3e-3"),
    _gpt("soap", "soap"),
    _gpt("dr-shampoo", "dr-shampoo"),
)


def record(sample: Sample) -> None:
    """Records one sample over the file that is there.

    Raises:
        RuntimeError: The command failed, or diverged where it should not, or the other way round.
    """
    target = FOLDER / sample.file
    target.unlink(missing_ok=True)
    words = ["-m", "foam_viz", "train", *sample.arguments.split(), "--out", str(target), "--quiet"]
    done = subprocess.run([sys.executable, *words], cwd=FOLDER.parent, check=False)
    if done.returncode != int(sample.diverges):
        raise RuntimeError(f"{sample.command}: exit status {done.returncode}, expected {int(sample.diverges)}")


def main() -> None:
    if "--print" in sys.argv:
        for sample in SAMPLES:
            print(f"| `{sample.file}` | `{sample.command}` |")
        print(f"| `{STREAMED}.zip` | `python sample_runs/stream.py` |")
        return
    chosen = [sample for sample in SAMPLES if not sys.argv[1:] or sample.name in sys.argv[1:]]
    for sample in chosen:
        record(sample)
    if not sys.argv[1:] or STREAMED in sys.argv[1:]:
        subprocess.run([sys.executable, str(FOLDER / "stream.py")], check=True)


if __name__ == "__main__":
    main()
