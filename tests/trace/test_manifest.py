from __future__ import annotations

import json

import numpy as np
import pytest

from foam_viz.trace import FactorInfo, Manifest, ManifestError
from foam_viz.trace.manifest import dumps, from_json, loads, to_json


def test_round_trip(manifest: Manifest):
    full = manifest.with_(
        status="diverged", diverged_step=7, notes=("a",), files=("b.csv",), hardware={"cores": 2}, shared_machine=True
    )
    assert loads(dumps(full)) == full
    assert loads(dumps(full)).factors[1].side == "right"
    assert manifest.factors[2].side is None


def test_json_is_strict(manifest: Manifest):
    odd = manifest.with_(config={"tau": float("nan"), "limit": float("inf"), "lr": np.float32(0.5), "n": np.arange(2)})
    document = json.loads(dumps(odd), parse_constant=lambda word: pytest.fail(word))
    assert document["config"] == {"tau": None, "limit": None, "lr": 0.5, "n": [0, 1]}
    with pytest.raises(ManifestError, match="NaN is not strict JSON"):
        loads(dumps(odd).replace("null", "NaN", 1))


def test_keys_of_a_later_minor_version_survive(manifest: Manifest):
    document = to_json(manifest)
    document["colour"] = {"hue": 3}
    document["factors"][0]["kind"] = "attention"
    again = to_json(from_json(document))
    assert again["colour"] == {"hue": 3}
    assert again["factors"][0]["kind"] == "attention"


def test_a_later_version_is_refused_with_the_remedy(manifest: Manifest):
    with pytest.raises(ManifestError, match="schema_version: 2 is later than 1.*update the program"):
        from_json({**to_json(manifest), "schema_version": 2})


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"schema_version": None}, "schema_version: must be a whole number"),
        ({"schema_version": True}, "schema_version: must be a whole number"),
        ({"run_id": 7}, "run_id: has the wrong type: a number"),
        ({"status": "lost"}, "status: 'lost' is none of running"),
        ({"diverged_step": 1.5}, "diverged_step: has the wrong type"),
        ({"notes": "text"}, "notes: has the wrong type: text"),
        ({"notes": [1]}, "notes: has the wrong type: a list"),
        ({"config": []}, "config: has the wrong type: a list"),
        ({"factors": {}}, "factors: must be a list"),
        ({"factors": [{"id": "0"}]}, r"factors\[0\].parameter: is missing"),
        ({"factors": [3]}, r"factors\[0\]: must be an object"),
    ],
)
def test_a_bad_value_is_named(manifest: Manifest, changes, words):
    with pytest.raises(ManifestError, match=words):
        from_json({**to_json(manifest), **changes})


def test_a_document_that_is_no_manifest_is_refused():
    for text in (b"", b"[]", b"{", b"\xff\xfe", b'{"schema_version": 1}', b"[" * 100_000):
        with pytest.raises(ManifestError):
            loads(text)


def test_notes_are_added_once(manifest: Manifest):
    assert manifest.with_notes(["a", "b"]).with_notes(["b", "c"]).notes == ("a", "b", "c")
    with pytest.raises(KeyError, match="no factor '9'"):
        manifest.factor_index("9")
    assert isinstance(manifest.factors[manifest.factor_index("0.block_0.1")], FactorInfo)
    assert manifest.factor_index("0.block_0.1") == 1
