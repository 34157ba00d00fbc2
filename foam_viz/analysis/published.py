"""Numbers that papers and benchmarks report, each with its source and how near to the source it was taken.

They belong to other tasks and other machines: a table, never a line on somebody's curve.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Quality = Literal["first-hand", "second-hand", "leaderboard"]

QUALITY_WORDS: dict[Quality, str] = {
    "first-hand": "quoted from the paper itself",
    "second-hand": "from public notes or a page about the paper, not the paper itself",
    "leaderboard": "from the benchmark's own leaderboard",
}


@dataclass(frozen=True)
class Published:
    """One reported result.

    Attributes:
        method: Optimizer or paper.
        task: What was trained, and how.
        result: What is reported, in the words and units of the source.
        source: Where it stands.
        quality: How near to the source it was taken.
        remark: What is not known about it; empty for nothing.
    """

    method: str
    task: str
    result: str
    source: str
    quality: Quality
    remark: str = ""


_PAGE = "benchmark aggregator page of the paper (arXiv 2606.02365)"
_UNKNOWN = "configuration not given there"

PUBLISHED: tuple[Published, ...] = (
    Published(
        "FOAM",
        "ImageNet-1K, ViT-S, 4x A6000",
        "eigendecompositions: left about 10 %, right about 5 % of stale Shampoo's; over 80 % fewer",
        "public reading notes of arXiv 2606.02365",
        "second-hand",
    ),
    Published("FOAM", "ImageNet-1K, ViT-S, 4x A6000", "top-1 accuracy 75.72", _PAGE, "second-hand", _UNKNOWN),
    Published(
        "FOAM", "LibriSpeech, Conformer", "word error rate 6.5, training loss 0.14", _PAGE, "second-hand", _UNKNOWN
    ),
    Published("FOAM", "WikiText-103, GPT-2", "training loss 2.29", _PAGE, "second-hand", _UNKNOWN),
    Published(
        "SOAP",
        "language models of 360m and 660m parameters, batches of 2m tokens, f = 10",
        "against AdamW at least 40 % fewer iterations and 35 % less time; against Shampoo about 20 % less of both",
        "arXiv 2409.11321",
        "first-hand",
    ),
    Published(
        "SOAP",
        "language model of 360m parameters, batches of 256k tokens, f = 80",
        "against AdamW at least 25 % fewer iterations and 15 % less time; against Shampoo about 10 %",
        "arXiv 2409.11321",
        "first-hand",
    ),
    Published(
        "Eigenvalue-corrected Shampoo, adaptive criterion",
        "FastMRI, OGBG, ImageNet ViT",
        "meets targets in fewer steps than grafted Shampoo (FastMRI: 2,468 against 4,301 steps)",
        "public notes of arXiv 2506.03595",
        "second-hand",
    ),
    Published(
        "Shampoo",
        "AlgoPerf v0.5, external tuning, score",
        "0.7784; next best 0.7077 (schedule-free AdamW)",
        "MLCommons leaderboard",
        "leaderboard",
    ),
    Published(
        "Shampoo",
        "AlgoPerf v0.6, external tuning, score",
        "0.6244; next best 0.4590 (NadamW)",
        "MLCommons leaderboard",
        "leaderboard",
    ),
)
