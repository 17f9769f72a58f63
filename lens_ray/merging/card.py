"""The model card of a merge: `card`, and `write_card`, which puts it into the folder.

Names and paths come from recipes, so each is shown as what it is: no markup, no HTML, one line.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from lens_ray.merging.record import MergeRecord, ParentRecord, Score

if TYPE_CHECKING:
    from lens_ray.merging.verify.verification import Verification

_MARKUP = re.compile(r"([\\`*_{}\[\]<>#|~$&])")
_MERGE = "merge"


@dataclass(frozen=True, slots=True)
class Trained:
    """What was done to the weights after the merge.

    Attributes:
        briefly: Ends the sentence of how they were merged.
        section: Of the card, in Markdown.
    """

    briefly: str
    section: str


def write_card(folder: Path, record: MergeRecord, verification: Verification | None = None) -> Path:
    """Write ``README.md`` into the folder of a merge, whole or not at all.

    Of a merge that was fine-tuned (``repair.json`` lies in it) the card tells so.

    Args:
        folder: Of the merge.
        record: Of it.
        verification: What was found, where it was verified.

    Raises:
        OSError: It cannot be written.
    """
    from lens_ray.merging.repair.write import trained_of
    from lens_ray.merging.verify.provenance import CARD
    from lens_ray.merging.verify.verification import written

    return written(folder / CARD, card(record, verification, trained_of(folder)))


def card(
    record: MergeRecord,
    verification: Verification | None = None,
    trained: Trained | None = None,
) -> str:
    """The text of a model card, in Markdown with the front matter that hubs read.

    Args:
        record: Of the merge.
        verification: What was found, where it was verified.
        trained: What was done to the weights afterwards.
    """
    briefly = "nothing was trained" if trained is None else trained.briefly
    parts = [
        _front(record),
        f"# {plain(record.recipe.name or 'A merge')}\n",
        f"Merged by lens-ray from {len(record.parents)} checkpoints with the method "
        f"`{record.recipe.method}`; {briefly}.\n",
        "## Parents\n",
        _parents(record),
        "## Recipe\n",
        _fenced(json.dumps(record.recipe.model_dump(mode="json", exclude_defaults=True), indent=1)),
        *([] if trained is None else [trained.section]),
        *_scores(record),
        "## Verification\n",
        _verified(verification),
        "## Digests\n",
        f"Weights (SHA-256): `{record.weights_digest}`\n",
        _digests(record),
        f"Made {plain(record.made_at)} with {_tools(record.tools)}. `merge.json` has all of this "
        "for programs; `lens-ray merge verify` on this folder computes it again.\n",
    ]
    return "\n".join(parts)


def plain(text: str) -> str:
    """Text that Markdown shows as it is, in one line."""
    shown = "".join(c if c.isprintable() else " " for c in " ".join(text.split()))
    return _MARKUP.sub(r"\\\1", shown)


def code(text: str) -> str:
    """Text as a code span: in it nothing is a link, and no bar ends a cell."""
    shown = "".join(c if c.isprintable() and c != "`" else " " for c in text)
    return f"`{shown.replace('|', chr(92) + '|')}`"


def _front(record: MergeRecord) -> str:
    hub = [
        parent.path for parent in record.parents if re.fullmatch(r"[\w.-]+/[\w.-]+", parent.path)
    ]
    lines = ["---", "library_name: transformers", "pipeline_tag: image-text-to-text"]
    lines += ["tags: [merge, lens-ray]"]
    if hub:
        lines += [f"base_model: {json.dumps(sorted(set(hub)))}"]  # JSON is YAML
    return "\n".join([*lines, "---\n"])


def table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table; the cells are Markdown already."""
    lines = [columns, ["---"] * len(columns), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _parents(record: MergeRecord) -> str:
    weights = {parent.name: parent.weight for parent in record.recipe.parents}

    def row(parent: ParentRecord, weight: float | None) -> list[str]:
        return [
            plain(parent.name),
            code(parent.path),
            "" if parent.step is None else f"{parent.step:,}",
            "made by the method" if weight is None else f"{weight:g}",
            f"`{parent.weights_digest[:16]}`",
            "" if parent.adapter_digest is None else f"`{parent.adapter_digest[:16]}`",
        ]

    rows = [row(parent, weights.get(parent.name)) for parent in record.parents]
    if record.base is not None:
        rows.append([*row(record.base, 0.0)[:3], "base", *row(record.base, 0.0)[4:]])
    return table(("parent", "path", "step", "weight", "weights digest", "adapter"), rows)


def _scores(record: MergeRecord) -> list[str]:
    if not record.scores:
        return []
    models = [name for name in record.scores if name != _MERGE]
    models += [_MERGE] if _MERGE in record.scores else []
    abilities = list(dict.fromkeys(a for name in models for a in record.scores[name]))
    rows = [
        [plain(ability), *(_score(record.scores[name].get(ability)) for name in models)]
        for ability in abilities
    ]
    ground = plain(record.confirm or record.suite or "a suite that is not recorded")
    return [
        "## Scores\n",
        table(("ability", *(plain(name) for name in models)), rows),
        f"Corrected scores (0 is what the best answer without looking gets, 1 is perfect) with "
        f"their 95 % intervals, on {ground}"
        + (", which no step of the search has seen.\n" if record.confirm else ".\n"),
    ]


def _score(score: Score | None) -> str:
    if score is None or score.value is None:
        return "-"
    if score.low is None or score.high is None:
        return f"{score.value:.3f}"
    return f"{score.value:.3f} [{score.low:.3f}, {score.high:.3f}]"


def _verified(verification: Verification | None) -> str:
    if verification is None:
        return "Not verified yet: `lens-ray merge verify` on this folder does it.\n"
    from lens_ray.merging.verify.verification import ASKS, WORDS

    rows = [
        [tier, ASKS[tier], *(str(counts.get(v, 0)) for v in ("pass", "fail", "cannot_say",
                                                             "skipped"))]
        for tier, counts in verification.counts().items()
    ]  # fmt: skip
    policy = f"policy {plain(verification.policy.name)}"
    head = f"**{WORDS[verification.decision]}** by {policy}, {plain(verification.made_at)}.\n"
    reasons = "".join(f"- {plain(line)}\n" for line in verification.reasons[:20])
    columns = ("tier", "asks", "passed", "failed", "cannot say", "skipped")
    parts = [head, *([reasons] if reasons else []), table(columns, rows)]
    lost = "".join(f"- {plain(line)}\n" for line in verification.left_behind())
    if lost:
        parts.append("Lost against the parent that was best at it; it stops nobody:\n")
        parts.append(lost)
    return "\n".join(parts)


def _digests(record: MergeRecord) -> str:
    return table(
        ("file", "SHA-256"),
        [[code(name), f"`{digest}`"] for name, digest in sorted(record.files.items())],
    )


def _tools(tools: Mapping[str, str]) -> str:
    return ", ".join(f"{plain(name)} {plain(version)}" for name, version in sorted(tools.items()))


def _fenced(text: str) -> str:
    """A code block that nothing in the text can end: JSON has no line of backticks alone."""
    return f"```json\n{text}\n```\n"
