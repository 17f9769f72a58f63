"""The samples that can be looked at: the same ones for every model, so that answers compare."""

from __future__ import annotations

import base64
import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lens_ray.errors import SuiteError
from lens_ray.report.safe import visible, visible_line

if TYPE_CHECKING:
    from lens_ray.store import Store
    from lens_ray.suites.sample import Sample
    from lens_ray.suites.suite import Suite

SuiteLoader = Callable[[str], "Suite"]

#: Letters of a model's text that are shown; its full length is said beside them.
SHOWN = 2_000
#: The same of an extracted answer and of a cause.
_SHOWN_BESIDE = 160
#: Larger images are shown as a smaller JPEG.
_IMAGE_BYTES = 200_000
_IMAGE_SIDE = 800
#: Scores this near to a bound have reached it.
_TINY = 1e-9
_COLUMNS = (
    "sample_id", "text", "extracted", "extraction", "score", "upper", "status", "cause",
    "finish_reason", "confidence",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Known:
    """What the rows of some runs say of a sample.

    Attributes:
        ability: Its ability.
        subtask: Its sub-benchmark.
        runs: How many of the runs have a row of it.
    """

    ability: str
    subtask: str
    runs: int


def browser_data(
    store: Store,
    *,
    name: str,
    digest: str,
    refs: Sequence[str],
    runs: Sequence[tuple[str, str]],
    samples: int,
    suite_loader: SuiteLoader,
) -> dict[str, Any]:
    """The sample browser's data of one suite, ready for JSON.

    Args:
        store: Where the rows are.
        name: Name of the suite.
        digest: Its digest.
        refs: References under which it may be loaded, best first.
        runs: Run id and label of each model, in the order of the leaderboard.
        samples: How many samples at most.
        suite_loader: Finds a suite by reference.

    Returns:
        Models, samples with their answers, and each image once. Without the suite there are
        answers and marks only, and ``trouble`` says why.
    """
    suite, trouble = _load(refs, digest, suite_loader)
    known = _known(store, [run_id for run_id, _ in runs])
    order = [sample.sample_id for sample in suite.samples] if suite else sorted(known)
    chosen = choose({each: known[each] for each in order if each in known}, samples)
    images: dict[str, int] = {}
    answers = {run_id: _answers(store, run_id, chosen) for run_id, _ in runs}
    entries = []
    for sample_id in chosen:
        entry: dict[str, Any] = {
            "id": visible_line(sample_id),
            "ability": visible_line(known[sample_id].ability),
            "subtask": visible_line(known[sample_id].subtask),
            "by": [answers[run_id].get(sample_id) for run_id, _ in runs],
        }
        if suite is not None:
            entry |= _question(suite.by_id[sample_id], images)
        entries.append(entry)
    return {
        "suite": f"{visible_line(name)} @ {digest[:12]}",
        "total": len(known),
        "trouble": trouble,
        "models": [visible_line(label) for _, label in runs],
        "samples": entries,
        "images": _images(suite, images) if suite else [],
    }


def choose(known: Mapping[str, Known], limit: int) -> list[str]:
    """At most ``limit`` samples, taken from every subtask in turn.

    Within a subtask those that most runs have come first, then the order given decides; so the
    same rows give the same choice.

    Args:
        known: The samples, in the suite's order.
        limit: How many.

    Returns:
        Their ids, in the order given.
    """
    queues: dict[tuple[str, str], list[str]] = {}
    for sample_id in sorted(known, key=lambda each: -known[each].runs):
        facts = known[sample_id]
        queues.setdefault((facts.ability, facts.subtask), []).append(sample_id)
    kept: set[str] = set()
    for turn in range(max(map(len, queues.values()), default=0)):
        for queue in (queues[key] for key in sorted(queues)):
            if turn < len(queue) and len(kept) < limit:
                kept.add(queue[turn])
    return [sample_id for sample_id in known if sample_id in kept]


def mark_word(score: float | None, upper: float | None) -> str:
    """What a score says of an answer: ``right``, ``partly``, ``wrong`` or ``none``."""
    if score is None:
        return "none"
    if score >= (1.0 if upper is None else upper) - _TINY:
        return "right"
    return "partly" if score > _TINY else "wrong"


def shortened(text: str, most: int = SHOWN) -> tuple[str, int | None]:
    """The text as it is shown, and its full length where that is more."""
    if len(text) <= most:
        return visible(text), None
    return f"{visible(text[:most])}…", len(text)


def _load(
    refs: Sequence[str], digest: str, suite_loader: SuiteLoader
) -> tuple[Suite | None, str | None]:
    """The suite, or why the best of the references does not lead to it."""
    troubles: list[str] = []
    for ref in refs:
        try:
            suite = suite_loader(ref)
        except SuiteError as error:
            troubles.append(visible_line(str(error)))
            continue
        if suite.digest == digest:
            return suite, None
        troubles.append(f"{visible_line(ref)} is now another suite, {suite.digest[:12]}")
    return None, troubles[0]


def _known(store: Store, run_ids: Sequence[str]) -> dict[str, Known]:
    """Every sample that one of the runs has a row of."""
    counts: Counter[str] = Counter()
    kinds: dict[str, tuple[str, str]] = {}
    for run_id in run_ids:
        rows = store.rows([run_id], columns=["sample_id", "ability", "subtask"]).to_pydict()
        counts.update(rows["sample_id"])
        for sample_id, *kind in zip(*rows.values(), strict=True):
            kinds[sample_id] = (str(kind[0]), str(kind[1]))
    return {
        sample_id: Known(ability, subtask, counts[sample_id])
        for sample_id, (ability, subtask) in kinds.items()
    }


def _answers(store: Store, run_id: str, chosen: Sequence[str]) -> dict[str, dict[str, Any]]:
    """A run's answers to the chosen samples, by sample id."""
    import pyarrow as pa
    import pyarrow.compute as pc

    rows = store.rows([run_id], columns=list(_COLUMNS))
    wanted = pc.is_in(rows["sample_id"], value_set=pa.array(chosen, pa.string()))
    return {row["sample_id"]: _answer(row) for row in rows.filter(wanted).to_pylist()}


def _answer(row: Mapping[str, Any]) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "mark": mark_word(row["score"], row["upper"]),
        "score": _finite(row["score"]),
        "status": row["status"],
        "how": row["extraction"],
        "finish": row["finish_reason"],
        "confidence": _finite(row["confidence"]),
    }
    if row["text"] is not None:
        shown["text"], shown["length"] = shortened(row["text"])
    for name, column in (("read", "extracted"), ("cause", "cause")):
        if row[column] is not None:
            shown[name] = shortened(row[column], _SHOWN_BESIDE)[0]
    return {name: value for name, value in shown.items() if value is not None}


