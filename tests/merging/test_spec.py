"""What a merge file may say; each mistake is one line with its place."""

from __future__ import annotations

from pathlib import Path

import pytest

from lens_ray.errors import JobError, UserError
from lens_ray.merging.ingredients import checkpoints_of
from lens_ray.merging.spec import MergeSpec, load_merge

START = "name: m\nsuite: mini:quick\nstore: s\n"
PARENTS = "parents:\n  - {name: a, path: x, step: 2}\n  - {name: b, path: y, step: 1}\n"


def write(folder: Path, text: str) -> Path:
    file = folder / "merge.yaml"
    file.write_text(text)
    return file


def test_the_shipped_file_is_one() -> None:
    spec = load_merge("jobs/merge_minivlm.yaml")
    assert spec.confirm == "mini:confirm"
    assert checkpoints_of(spec).final == "step-9600"


def test_defaults_stand_in_one_place(tmp_path: Path) -> None:
    spec = load_merge(write(tmp_path, START + PARENTS))
    assert spec.search.margin == 0.02
    assert spec.budget.candidates is None


def test_the_store_of_the_command_line_wins(tmp_path: Path) -> None:
    text = "name: m\nsuite: mini:quick\n" + PARENTS
    assert load_merge(write(tmp_path, text), store="there").store == "there"


def test_what_a_store_keeps_of_it_is_the_same_search(tmp_path: Path) -> None:
    spec = load_merge(write(tmp_path, START + PARENTS + "search: {groups: {vision: 'v.*'}}\n"))
    assert MergeSpec.model_validate(spec.model_dump(mode="json", exclude_defaults=True)) == spec


def test_variables_stand_where_places_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RUNS", "/runs")
    parents = "parents:\n  - {name: a, path: '${RUNS}/a'}\n  - {name: b, path: '${RUNS}/b'}\n"
    assert load_merge(write(tmp_path, START + parents)).parents[0].path == "/runs/a"
    with pytest.raises(JobError, match="only expanded in"):
        load_merge(write(tmp_path, START + PARENTS + "final: '${RUNS}'\n"))


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (START, "name the checkpoints: parents: .*or candidates: FILE"),
        (START + "parents: [{name: a, path: x}]\n", "name two or more"),
        (START + "parents:\n  - {name: a, path: x}\n  - {name: a, path: y}\n", ":6:.*parents"),
        (START + "candidates: c.yaml\n" + PARENTS, "take one of the two keys out"),
        (START + PARENTS + "final: c\n", ":7:.*final: 'c' is none of the parents; write one of a"),
        (START + "parents:\n  - {name: a, path: x, weight: 1}\n  - {name: b, path: y}\n",
         ":5:.*weight: the search finds the weights; take it out"),
        (START + PARENTS + "search: {methods: [ties]}\n", "ties is over task vectors; write anc"),
        (START + PARENTS + "search: {scales: [0]}\n", "write numbers above 0"),
        (START + PARENTS + "search: {pool: 2}\n", "3 survivors of a pool of 2; write 2 or fewer"),
        (START + PARENTS + "budget: {usd: 5}\n", "dollars need a price; write accelerator: H100"),
        (START + PARENTS + "budget: {candidates: 0}\n", ":7:.*candidates"),
        (START + PARENTS + "serach: {}\n", "did you mean 'search'|search"),
        (START + PARENTS + "search: {latice: 3}\n", "lattice"),
        (START + PARENTS + "model: {backend: openai}\n", "asks a provider"),
        (START + PARENTS + "model: {options: {batch: 3}}\n", "batch_size"),
        (START + PARENTS + "training: {seconds: -1}\n", ":7:.*seconds"),
        (START + PARENTS + "abilities: []\n", "abilities"),
        ("name: index.json\nsuite: s\nstore: s\n" + PARENTS, "a name that the store uses"),
        ("", "the file is empty; start with name:, suite:, store: and parents:"),
    ],
)  # fmt: skip
def test_mistakes(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(JobError, match=says) as caught:
        load_merge(write(tmp_path, text))
    assert "\n" not in str(caught.value)


def candidates(folder: Path, text: str) -> MergeSpec:
    (folder / "c.yaml").write_text(text)
    return load_merge(write(folder, START + f"candidates: {folder / 'c.yaml'}\n"))


def test_checkpoints_come_from_a_candidates_file(tmp_path: Path) -> None:
    text = (
        "version: 1\nbase: r@2\nancestor: root\ncheckpoints:\n"
        "  - {name: r@2, path: x, step: 2, digest: abc}\n  - {name: r@1, path: y, step: 1}\n"
    )
    found = checkpoints_of(candidates(tmp_path, text))
    assert [parent.name for parent in found.parents] == ["r@1", "r@2"]
    assert found.parents[1].digest == "abc"
    assert (found.final, found.ancestor) == ("r@2", "root")


def test_one_candidate_is_nothing_to_merge(tmp_path: Path) -> None:
    text = "version: 1\nbase: r@2\ncheckpoints:\n  - {name: r@2, path: x}\n"
    with pytest.raises(UserError, match=r"c\.yaml: one checkpoint cannot be merged with itself"):
        checkpoints_of(candidates(tmp_path, text))
