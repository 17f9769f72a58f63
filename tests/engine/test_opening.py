"""What an actor finds on a machine that is not the driver's."""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path

import pytest

from lens_ray import node_cache
from lens_ray.engine.opening import find_weights, open_suite
from lens_ray.engine.plan import EnginePlan, ModelPlan
from lens_ray.errors import CheckpointError, SuiteError
from lens_ray.models import remote
from lens_ray.models.spec import ModelSpec
from lens_ray.suites.load import folder_name, suites_home
from lens_ray.suites.suite import Suite, write_suite
from lens_ray.testing.tiny_checkpoint import make_tiny_checkpoint
from tests.engine.stage import fake, make_plan, play, rows_of, small_suite
from tests.suites.makers import suite_of


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    top = tmp_path / "node"
    monkeypatch.setenv("LENS_RAY_HOME", str(top))
    return top


def at_url(folder: Path, name: str, count: int = 12) -> tuple[Suite, EnginePlan]:
    """A plan whose suite lies at a URL."""
    samples, images = suite_of(count)
    url = f"memory://suites/{name}"
    suite = write_suite("far", samples, images, url, licence="x", revision="1")
    return suite, make_plan(folder, suite, fake(batch=4))


def checkpoint_plan(folder: Path, *names: str) -> EnginePlan:
    """A plan of checkpoints at URLs; what the driver had copied is gone."""
    specs = []
    for seed, name in enumerate(names):
        make_tiny_checkpoint(folder / name, seed=seed)
        specs.append(ModelSpec(name=name, path=f"local://{folder / name}", replicas=1))
    plan = make_plan(folder, small_suite(folder, 8), *specs)
    shutil.rmtree(node_cache.home())
    return plan


def test_a_suite_at_a_url_is_read_from_a_copy(tmp_path: Path, home: Path) -> None:
    suite, plan = at_url(tmp_path, "copied")
    found = open_suite(plan)
    assert found.samples == suite.samples
    assert Path(found.location).parent == home / "suite-copies"


def test_without_room_for_a_copy_it_is_read_from_afar_and_the_log_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    suite, plan = at_url(tmp_path, "afar")
    monkeypatch.setattr(node_cache, "_free", lambda folder: 1000)
    assert open_suite(plan).location == suite.location
    (outcome,), stage = play(plan)
    assert outcome.status == "complete"
    assert rows_of(plan).keys() == suite.by_id.keys()
    (note,) = {note for note in stage.notes if "read from afar" in note}
    assert "no room for a copy of" in note
    assert "export LENS_RAY_HOME=FOLDER" in note


def test_a_folder_of_the_driver_that_is_not_here(tmp_path: Path, home: Path) -> None:
    suite = small_suite(tmp_path, 4)
    plan = make_plan(tmp_path, suite, fake())
    away = tmp_path / "away"
    Path(suite.location).rename(away)
    with pytest.raises(SuiteError) as caught:
        open_suite(plan)
    message = str(caught.value)
    assert "\n" not in message
    assert f"has neither {suite.location} nor the suite itself" in message
    assert f"lens-ray suite build {suite.location} --out s3://BUCKET/PREFIX" in message
    shutil.copytree(away, suites_home() / folder_name(suite.name, suite.digest))
    assert open_suite(plan).digest == suite.digest


def test_a_copy_that_is_here_needs_no_bucket(tmp_path: Path) -> None:
    model = checkpoint_plan(tmp_path, "one").models[0]
    found = find_weights(model)
    shutil.rmtree(tmp_path / "one")
    assert find_weights(model) == found
    with node_cache.alone(Path(found), "use") as unused:
        assert not unused  # whoever is short of room may not remove it
    node_cache.release(Path(found))


def test_a_checkpoint_that_changed_meanwhile_is_not_the_one(tmp_path: Path) -> None:
    model = checkpoint_plan(tmp_path, "one").models[0]
    (tmp_path / "one" / "config.json").write_text("{}")
    with pytest.raises(CheckpointError, match="has changed since the job began; start it again"):
        find_weights(model)


def test_weights_of_a_backend_without_a_checkpoint_are_its_path(tmp_path: Path) -> None:
    plan = make_plan(tmp_path, small_suite(tmp_path, 2), fake(path="s3://none/at/all"))
    assert find_weights(plan.models[0]) == "s3://none/at/all"
    assert not plan.models[0].remote


def test_only_what_lies_at_a_url_is_copied(tmp_path: Path) -> None:
    folder = make_tiny_checkpoint(tmp_path / "local")
    for path in (folder, f"file://{folder}"):
        plan = make_plan(tmp_path, small_suite(tmp_path / "s", 2), ModelSpec(name="m", path=path))
        model: ModelPlan = plan.models[0]
        assert not model.remote
        assert find_weights(dataclasses.replace(model)) == folder
        shutil.rmtree(tmp_path / "s")
    assert not remote.place_of("x").parent.exists()
