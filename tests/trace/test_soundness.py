"""What is out of range in a bundle is left out aloud; what is right stays as it is."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from foam_viz.trace import TABLES, BundleError
from foam_viz.trace.disk import bundle
from foam_viz.trace.soundness import sound
from foam_viz.trace.visible import visible
from tests.trace import malformed


def read(tmp_path: Path, table: str, column: str, values: dict[int, object]):
    tables = malformed.tables()
    tables[table] = malformed.replaced(tables[table], column, values)
    return bundle.read(malformed.write(tmp_path / "run", malformed.whole().manifest, tables))


def test_a_valid_run_comes_through_unchanged():
    whole = malformed.whole()
    checked = sound(whole)
    assert checked.manifest == whole.manifest
    assert all(checked.table(name).equals(whole.table(name)) for name in TABLES)


@pytest.mark.parametrize(
    ("table", "column", "value", "words"),
    [
        (
            "checks",
            "factor",
            999,
            "checks row 2, column factor: 999 is not 0 to 17, the factors of the manifest; the row",
        ),
        ("snapshots", "factor", -1, "snapshots row 2, column factor: -1 is not 0 to 17"),
        (
            "steps",
            "step",
            2**53,
            "column step: 9007199254740992 is not 0 to 9,007,199,254,740,991; the row is left out",
        ),
        ("checks", "interval_start", 90, "column interval_start: 90 is not a step up to the row's own; the row"),
        ("pictures", "shape", [10, 64], "column shape: [10, 64] is not (10, 8, 8) for reconstruction of a picture of"),
        ("pictures", "shape", [2**31 - 1] * 3, "is not a list of lengths from 1 to 4,096; the row is left out"),
        ("pictures", "shape", [10, 8, 9], "[10, 8, 9] is not the shape of as many values as the row has"),
    ],
)
def test_a_row_about_nothing_is_left_out(tmp_path, table, column, value, words):
    trace = read(tmp_path, table, column, {1: value})
    assert trace.rows(table) == malformed.whole().rows(table) - 1
    assert [words in note for note in trace.manifest.notes] == [True], trace.manifest.notes


@pytest.mark.parametrize(
    ("table", "column", "value", "words"),
    [
        ("checks", "proxy", 1e308, "checks row 2, column proxy: 1e+308 is not -1e100 to 1e100; the value is left out"),
        ("checks", "epsilon", -1.0, "column epsilon: -1.0 is not 0 to 1e100; the value"),
        ("checks", "decompositions", -1, "column decompositions: -1 is not 0 to 2,147,483,647; the value"),
        ("checks", "last_decomposition_step", 99, "column last_decomposition_step: 99 is not a step up to the row's"),
        ("snapshots", "eigenvalues", [1.0] * 500, "eigenvalues: a list of 500 numbers is not a list of 1 to as many"),
        ("snapshots", "basis_eigenvalues", [1.0], "basis_eigenvalues: [1.0] is not as long as eigenvalues of the same"),
        (
            "snapshots",
            "overlap",
            b"x",
            "column overlap: 1 bytes is not overlap_size times overlap_size bytes; the value",
        ),
        ("snapshots", "overlap_size", 46341, "column overlap_size: 46341 is not 1 to 4,096; the value"),
    ],
)
def test_a_value_out_of_range_costs_itself_alone(tmp_path, table, column, value, words):
    trace = read(tmp_path, table, column, {1: value})
    assert trace.rows(table) == malformed.whole().rows(table)
    assert trace.table(table)[column][1].as_py() is None
    assert any(words in note for note in trace.manifest.notes), trace.manifest.notes


def test_many_of_a_kind_are_one_note(tmp_path):
    trace = read(tmp_path, "checks", "factor", dict.fromkeys(range(40), 999))
    (note,) = trace.manifest.notes
    assert note.endswith("the row is left out, and 39 more like it")


def test_what_a_diverged_run_has_is_kept(tmp_path):
    trace = read(tmp_path, "checks", "proxy", {0: math.inf, 1: math.nan})
    assert repr(trace.checks["proxy"].to_pylist()[:2]) == "[inf, nan]" and not trace.manifest.notes
    assert trace.values("steps", "loss")[0] > 0


@pytest.mark.parametrize(("word", "kept"), [("guess", True), ("\x1b[2J", False), ("x" * 5000, False), ("", False)])
def test_a_further_decision_is_a_word(word, kept):
    whole = malformed.whole()
    checks = whole.checks
    place = checks.schema.get_field_index("decision")
    words = checks["decision"].to_pylist()
    words[3] = word
    trace = sound(type(whole)(whole.manifest, checks=checks.set_column(place, "decision", [words])))
    assert trace.values("checks", "decision")[3] == (word if kept else None)
    assert trace.values("checks", "decision")[4] == words[4]
    assert kept != any("checks row 4, column decision: " in note for note in trace.manifest.notes)


@pytest.mark.parametrize(
    ("what", "words"),
    [
        ("manifest with too deep", "is nested more than 100 levels deep"),
        ("manifest with too long a number", "a whole number of 5,000 digits; at most 300 are read"),
        ("factors {'size': -1}", "factors[0].size: -1 is not 1 to 2,147,483,647"),
        ("factors {'block': 1099511627776}", "factors[0].block: 1,099,511,627,776 is not 0 to 2,147,483,647"),
        ("manifest {'diverged_step': -3}", "diverged_step: -3 is not 0 to 9,007,199,254,740,991"),
    ],
)
def test_a_manifest_that_cannot_be_is_refused_with_the_range(tmp_path, what, words):
    with pytest.raises(BundleError) as caught:
        bundle.read(malformed.MALFORMED[what](tmp_path / "run"))
    assert words in str(caught.value)


def test_texts_are_cut_and_can_be_shown(tmp_path):
    manifest = malformed.whole().manifest.with_(
        name="\u202eabc\x1b[2J\n" + "n" * 1000, config={"a\x07": ["\ud800"]}, notes=("\u2066x",)
    )
    trace = sound(type(malformed.whole())(manifest))
    assert trace.manifest.name.startswith(r"\u202eabc\x1b[2J nnn") and len(trace.manifest.name) == 300
    assert trace.manifest.config == {r"a\x07": ["?"]}
    assert trace.manifest.notes == (r"\u2066x",)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain", "plain"),
        ("größe 名前 نام 👩‍👩‍👧", "größe 名前 نام 👩‍👩‍👧"),
        ("a\u00a0b\u202fc", "a\u00a0b\u202fc"),
        ("\x1b]0;title\x07", r"\x1b]0;title\x07"),
        ("\u202egpj.exe", r"\u202egpj.exe"),
        ("\u200bx\ufeff\u2028", r"\u200bx\ufeff\u2028"),
        ("\x9b31m", r"\x9b31m"),
        ("\ud800", "?"),
        ("a\rb", r"a\rb"),
        ("a\nb\tc", "a b c"),
    ],
)
def test_only_what_shows_nothing_is_written_out(text, shown):
    assert visible(text) == shown
    assert visible(shown) == shown
    shown.encode()
