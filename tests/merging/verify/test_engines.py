"""V3: the serving engine says what transformers says, or why nobody can know here."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from lens_ray.errors import CheckpointError, EnvironmentFailure
from lens_ray.merging.verify import engines as subject
from lens_ray.merging.verify.engines import asked, engines, parity, parse_failures
from lens_ray.merging.verify.policy import EngineLimits
from lens_ray.merging.verify.probes import answers_of, choose_probes, requests_of
from lens_ray.models.checkpoint import inspect_checkpoint
from lens_ray.models.hosted_model import HostedModel
from lens_ray.models.protocol import Completion
from lens_ray.models.spec import TransformersOptions
from lens_ray.suites.sample import Sample
from tests.merging.verify.grounds import LAST, SERIES, function_ground, quick

LIMITS = EngineLimits()


@pytest.fixture
def probes() -> tuple[Sample, ...]:
    """Forty of them."""
    return choose_probes(quick(), 40, 0)


def _told(probes: tuple[Sample, ...], wrong: int = 0, text: str = "?") -> list[Completion]:
    return [
        Completion(probe.sample_id, text if place < wrong else f" {probe.answers[0]}", "stop")
        for place, probe in enumerate(probes)
    ]


def test_two_of_forty_may_differ_and_three_may_not(probes: tuple[Sample, ...]) -> None:
    """95 %: near-ties may fall either way."""
    for wrong, verdict in ((0, "pass"), (2, "pass"), (3, "fail")):
        check = parity(probes, _told(probes), _told(probes, wrong), LIMITS)
        assert check.verdict == verdict
        assert check.figures["equal"] == 40 - wrong
    assert probes[0].sample_id in check.what


def test_an_error_is_no_equal_answer(probes: tuple[Sample, ...]) -> None:
    lost = [replace(one, text="", finish_reason="error", error="boom") for one in _told(probes)]
    assert parity(probes, lost, lost, LIMITS).verdict == "fail"


def test_answers_that_cannot_be_read_are_held_against_the_worst_parent(
    probes: tuple[Sample, ...],
) -> None:
    """Nothing is read from an empty answer."""
    served = _told(probes, 4, "")
    for most, verdict in ((3, "fail"), (4, "pass")):
        parents = [_told(probes), _told(probes, most, "")]
        check = parse_failures(probes, served, parents)
        assert (check.verdict, check.figures["merge"], check.figures["parents"]) == (
            verdict, 4, most,
        )  # fmt: skip


def test_without_the_engine_it_is_skipped_and_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subject, "find_spec", lambda name: None)
    found = engines(function_ground(SERIES / LAST, 4), LIMITS)
    assert [(check.name, check.verdict) for check in found] == [
        ("engine_parity", "skipped"), ("parse_failures", "skipped"),
    ]  # fmt: skip
    assert "not installed" in found[0].what


@pytest.mark.parametrize(
    ("error", "verdict"),
    [(EnvironmentFailure("no room"), "skipped"), (CheckpointError("not taken"), "fail")],
)
def test_an_engine_that_does_not_start_is_no_fault_of_the_merge(
    error: Exception, verdict: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that does not take the merge is."""

    def refusing(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(subject, "find_spec", lambda name: name)
    monkeypatch.setattr(subject, "asked", refusing)
    first, second = engines(function_ground(SERIES / LAST, 4), LIMITS)
    assert (first.verdict, first.what) == (verdict, str(error))
    assert second.verdict == "skipped"


def test_both_engines_are_asked_and_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    """transformers in the place of vLLM, so that what is tested needs none."""
    monkeypatch.setattr(subject, "find_spec", lambda name: name)
    monkeypatch.setattr(subject, "SERVING", "transformers")
    monkeypatch.setattr(subject, "_OPTIONS", {"batch_size": 3})
    ground = function_ground(SERIES / LAST, 8)
    found = engines(replace(ground, parents=ground.parents[:1]), LIMITS)
    assert [check.verdict for check in found] == ["pass", "pass"]
    assert found[0].figures["equal"] == 8


def test_a_backend_answers_as_the_model_itself(tmp_path: Path) -> None:
    requests = requests_of(quick(), choose_probes(quick(), 6, 0), "default")
    model = HostedModel(inspect_checkpoint(str(SERIES / LAST)), TransformersOptions())
    assert [one.text for one in asked(SERIES / LAST, "transformers", requests)] == [
        one.text for one in answers_of(model, requests)
    ]
    with pytest.raises(CheckpointError, match="no checkpoint folder"):
        asked(tmp_path / "gone", "transformers", requests)
