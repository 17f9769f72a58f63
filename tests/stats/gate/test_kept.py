"""Whether answers stay, from a store with runs on a suite and on a control of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest

from lens_ray.errors import UserError
from lens_ray.stats.gate import Decision, gate
from lens_ray.store import Store
from lens_ray.suites import Suite
from lens_ray.suites.controls import make_control
from tests.cli.stores import commit, header, make_suite, row


@pytest.fixture(scope="module")
def suites(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Suite, Suite]]:
    home = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LENS_RAY_HOME", str(home))
        base = make_suite(home / "suites" / "tiny")
        yield base, make_control(base, "jpeg", home / "suites" / "jpeg", quality=30)


def filled(url: Path, *runs: tuple[str, Suite, Sequence[str]]) -> Store:
    store = Store(str(url), create=True)
    for number, (model, suite, answers) in enumerate(runs):
        store.put_suite(suite.info)
        log = store.open_run(header(f"run-{number:04d}", model, suite))
        log.append([row(log, suite, place, text) for place, text in enumerate(answers)])
        commit(log, suite)
    return store


def policy(**keys: object) -> dict[str, object]:
    rule = {"stability": {"kind": "consistency", "no_worse_by": 0.3, **keys}}
    return {
        "name": "kept", "candidate": "new", "baseline": "old", "suite": "tiny", "min_clusters": 2,
        "rules": [rule],
    }  # fmt: skip


def test_the_share_of_kept_answers_is_compared(tmp_path: Path, suites: tuple[Suite, Suite]) -> None:
    base, changed = suites
    names = [sample.sample_id.partition("#")[0] for sample in changed.samples]
    assert names == [sample.sample_id for sample in base.samples]
    same = ["3"] * 8
    flipped = ["3", "3", "3", "3", "3", "3", "4", "4"]  # of ocr, both of t/6 and t/7
    store = filled(
        tmp_path / "store",
        ("new", base, same), ("new", changed, flipped), ("old", base, same),
        ("old", changed, same),
    )  # fmt: skip
    found = gate(policy(abilities="all"), store)
    by_name = {check.figure: check for check in found.checks}
    lost = np.array([s.ability for s in base.samples])[[6, 7]].tolist()
    for name in ("counting", "ocr"):
        check = by_name[name]
        assert (check.candidate, check.baseline) == (1 - lost.count(name) / 4, 1.0)
        assert check.n == 4
    overall = gate(policy(), store).checks[0]
    assert overall.estimate == pytest.approx(-0.25)
    assert overall.decision is Decision.CANNOT_SAY
    assert overall.requirement == "consistency difference > -0.3"


def test_without_runs_on_a_variant_there_is_a_reason(
    tmp_path: Path, suites: tuple[Suite, Suite]
) -> None:
    base, changed = suites
    same = ["3"] * 8
    store = filled(
        tmp_path / "store", ("new", base, same), ("new", changed, same), ("old", base, same)
    )
    check = gate(policy(), store).checks[0]
    assert check.decision is Decision.CANNOT_SAY
    assert check.reason is not None
    assert check.reason.startswith("no run of old on a variant of tiny: make one with `lens-ray s")
    with pytest.raises(UserError, match="variant 'tiny-jpg': no finished run of new on it"):
        gate(policy(variants="tiny-jpg"), store)
