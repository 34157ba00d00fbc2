from __future__ import annotations

from foam_viz.analysis.published import PUBLISHED, QUALITY_WORDS


def test_every_row_names_its_source_and_its_quality() -> None:
    assert len(PUBLISHED) == 9 and len(set(PUBLISHED)) == 9
    for row in PUBLISHED:
        assert row.method and row.task and row.result and row.source and row.quality in QUALITY_WORDS
        assert ("arXiv" in row.source) or ("MLCommons" in row.source)
        assert (row.quality == "leaderboard") == ("leaderboard" in row.source)
        assert (row.quality == "second-hand") == ("notes" in row.source or "page" in row.source)


def test_the_numbers_are_those_of_the_sources() -> None:
    said = {row.result for row in PUBLISHED if row.method in ("Shampoo", "FOAM")}
    assert said == {
        "eigendecompositions: left about 10 %, right about 5 % of stale Shampoo's; over 80 % fewer",
        "top-1 accuracy 75.72",
        "word error rate 6.5, training loss 0.14",
        "training loss 2.29",
        "0.7784; next best 0.7077 (schedule-free AdamW)",
        "0.6244; next best 0.4590 (NadamW)",
    }


def test_unsupported_claims_are_not_repeated() -> None:
    assert not any("CIFAR" in row.task + row.result for row in PUBLISHED)
