from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from lens_ray.errors import EnvironmentFailure, JobError, UserError
from lens_ray.online.candidates import (
    Candidate,
    Candidates,
    candidates_of,
    dump_candidates,
    load_candidates,
    write_candidates,
)
from lens_ray.online.findings import Findings
from tests.online.hand_made import conflict, series

RUN = series({"ocr": [100, 150, 300, 200, 220, 210], "entity": [300, 200, 150, 150, 160, 150]})
PATHS = {step: f"/runs/r/step-{step}" for step in RUN.steps.tolist()}


def test_the_best_of_each_the_end_and_the_last_before_a_fall() -> None:
    findings = Findings("r", 600, conflicts=(conflict("entity", "ocr"),))
    found = candidates_of(RUN, findings, PATHS, margin=0.02)
    assert {each.step: each.why for each in found.checkpoints} == {
        100: ("best of entity",),
        300: ("best of ocr", "best of overall"),
        500: ("before ocr fell",),
        600: ("end",),
    }
    assert found.base == "r@600"
    assert found.base_checkpoint.path == "/runs/r/step-600"
    assert found.checkpoints[0].scores == {"ocr": 0.25, "entity": 0.75, "overall": 0.5}
    assert found.checkpoints[1].best_of == ("ocr", "overall")


def test_only_checkpoints_that_are_there() -> None:
    left = {step: path for step, path in PATHS.items() if step in (200, 400)}
    found = candidates_of(RUN, Findings("r", 600), left, margin=0.02)
    assert [each.step for each in found.checkpoints] == [200, 400]
    with pytest.raises(UserError, match="run r: no checkpoint that was asked is there"):
        candidates_of(RUN, Findings("r", 600), {}, margin=0.02)


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    found = candidates_of(RUN, Findings("r", 600), PATHS, margin=0.02)
    write_candidates(found, tmp_path / "c.yaml")
    assert load_candidates(tmp_path / "c.yaml") == found
    assert [file.name for file in tmp_path.iterdir()] == ["c.yaml"]
    with pytest.raises(EnvironmentFailure, match="cannot be written"):
        write_candidates(found, tmp_path / "missing" / "c.yaml")


names = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._@+-]{0,20}", fullmatch=True)
words = st.text(st.characters(blacklist_categories=("Cs", "Cc")), min_size=1, max_size=20)


@settings(max_examples=25)
@example(["08", "1e5"], "0", {})
@given(
    st.lists(names, min_size=1, max_size=3, unique=True),
    words,
    st.dictionaries(words, st.floats(allow_nan=False, allow_infinity=False), max_size=2),
)
def test_any_that_is_valid_survives_its_file(
    tmp_path_factory: pytest.TempPathFactory, each: list[str], text: str, scores: dict[str, float]
) -> None:
    from lens_ray.job_secrets import secret_in

    if secret_in(text) or "${" in text:
        return
    checkpoints = tuple(
        Candidate(name=name, path=text, step=k, scores=scores, why=(text,))
        for k, name in enumerate(each)
    )
    found = Candidates(version=1, base=each[-1], checkpoints=checkpoints)
    file = tmp_path_factory.getbasetemp() / "any.yaml"
    file.write_text(dump_candidates(found), encoding="utf-8")
    assert load_candidates(file) == found


BY_HAND = """\
version: 1
base: end
checkpoints:
  - {name: end, path: /r/step-600}
  - {name: old, path: "s3://b/r/step-100", why: [I like it]}
"""


def test_people_may_write_one(tmp_path: Path) -> None:
    file = tmp_path / "c.yaml"
    file.write_text(BY_HAND)
    found = load_candidates(file)
    assert [each.name for each in found.checkpoints] == ["end", "old"]
    assert found.base_checkpoint.path == "/r/step-600"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("base: end", "base: nd"), "c.yaml:2:7: base: no checkpoint is called 'nd'; did you mean"),
        (("name: old", "name: end"), "5:12: checkpoints[1].name: 'end' is the name of checkpoints"),
        (("path: /r", "pth: /r"), "4:17: checkpoints[0].pth: unknown key; did you mean 'path'?"),
        (("version: 1", "version: 2"), "c.yaml:1:10: version: 2 was found; write 1"),
        (("version: 1", "versoin: 1"), "1:1: versoin: unknown key; did you mean 'version'?"),
        (("/r/step-600", "https://me:pw@h/x"), "4:23: checkpoints[0].path: the URL carries"),
        (("why: [I like it]", "scores: {ocr: .nan}"), "checkpoints[1].scores"),
        (("base: end", "base: end\nbase: end"), "c.yaml:3:1"),
        ((BY_HAND, ""), "the file is empty; start with version: 1"),
        ((BY_HAND, "- a"), "a candidates file is a mapping"),
        ((BY_HAND, "version: 1\nbase: a\ncheckpoints: []"), "3:14: checkpoints"),
    ],
)
def test_a_mistake_has_its_place(tmp_path: Path, change: tuple[str, str], said: str) -> None:
    file = tmp_path / "c.yaml"
    file.write_text(BY_HAND.replace(*change))
    with pytest.raises(JobError) as raised:
        load_candidates(file)
    assert said in str(raised.value)
    assert "\n" not in str(raised.value)
    assert "pw" not in str(raised.value)
