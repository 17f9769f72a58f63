"""What is marked together, against the peers' own aggregation: MME, MMBench, ConBench."""

from __future__ import annotations

import dataclasses
import random
from collections import Counter

import pyarrow as pa
import pytest

from lens_ray.scoring.mark import mark
from lens_ray.stats.units import marked_units
from lens_ray.suites.sample import Sample
from tests.peers.pairs import MAKERS, Case, answer
from tests.peers.peer import CURRENT, REFERENCE, ask

pytestmark = pytest.mark.peers

GROUPS = 300
PEERS = (REFERENCE, CURRENT)


def groups_of(source: str, sizes: tuple[int, ...]) -> list[list[tuple[Case, str]]]:
    """Questions of one image or one base question, mostly answered right."""
    rng = random.Random(f"groups-{source}")
    made: list[list[tuple[Case, str]]] = []
    for number in range(GROUPS):
        group: list[tuple[Case, str]] = []
        for place in range(rng.choice(sizes)):
            case = _case(source, place, rng)
            case.row.update(
                {"question_id": f"{number}", "image_id": f"{number}", "category": "count",
                 "index": number + place * 10**6}
            )  # fmt: skip
            text = case.golds[0] if rng.random() < 0.75 else answer(case, rng)
            group.append((case, text))
        made.append(group)
    return made


def _case(source: str, place: int, rng: random.Random) -> Case:
    case = MAKERS[source](rng)
    wanted = ("N/Y", "Choices", "Q/A")[place % 3]
    while source == "conbench" and case.row["question_field"] != wanted:
        case = MAKERS[source](rng)
    return case


def ours(groups: list[list[tuple[Case, str]]]) -> list[float]:
    """The marks of the units that `marked_units` makes of the rows, in the order of the groups."""
    rows = []
    for number, group in enumerate(groups):
        for place, (case, text) in enumerate(group):
            sample = dataclasses.replace(case.sample, sample_id=f"x/{number:04}-{place}")
            rows.append(_row(sample, text, f"{number:04}"))
    units = marked_units(pa.Table.from_pylist(rows))
    assert len(units.score) == len(groups)
    return [float(score) for score in units.score]


def _row(sample: Sample, text: str, group: str) -> dict[str, object]:
    outcome = mark(sample, text, "stop")
    return {
        "sample_id": sample.sample_id, "ability": "ocr", "subtask": "one", "status": outcome.status,
        "score": outcome.score, "chance": 0.0, "upper": 1.0, "metric": sample.metric,
        "cluster_id": group, "group_id": group,
    }  # fmt: skip


@pytest.mark.parametrize("peer", PEERS)
@pytest.mark.parametrize(
    ("source", "sizes", "scale"),
    [("mme", (2,), 200.0), ("mmbench", (2, 3, 4), 1.0), ("conbench", (3,), 1.0)],
)
def test_groups(source: str, sizes: tuple[int, ...], scale: float, peer: str) -> None:
    groups = groups_of(source, sizes)
    work = [[[case.row, text] for case, text in group] for group in groups]
    theirs = ask(peer, f"groups_{source}", work)
    own = ours(groups)
    pairs = [(a, b * scale) for a, b in zip(theirs, own, strict=True) if a != "judge"]
    marks = Counter(mark for mark, _ in pairs)
    print(f"{source} groups ({peer}): {len(pairs)} of {GROUPS} compared, marks {dict(marks)}")
    assert [a for a, _ in pairs] == [b for _, b in pairs]
    assert len(pairs) >= 200
    assert min(marks.values()) >= 10
