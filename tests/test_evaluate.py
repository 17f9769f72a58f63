"""`lens_ray.evaluate` under a real Ray: jobs, resumption, and what each mistake ends in."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import lens_ray
from lens_ray import JobSpec, ModelSpec, Store, load_suite
from lens_ray.engine.cluster import Cluster
from lens_ray.engine.finish import scores_of
from lens_ray.engine.progress import Progress
from lens_ray.errors import CheckpointError, ClusterError, SuiteError
from lens_ray.evaluate import RunReport, evaluate
from lens_ray.suites.suite import Suite
from lens_ray.testing.tiny_checkpoint import make_tiny_checkpoint


@pytest.fixture(scope="module", autouse=True)
def cluster() -> Iterator[Cluster]:
    """One Ray for all of them; `evaluate` uses the one that its process has."""
    with Cluster() as one:
        one.start()
        yield one


@pytest.fixture(scope="module")
def suite() -> Suite:
    return load_suite("mini:quick")


def fake(name: str = "m", *, path: str | None = None, **options: Any) -> ModelSpec:
    return ModelSpec(name=name, backend="fake", path=path or name, replicas=1, options=options)


def job(folder: Path, *models: ModelSpec, **given: Any) -> JobSpec:
    facts: dict[str, Any] = {"limit": 60, **given}
    return JobSpec(
        name="test", suite="mini:quick", store=str(folder / "store"), models=models, **facts
    )


def listing(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


def statuses(report: RunReport) -> list[str]:
    return [model.status for model in report.models]


def test_a_job_is_answered_and_again_needs_nothing(
    tmp_path: Path, suite: Suite, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[Progress] = []
    spec = job(tmp_path, fake("a"), fake("b"))
    report = evaluate(spec, on_progress=seen.append)
    assert report.exit_code == 0
    assert (report.job, report.suite, report.suite_digest) == ("test", "mini:quick", suite.digest)
    for model in report.models:
        assert (model.status, model.expected, model.answered) == ("complete", 60, 60)
        assert [score.ability for score in model.scores] == [*suite.info.counts, "overall"]
        assert (model.flip_rate, model.flip_n) == (0.0, 16)
    assert [model.model for model in seen[-1].models] == ["a", "b"]
    assert {model.state for model in seen[-1].models} == {"done"}
    assert sum(total for _, total in seen[-1].models[0].abilities.values()) == 60

    def refuse(self: Cluster) -> None:
        raise AssertionError("Ray is not needed")

    monkeypatch.setattr(Cluster, "start", refuse)
    monkeypatch.setattr(Cluster, "rooms", lambda self: ())
    before = listing(tmp_path)
    monkeypatch.setattr("lens_ray.engine.entries.check_fits", lambda *_: None)
    again = evaluate(spec)
    assert [model.resumed for model in again.models] == [60, 60]
    assert [model.answered for model in again.models] == [0, 0]
    assert [m.scores for m in again.models] == [m.scores for m in report.models]
    assert listing(tmp_path) == before


def test_more_abilities_and_samples_go_on_in_the_same_run(tmp_path: Path, suite: Suite) -> None:
    first = evaluate(job(tmp_path, fake(), abilities=("ocr",), limit=20)).models[0]
    assert [score.ability for score in first.scores] == ["ocr", "overall"]
    store = Store(str(tmp_path / "store"))
    commit = store.run(str(first.run_id)).refresh().commit
    assert commit is not None
    assert commit.expected == 20
    assert len(commit.left_out) == len(suite.samples) - 20
    more = evaluate(job(tmp_path, fake(), abilities=("ocr", "counting"), limit=None)).models[0]
    wanted = suite.select(("ocr", "counting"))
    assert more.run_id == first.run_id
    assert (more.expected, more.resumed, more.answered) == (len(wanted), 20, len(wanted) - 20)
    # A smaller job on the same run takes nothing away from it, and reports its own samples.
    less = evaluate(job(tmp_path, fake(), abilities=("counting",), limit=None)).models[0]
    assert (less.status, less.answered) == ("complete", 0)
    assert [score.ability for score in less.scores] == ["counting", "overall"]
    log = store.run(str(first.run_id))
    state = log.refresh()
    assert state.commit is not None
    assert state.commit.expected == len(wanted)
    assert less.scores == tuple(scores_of(log, suite, suite.select(("counting",))))


def test_a_job_stops_where_the_intervals_are_narrow_and_goes_on_when_told(
    tmp_path: Path, suite: Suite
) -> None:
    """A fake guesses: an interval of the corrected score needs 60 samples for 0.25."""
    wide = {"halfwidth": 0.3, "min_samples": 40}
    first = evaluate(job(tmp_path, fake("a"), fake("b"), limit=None, until=wide))
    assert (first.exit_code, statuses(first)) == (0, ["complete", "complete"])
    store = Store(first.store)
    for model in first.models:
        assert 6 * 40 <= model.expected == model.answered < len(suite.samples)
        assert model.left_out == len(suite.samples) - model.expected
        assert [score.coverage for score in model.scores] == [1.0] * 7
        commit = store.run(str(model.run_id)).refresh().commit
        assert commit is not None
        assert commit.expected == model.expected == len(suite.samples) - len(commit.left_out)
        until: Any = commit.facts["until"]
        for score in model.scores[:-1]:
            assert score.n == until["abilities"][score.ability]["asked"]
    again = evaluate(job(tmp_path, fake("a"), fake("b"), limit=None, until=wide))
    assert [model.answered for model in again.models] == [0, 0]
    assert [m.scores for m in again.models] == [m.scores for m in first.models]
    whole = evaluate(job(tmp_path, fake("a"), limit=None)).models[0]
    assert whole.run_id == first.models[0].run_id
    assert whole.answered == len(suite.samples) - first.models[0].answered


def test_only_the_anchors(tmp_path: Path, suite: Suite) -> None:
    anchors = {sample.sample_id for sample in suite.samples if sample.split == "anchor"}
    model = evaluate(job(tmp_path, fake(), limit=None, splits=("anchor",))).models[0]
    assert (model.status, model.expected) == ("complete", len(anchors))
    rows = Store(str(tmp_path / "store")).rows(columns=["sample_id", "split"]).to_pylist()
    assert {row["sample_id"] for row in rows} == anchors
    assert {row["split"] for row in rows} == {"anchor"}
    whole = evaluate(job(tmp_path, fake(), limit=None)).models[0]
    assert (whole.run_id, whole.resumed) == (model.run_id, len(anchors))


def test_rows_are_shared_only_by_what_is_the_same(tmp_path: Path) -> None:
    models = (fake("a", path="x"), fake("twin", path="x"), fake("seed", path="x", seed=1))
    report = evaluate(job(tmp_path, *models))
    runs = [model.run_id for model in report.models]
    assert runs[0] == runs[1] != runs[2]
    assert statuses(report) == ["complete"] * 3
    assert report.models[0].scores == report.models[1].scores
    longer = ModelSpec(name="a", backend="fake", path="x", generation={"max_new_tokens": 99})
    assert evaluate(job(tmp_path, longer)).models[0].run_id not in runs
    bare = ModelSpec(name="a", backend="fake", path="x", template="bare")
    assert evaluate(job(tmp_path, bare)).models[0].run_id not in runs


def test_real_checkpoints_of_two_families(tmp_path: Path) -> None:
    models = [
        ModelSpec(name=f"{family}{seed}", path=make_tiny_checkpoint(
            tmp_path / f"{family}{seed}", family, seed
        ))
        for family, seed in (("idefics3", 0), ("idefics3", 1), ("llava", 2))
    ]  # fmt: skip
    report = evaluate(job(tmp_path, *models, limit=40))
    assert statuses(report) == ["complete"] * 3
    store = Store(report.store)
    rows = store.rows(columns=["model", "weight_version", "weights_digest", "text"]).to_pylist()
    assert len(rows) == 120
    assert all(row["weight_version"] == row["weights_digest"] for row in rows)
    one, two = (
        [row["text"] for row in rows if row["model"] == name] for name in ("idefics30", "idefics31")
    )
    assert one != two


def test_one_model_that_is_at_fault_does_not_stop_the_others(tmp_path: Path) -> None:
    missing = ModelSpec(name="missing", path=str(tmp_path / "nowhere"))
    broken = fake("broken", start_error="half a checkpoint")
    report = evaluate(job(tmp_path, fake("good"), missing, broken))
    assert statuses(report) == ["complete", "failed", "failed"]
    assert report.exit_code == 6
    assert "nowhere" in str(report.models[1].reason)
    assert report.models[1].run_id is None
    assert report.models[2].reason == "half a checkpoint"


def test_a_job_whose_only_model_fails_late_has_the_models_exit_code(tmp_path: Path) -> None:
    report = evaluate(job(tmp_path, fake(start_error="half a checkpoint")))
    assert statuses(report) == ["failed"]
    assert report.exit_code == CheckpointError.exit_code


@pytest.mark.parametrize(
    ("given", "error", "says"),
    [
        ({"abilities": ("juggling",)}, SuiteError, "juggling"),
        ({"models": (ModelSpec(name="m", path="/nowhere/at/all"),)}, CheckpointError, "model m: "),
    ],
)
def test_a_mistake_writes_nothing(
    tmp_path: Path, given: dict[str, Any], error: type[Exception], says: str
) -> None:
    models = given.pop("models", (fake(),))
    with pytest.raises(error, match=says):
        evaluate(job(tmp_path, *models, **given))
    assert listing(tmp_path) == []


def test_a_model_that_fits_nowhere_writes_nothing(tmp_path: Path) -> None:
    path = make_tiny_checkpoint(tmp_path / "tiny")
    options = {"device": "cuda"}
    model = ModelSpec(name="big", path=path, tensor_parallel=2, options=options)
    with pytest.raises(ClusterError, match="needs 1 CPUs and 2 GPUs on one machine"):
        evaluate(job(tmp_path, model))
    assert not (tmp_path / "store").exists()


def test_interrupted_keeps_what_was_answered(tmp_path: Path) -> None:
    def interrupt(progress: Progress) -> None:
        if sum(done for done, _ in progress.models[0].abilities.values()) >= 10:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        evaluate(job(tmp_path, fake(latency_s=0.05)), on_progress=interrupt)
    assert Store(str(tmp_path / "store")).rows().num_rows >= 10
    again = evaluate(job(tmp_path, fake()))
    assert again.models[0].resumed >= 10
    assert again.exit_code == 0


def test_a_running_ray_is_used_and_left_alone(tmp_path: Path) -> None:
    import ray

    address = ray.get_runtime_context().gcs_address
    spec = job(tmp_path, fake())
    code = (
        "import sys, ray\n"
        "from lens_ray import JobSpec\n"
        "from lens_ray.evaluate import evaluate\n"
        f"report = evaluate(JobSpec.model_validate_json({spec.model_dump_json()!r}),"
        f" address={address!r})\n"
        "assert not ray.is_initialized()\n"
        "sys.exit(report.exit_code)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, ""), done.stderr
    assert ray.is_initialized()
    assert any(node["Alive"] for node in ray.nodes())
    assert evaluate(spec).models[0].resumed == 60


@pytest.mark.parametrize(
    ("address", "says"),
    [
        ("127.0.0.1:1", "Ray at 127.0.0.1:1 cannot be reached: "),
        ("nonsense", "Ray at nonsense cannot be reached: "),
        ("ray://head:10001", "give HOST:PORT of the cluster's head"),
    ],
)
def test_an_address_that_nobody_answers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, address: str, says: str
) -> None:
    monkeypatch.setattr("lens_ray.engine.cluster._connected", lambda: False)
    with pytest.raises(ClusterError, match=says) as caught:
        evaluate(job(tmp_path, fake()), address=address)
    assert "\n" not in str(caught.value)
    assert listing(tmp_path) == []


def test_the_name_is_a_function_and_a_module() -> None:
    """``lens_ray.evaluate(...)`` works whether or not the module was imported before."""
    assert callable(lens_ray.evaluate)
    code = (
        "import lens_ray\nassert callable(lens_ray.evaluate)\n"
        "import lens_ray.evaluate\nassert callable(lens_ray.evaluate)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
