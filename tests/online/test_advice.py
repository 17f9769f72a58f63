from __future__ import annotations

from dataclasses import replace

import pytest

from lens_ray.errors import UserError
from lens_ray.online.advice import advise_run, newest_conflicts, standing_decline
from lens_ray.online.findings import AdviceLine, Convergence, Findings
from lens_ray.online.series import Series
from lens_ray.prices import load_prices
from tests.online.hand_made import conflict, converged, decline, series, watch

#: Ten checkpoints; ocr falls after the fifth and stays low, entity is flat, counting rises.
FALLING = {
    "ocr": [300] * 5 + [270] * 5,
    "entity": [280] * 10,
    "counting": list(range(100, 300, 20)),
}


def lines(
    findings: Findings, of: Series | None = None, **keys: object
) -> dict[tuple[str, str], AdviceLine]:
    spec = watch(**keys)
    found = advise_run(of or series(FALLING), findings, spec, spec.runs[0])
    return {(line.about, line.verdict): line for line in found}


def found(*convergence: Convergence, **others: object) -> Findings:
    return Findings("r", 1000, convergence=convergence, **others)  # type: ignore[arg-type]


def test_one_line_an_ability_and_one_for_the_run() -> None:
    said = lines(found(converged("entity", 200), Convergence("counting", "rising", effect=0.05,
                       interval=(0.02, 0.08), confidence=0.95),
                       Convergence("ocr", "undecided", interval=(-1.0, 0.04))))  # fmt: skip
    assert [key for key in said if key[0] != "run"] == [
        ("counting", "keep_training"), ("ocr", "keep_training"), ("entity", "converged"),
    ]  # fmt: skip
    assert "counting still gains; ocr may still gain" in said["run", "continue"].line
    assert "gained (+0.050, at least +0.020, 95 % sure)" in said["counting", "keep_training"].line
    undecided = said["ocr", "keep_training"]
    assert undecided.confidence is None
    assert "up to 0.040" in undecided.line
    assert "nobody can say" in undecided.line


def test_one_that_lies_lower_than_it_did_is_not_said_to_gain() -> None:
    lower = Convergence("ocr", "undecided", effect=-0.05, interval=(-1.0, -0.02), confidence=0.95,
                        reason="the newest checkpoints lie below step 500")  # fmt: skip
    said = lines(found(lower))["ocr", "keep_training"].line
    assert said == (
        "ocr: not decided: it gained nothing lately (the newest checkpoints lie below step 500); "
        "nobody can say if it will again"
    )


def test_an_ability_that_converged_costs_since_then() -> None:
    run = {"gpus": 8, "seconds_per_step": 3.6, "accelerator": "H100", "planned_steps": 1500}
    line = lines(found(converged("entity", 200)), run=run)["entity", "converged"]
    # 800 steps x 3.6 s x 8 GPUs = 6.4 hours.
    assert line.gpu_hours == pytest.approx(6.4)
    assert line.usd == pytest.approx(6.4 * load_prices().accelerators["H100"].usd_per_hour)
    assert line.evidence == ("convergence:entity:0",)
    assert line.confidence == 0.95
    assert "6.4 GPU-hours, $44.03 since then" in line.line


def test_hours_that_were_measured_win_over_those_that_were_written() -> None:
    run = series(FALLING, gpu_hours=[2.0 * k for k in range(10)])
    line = lines(found(converged("entity", 300)), run, run={"gpus": 8, "seconds_per_step": 9.0})
    assert line["entity", "converged"].gpu_hours == pytest.approx(14.0)
    assert line["entity", "converged"].usd is None


def test_what_nobody_said_costs_nothing_that_is_known() -> None:
    line = lines(found(converged("entity", 200)))["entity", "converged"]
    assert (line.gpu_hours, line.usd) == (None, None)
    assert "GPU-hours" not in line.line


def test_a_falling_ability_names_its_best_checkpoint() -> None:
    said = lines(found(converged("ocr", 300), declines=(decline("ocr"),)))
    line = said["ocr", "falling"]
    assert ("ocr", "converged") not in said
    assert line.steps == (400, 100)  # falling since the best until then; the earliest as good
    assert "best checkpoint for it is step 100" in line.line
    assert line.confidence == pytest.approx(0.996)
    assert line.evidence == ("decline:ocr:900",)


