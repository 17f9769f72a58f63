"""Which folders are a run's checkpoints."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lens_ray.online.discover import discover, step_in
from lens_ray.online.marker import MARKER, Marker
from lens_ray.online.place import FileFact, FolderFact

MODEL = ("config.json", "model.safetensors")


def folder(name: str, *files: str) -> FolderFact:
    return FolderFact(name, f"/run/{name}", {f: FileFact(1, "v", 0, 0) for f in files or MODEL})


def marker(step: int) -> Marker:
    return Marker(step=step, announced_at="2026-11-27T12:00:00+00:00")


@pytest.mark.parametrize(
    ("name", "step"),
    [
        ("step-8700", 8700),
        ("step_0500", 500),
        ("checkpoint-500", 500),
        ("checkpoint_500", 500),
        ("ckpt-7", 7),
        ("global_step500", 500),
        ("global_step_500", 500),
        ("iter_0000500", 500),
        ("epoch=1-step=500", 500),
        ("runA-step-500", 500),
        ("500", 500),
        ("Step500", 500),
    ],
)
def test_steps_in_names(name: str, step: int) -> None:
    found = step_in(name)
    assert found is not None
    assert found[1] == step


@pytest.mark.parametrize(
    "name",
    [
        "logs", "runs", "final", "step", "tmp-checkpoint-500", "checkpoint-500.partial",
        "checkpoint-500-tmp", ".step-500", "step-500-merged", "v2", "step--5", "checkpoint-1e3",
        "step-" + "9" * 16, "step-٥",
    ],
)  # fmt: skip
def test_foreign_names(name: str) -> None:
    assert step_in(name) is None


def test_epochs_in_names_are_of_one_pattern() -> None:
    found = discover([folder("epoch=1-step=500"), folder("epoch=2-step=1000")], {})
    assert [one.step for one in found.candidates] == [500, 1000]
    assert found.two_runs is None


def test_foreign_folders_are_passed_over() -> None:
    found = discover(
        [folder("logs", "a.json"), folder("checkpoint-9", "optimizer.pt"), folder("step-10")], {}
    )
    assert [one.step for one in found.candidates] == [10]


def test_an_announced_step_counts_before_the_name() -> None:
    held = [folder("checkpoint-3", *MODEL, MARKER), folder("best", *MODEL, MARKER)]
    found = discover(held, {"checkpoint-3": marker(1500), "best": marker(2000)})
    assert [(one.step, one.folder.name) for one in found.candidates] == [
        (1500, "checkpoint-3"), (2000, "best"),
    ]  # fmt: skip


def test_a_step_that_can_be_none_is_not_believed() -> None:
    held = [folder("checkpoint-3", *MODEL, MARKER), folder("best", *MODEL, MARKER)]
    found = discover(held, {"checkpoint-3": marker(10**30), "best": marker(10**15)})
    assert [one.step for one in found.candidates] == [3]


def test_a_copy_of_the_last_one_is_no_second_run() -> None:
    held = [folder("checkpoint-1000"), folder("final", *MODEL, MARKER)]
    found = discover(held, {"final": marker(1000)})
    assert [one.folder.name for one in found.candidates] == ["checkpoint-1000"]
    assert found.two_runs is None


@pytest.mark.parametrize(
    ("names", "line"),
    [
        (["checkpoint-5", "step-6"], "checkpoint-5 and step-6 have different names"),
        (["a-step-5", "b-step-5"], "a-step-5 and b-step-5 have different names"),
        (["step-0005", "step-5"], "step-0005 and step-5 are the same step"),
    ],
)
def test_two_runs_in_one_folder(names: list[str], line: str) -> None:
    found = discover([folder(name) for name in names], {})
    assert found.candidates == ()
    assert found.two_runs == f"two runs in one folder ({line})"


def test_what_was_known_before_a_second_run_is_watched_on() -> None:
    held = [folder("checkpoint-5"), folder("step-5"), folder("step-6"), folder("step-7")]
    found = discover(held, {}, known=["step-5", "step-6"])
    assert [one.folder.name for one in found.candidates] == ["step-5", "step-6", "step-7"]
    assert found.two_runs is not None


@given(st.text(max_size=40))
def test_any_name_is_read(name: str) -> None:
    found = step_in(name)
    assert found is None or found[1] >= 0


@given(st.lists(st.integers(0, 10**9), unique=True, max_size=20))
def test_steps_ascend(steps: list[int]) -> None:
    found = discover([folder(f"step-{step}") for step in steps], {})
    assert [one.step for one in found.candidates] == sorted(steps)


def test_one_level_deeper_only_an_announcement_counts() -> None:
    found = discover(
        [folder("old/step-300"), folder("old/step-500"), folder("step-500")],
        {"old/step-300": marker(300), "old/step-500": marker(500)},
    )
    assert found.two_runs is None
    names = {one.step: one.folder.name for one in found.candidates}
    assert names == {300: "old/step-300", 500: "step-500"}
