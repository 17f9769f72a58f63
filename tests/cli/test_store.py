"""``lens-ray store`` and ``lens-ray report``."""

from __future__ import annotations

import shutil
from pathlib import Path

from lens_ray.store import Store
from lens_ray.suites import Suite
from tests.cli.conftest import Cli
from tests.cli.stores import commit, header, listing, row


def test_a_whole_store(cli: Cli, filled: Path) -> None:
    before = listing(filled)
    done = cli("store", "check", "--store", filled)
    assert (done.code, done.out) == (0, "the store is whole\n")
    assert cli("store", "check", "--store", filled, "--json").json["problems"] == []
    assert listing(filled) == before


def test_a_damaged_store(cli: Cli, filled: Path, tmp_path: Path) -> None:
    url = tmp_path / "damaged"
    shutil.copytree(filled, url)
    file = next(url.glob("runs/run0/rows/*.parquet"))
    file.write_bytes(file.read_bytes()[:-1])
    done = cli("store", "check", "--store", url)
    assert done.code == 2
    assert file.relative_to(url).as_posix() in done.out
    assert done.out.endswith("1 problems\n")
    found = cli("store", "check", "--store", url, "--json")
    assert (found.code, len(found.json["problems"])) == (2, 1)


def test_compact_and_gc(cli: Cli, tmp_path: Path, tiny_suite: Suite) -> None:
    url = tmp_path / "store"
    store = Store(str(url), create=True)
    store.put_suite(tiny_suite.info)
    log = store.open_run(header("run0", "m", tiny_suite))
    for place in range(8):
        log.append([row(log, tiny_suite, place, "3")])
    commit(log, tiny_suite)
    rows = store.rows()
    merged = cli("store", "compact", "--store", url)
    assert merged.code == 0
    assert "run run0: 8 files merged into 1" in merged.out
    assert cli("store", "compact", "--store", url, "--json").json["compacted"] == []
    spared = cli("store", "gc", "--store", url)
    assert spared.out == "0 files removed, 0 bytes\n"
    removed = cli("store", "gc", "--store", url, "--grace", "0", "--json").json
    assert len(removed["removed"]) == 8
    assert Store(str(url)).rows().sort_by("sample_id").equals(rows.sort_by("sample_id"))
    assert Store(str(url)).check() == []


def test_report(cli: Cli, filled: Path, tmp_path: Path) -> None:
    before = listing(filled)
    out = tmp_path / "report.html"
    done = cli("report", "--store", filled, "--out", out, "--json")
    assert done.code == 0
    assert done.json == {"report": str(out), "bytes": out.stat().st_size}
    assert "open it in any browser" in cli("report", "--store", filled, "--out", out).out
    assert listing(filled) == before