def _finite(value: float | None) -> float | None:
    """The value as JSON can hold it; a NaN that a backend gave is no figure."""
    return round(value, 4) if value is not None and math.isfinite(value) else None


def _question(sample: Sample, images: dict[str, int]) -> dict[str, Any]:
    """What is asked; its images are numbered as they are met."""
    return {
        "question": visible(sample.question),
        "choices": [visible(choice) for choice in sample.choices],
        "answers": [visible(answer) for answer in sample.answers],
        "format": visible_line(sample.format),
        "domain": visible_line(sample.domain),
        "metric": visible_line(sample.metric),
        "split": sample.split,
        "chance": round(sample.chance, 3),
        "group": None if sample.group_id is None else visible_line(sample.group_id),
        "images": [images.setdefault(image, len(images)) for image in sample.images],
    }


def _images(suite: Suite, images: Mapping[str, int]) -> list[dict[str, Any]]:
    sizes = suite.image_sizes()
    shown: list[dict[str, Any]] = []
    for image in images:  # in the order of their numbers
        try:
            url, smaller = image_url(suite.image_bytes(image))
        except SuiteError as error:
            shown.append({"trouble": visible_line(str(error))})
            continue
        width, height = sizes[image]
        shown.append({"url": url, "width": width, "height": height, "smaller": smaller})
    return shown


def image_url(png: bytes) -> tuple[str, bool]:
    """An image as a ``data:`` URL, and whether it is smaller than the original."""
    if len(png) <= _IMAGE_BYTES:
        return f"data:image/png;base64,{base64.b64encode(png).decode()}", False
    from io import BytesIO

    from PIL import Image

    with Image.open(BytesIO(png)) as image:
        preview = image.convert("RGB")
    preview.thumbnail((_IMAGE_SIDE, _IMAGE_SIDE))
    buffer = BytesIO()
    preview.save(buffer, "JPEG", quality=85)
    return f"data:image/jpeg;base64,{base64.b64encode(buffer.getvalue()).decode()}", True