def test_a_decline_that_was_made_good_is_none_any_more() -> None:
    longer = {name: [*counts, *counts[-1:] * 5] for name, counts in FALLING.items()}
    back = series({**longer, "ocr": [300] * 5 + [270] * 5 + [300] * 5})
    assert standing_decline(back, found(declines=(decline("ocr"),)), "ocr") is None
    assert standing_decline(series(longer), found(declines=(decline("ocr"),)), "ocr") is not None


def test_a_conflict_names_both_and_claims_no_cause() -> None:
    said = lines(found(declines=(decline("ocr"),), conflicts=(conflict("counting", "ocr"),)))
    line = said["ocr", "in_conflict"]
    assert "in conflict with counting" in line.line
    assert "step 600: mix: ocr 1 -> 3" in line.line
    assert "no cause is claimed" in line.line
    mix = said["run", "change_mix"]
    assert "more data of ocr (fell) at the expense of counting (which rose meanwhile)" in mix.line
    assert mix.confidence is None


def test_of_many_conflicts_of_a_pair_the_latest_is_told() -> None:
    older = replace(conflict("counting", "ocr"), late=(600, 700), declared_at=700)
    both = found(conflicts=(conflict("counting", "ocr"), older))
    assert newest_conflicts(both) == (conflict("counting", "ocr"),)


def test_stop_when_nothing_that_counts_may_gain() -> None:
    run = {"gpus": 1, "seconds_per_step": 36.0, "planned_steps": 2000}
    known = found(converged("entity", 300), converged("counting", 500, known=950),
                  declines=(decline("ocr"),))  # fmt: skip
    line = lines(known, run=run)["run", "stop"]
    assert line.gpu_hours == pytest.approx(5.0)  # since step 500
    assert line.confidence == 0.95
    assert "and ocr falls since step 500" in line.line
    assert "stopping now saves 10.0 GPU-hours" in line.line
    assert set(line.evidence) == {
        "convergence:entity:0", "convergence:counting:0", "decline:ocr:900",
    }  # fmt: skip


def test_an_ability_without_weight_stops_nothing() -> None:
    known = found(converged("entity", 300), Convergence("counting", "rising"))
    assert ("run", "continue") in lines(known)
    assert ("run", "stop") in lines(known, needs={"weights": {"entity": 1}})


@pytest.mark.parametrize(
    ("phase", "verdict", "word"),
    [("not_learned", "not_learned", "near chance"), ("too_few", "too_few", "too early")],
)
def test_what_may_still_come_keeps_a_run_going_without_a_promise(
    phase: str, verdict: str, word: str
) -> None:
    said = lines(found(converged("entity", 300), converged("counting", 300),
                       Convergence("ocr", phase)))  # type: ignore[arg-type]  # fmt: skip
    assert word in said["ocr", verdict].line
    assert said["run", "continue"].confidence is None
    assert "nobody can say" in said["run", "continue"].line


def test_needs_name_the_first_checkpoint_and_how_sure() -> None:
    line = lines(found(), needs={"min_score": {"counting": 0.3}})["run", "needs_met"]
    # 140 of 400 is 0.35, by two standard errors; 160 (0.40) by four.
    assert line.steps == (400,)
    assert line.confidence is not None
    assert line.confidence > 0.9
    unmet = lines(found(), needs={"min_score": {"counting": 0.95}})["run", "needs_open"]
    assert "none reaches every score" in unmet.line


def test_needs_of_an_ability_that_was_not_asked_are_a_mistake() -> None:
    with pytest.raises(UserError, match=r"min_score.conting.*did you mean 'counting'"):
        lines(found(), needs={"min_score": {"conting": 0.5}})


def test_without_a_checkpoint_nobody_can_say_anything() -> None:
    run = series({"ocr": [1]})
    empty = replace(run, steps=run.steps[:0], marks=run.marks.only([]), depth=())
    said = lines(Findings("r", None), empty)
    assert list(said) == [("run", "continue")]
    assert "nobody can say" in said["run", "continue"].line


def test_abilities_with_one_reason_are_said_together() -> None:
    some = [Convergence(name, "too_few") for name in ("counting", "entity", "ocr")]  # fmt: skip
    assert lines(found(*some))["run", "continue"].line.startswith(
        "run: continue: counting, ocr and entity have too few checkpoints to judge, and nobody can "
        "say whether they will gain"
    )
