from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from lens_ray.errors import UserError
from lens_ray.stats import pool as pools
from lens_ray.stats.pool import Pool, load_pool, make_pool, pool_for, save_pool
from lens_ray.stats.scores import ability_scores
from tests.stats.tables import row, table

SCORES = {
    "m1": {"ocr": {"x": 0.25, "y": 0.5}},
    "m2": {"ocr": {"x": 0.75, "y": 0.125}},
}


@pytest.fixture
def builtin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(pools, "BUILTIN", tmp_path / "pools")
    return tmp_path / "pools"


def test_a_pool_survives_its_file(tmp_path: Path) -> None:
    pool = make_pool("mini-quick", 2, "abc", SCORES)
    path = save_pool(pool, tmp_path / "deep" / "er")
    assert path.name == "mini-quick-v2.json"
    again = load_pool(path)
    assert (again.label, again.digest, again.models) == ("mini-quick@2", pool.digest, ("m1", "m2"))
    assert again.scores == pool.scores
    assert again.corrected("ocr", "x") == (0.25, 0.75)
    assert again.corrected("ocr", "z") is None


def test_a_pool_holds_copies_that_cannot_be_changed() -> None:
    source = {"m1": {"ocr": {"x": 0.25}}}
    pool = make_pool("p", 1, "abc", source)
    source["m1"]["ocr"]["x"] = 0.9
    assert pool.corrected("ocr", "x") == (0.25,)
    scores: Any = pool.scores
    with pytest.raises(TypeError):
        scores["m1"]["ocr"]["x"] = 0.9
    with pytest.raises(AttributeError):
        pool.version = 2  # type: ignore[misc]


def test_a_version_is_written_once(tmp_path: Path) -> None:
    pool = make_pool("p", 1, "abc", SCORES)
    path = save_pool(pool, tmp_path)
    before = path.read_bytes()
    assert save_pool(pool, tmp_path) == path
    other = make_pool("p", 1, "abc", {"m1": {"ocr": {"x": 0.0}}})
    with pytest.raises(UserError, match="p@1 exists with other scores; write version 2"):
        save_pool(other, tmp_path)
    assert path.read_bytes() == before


def test_scoring_leaves_the_pool_as_it_was(builtin: Path) -> None:
    path = save_pool(make_pool("p", 1, "suite-1", SCORES), builtin)
    before = path.read_bytes()
    rows = [row(f"{t}{i}", "ocr", t, i % 2) for t in "xy" for i in range(4)]
    scores = ability_scores(
        table(rows), weights={"ocr": {"x": 1, "y": 1}}, expected={"ocr": 8},
        pool=load_pool("p"),
    )  # fmt: skip
    assert scores[0].dvs is not None
    assert path.read_bytes() == before
    assert [file.name for file in builtin.iterdir()] == ["p-v1.json"]


def test_names_versions_and_suites_are_found(builtin: Path) -> None:
    for name, version, digest in [
        ("mini-quick", 1, "q"), ("mini-quick", 2, "q"), ("mini-quick", 10, "q2"),
        ("mini-full", 1, "f"), ("a-second", 1, "q"),
    ]:  # fmt: skip
        save_pool(make_pool(name, version, digest, SCORES), builtin)

    def label(pool: Pool | None) -> str | None:
        return pool.label if pool else None

    assert load_pool("mini-quick").label == "mini-quick@10"
    assert load_pool("mini-quick@1").label == "mini-quick@1"
    assert label(pool_for("mini:quick", "q")) == "mini-quick@2"
    assert label(pool_for("mine", "q")) == "a-second@1"
    assert label(pool_for("mini:quick", "f")) == "mini-full@1"
    assert pool_for("mini:quick", "changed") is None
    with pytest.raises(UserError, match=r"'mini-quik' is unknown: did you mean 'mini-quick@"):
        load_pool("mini-quik")


def test_without_any_pool(builtin: Path) -> None:
    assert pool_for("mini:quick", "q") is None
    with pytest.raises(UserError, match="known: none"):
        load_pool("mini-quick")


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"name": "Bad Name"}, "lower-case name"),
        ({"version": 0}, "version from 1"),
        ({"suite_digest": ""}, "suite's digest"),
        ({"scores": {}}, "has no model"),
        ({"scores": {"m1": {"ocr": {"x": 0.1}}, "m2": {"ocr": {"y": 0.1}}}}, "same subtasks"),
        ({"scores": {"m1": {"ocr": {"x": float("nan")}}}}, "no finite score on 'x'"),
    ],
)
def test_what_is_no_pool_is_not_made(changes: dict[str, Any], complaint: str) -> None:
    facts: dict[str, Any] = {"name": "p", "version": 1, "suite_digest": "abc", "scores": SCORES}
    with pytest.raises(UserError, match=complaint):
        make_pool(**(facts | changes))


BODY = json.loads(make_pool("p", 1, "abc", SCORES).to_json())


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"{", "not a pool"),
        (b"\xff\xfe", "not a pool"),
        (b"[]", "not a pool"),
        (b"{}", "not a pool"),
        (b"[" * 100_000, "not a pool"),
        (json.dumps(BODY | {"schema_version": 9}).encode(), "pool schema 9, this version reads 1"),
        (json.dumps(BODY | {"models": {"m1": {"ocr": {"x": 0.3}}}}).encode(), "its digest names"),
        (json.dumps(BODY | {"models": {"m1": {"ocr": {"x": "0.3"}}}}).encode(), "not a pool"),
        (json.dumps(BODY | {"models": {"m1": 3}}).encode(), "not a pool"),
        (json.dumps(BODY | {"version": "1"}).encode(), "not a pool"),
        (json.dumps(BODY | {"version": True}).encode(), "not a pool"),
        (json.dumps(BODY | {"version": float("inf")}).encode(), "not a pool"),
        (json.dumps(BODY | {"models": {"m1": {"ocr": {"x": 10**400}}}}).encode(), "not a pool"),
    ],
)
def test_a_damaged_file_is_named(tmp_path: Path, content: bytes, complaint: str) -> None:
    path = tmp_path / "p.json"
    path.write_bytes(content)
    with pytest.raises(UserError, match=complaint) as caught:
        load_pool(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_file_where_a_folder_or_a_pool_belongs(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.touch()
    with pytest.raises(UserError, match=r"notes\.txt: is no folder; name another folder"):
        save_pool(make_pool("p", 1, "abc", SCORES), path)
    for there in (path, tmp_path):
        with pytest.raises(UserError, match=r"give a built-in name, or a \.json file"):
            load_pool(there)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no such pool file"):
        load_pool(tmp_path / "none.json")


def test_the_shipped_pools_are_whole() -> None:
    for path in sorted(pools.BUILTIN.glob("*.json")):
        pool = load_pool(path)
        assert path.name == f"{pool.name}-v{pool.version}.json"
        assert len(pool.models) >= 11
