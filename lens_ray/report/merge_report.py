"""A verification as one HTML file for who answers for a merge: `write_merge_report`."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lens_ray.merging.checks import Check
from lens_ray.merging.record import MergeRecord
from lens_ray.merging.verify.policy import TIERS, Decision
from lens_ray.merging.verify.verification import ASKS, WORDS, Verification
from lens_ray.report.page import static_page, write_page
from lens_ray.report.safe import visible, visible_line

if TYPE_CHECKING:
    from markupsafe import Markup

_MEANING: Mapping[Decision, str] = {
    "go": "Everything that the policy demands was looked at, and nothing stands against it.",
    "no_go": "This merge must not be shipped; what stands against it:",
    "cannot_say": "Nothing was found to fail, and this is no GO. What is not decided:",
}
_CLASSES: Mapping[str, str] = {
    "go": "right", "no_go": "wrong", "cannot_say": "partly",
    "pass": "right", "fail": "wrong", "skipped": "none",
    "improved": "right", "held": "right", "regressed": "wrong", "inconclusive": "partly",
}  # fmt: skip
_VERDICTS = {"pass": "held", "fail": "failed", "cannot_say": "cannot say", "skipped": "skipped"}
#: Width of the picture of an interval, and the least difference that it reaches to.
_WIDTH, _REACH = 180.0, 0.05


def write_merge_report(verification: Verification, out: str | Path) -> Path:
    """Write one self-contained HTML file, which loads nothing and runs nothing.

    Args:
        verification: What was found.
        out: File to write; an older one is replaced when the new one is complete.

    Returns:
        The file.

    Raises:
        UserError: The file cannot be written.
        EnvironmentFailure: The disk is full or fails.
    """
    return write_page(out, lambda: render(verification))


def render(verification: Verification) -> str:
    """The page's text."""
    return static_page("merge.html.jinja", ("report.css", "merge.css"), **_view(verification))


def _view(found: Verification) -> dict[str, Any]:
    record = found.record
    title = record.recipe.name or Path(found.folder).name
    return {
        "name": visible_line(title),
        "folder": visible_line(found.folder),
        "digest": record.weights_digest[:16] or "not known",
        "decision": {
            "words": WORDS[found.decision], "class": _CLASSES[found.decision],
            "meaning": _MEANING[found.decision],
        },
        "reasons": [visible_line(line) for line in found.reasons],
        "method": record.recipe.method,
        "parents": _parents(record),
        "recipe": _pretty(record.recipe.model_dump(mode="json", exclude_defaults=True)),
        "abilities": _abilities(found, "ability"),
        "of_final": _abilities(found, "ability_of_final"),
        "left_behind": [visible_line(line) for line in found.left_behind()],
        "trained": _was_trained(found),
        "ground": _ground(found.ground),
        "critical": [
            _check(check, decision)
            for check, decision in found.of("V4")
            if check.name.startswith("critical")
        ],
        "tiers": [_tier(found, place) for place in range(len(TIERS))],
        "policy_name": found.policy.name,
        "policy_text": _pretty(found.policy.model_dump(mode="json")),
        "provenance": _facts(found),
        "files": sorted((visible_line(name), digest) for name, digest in record.files.items()),
        "command": f"lens-ray merge verify {visible_line(shlex.quote(found.folder))}",
    }  # fmt: skip


def _parents(record: MergeRecord) -> list[dict[str, str]]:
    weights = {parent.name: parent.weight for parent in record.recipe.parents}
    rows = [*record.parents, *([record.base] if record.base is not None else [])]
    return [
        {
            "name": visible_line(one.name),
            "path": visible_line(one.path),
            "step": "" if one.step is None else f"{one.step:,}",
            "weight": "base" if one is record.base else _number(weights.get(one.name)),
            "digest": one.weights_digest[:16],
        }
        for one in rows
    ]


def _was_trained(found: Verification) -> bool:
    """Whether the weights were trained after the merge."""
    return any((check.tier, check.name) == ("V5", "repair") for check in found.checks)


def _abilities(found: Verification, name: str) -> list[dict[str, Any]]:
    return [_ability(check) for check, _ in found.of("V4") if check.name == name]


def _ability(check: Check) -> dict[str, Any]:
    figures = check.figures
    merge, best = _float(figures, "merge"), _float(figures, "best")
    low, high = _float(figures, "low"), _float(figures, "high")
    outcome = str(figures.get("outcome") or check.verdict)
    difference = None if merge is None or best is None else merge - best
    return {
        "ability": visible_line(check.subject or ""),
        "outcome": visible_line(outcome),
        "class": _CLASSES.get(outcome, "none"),
        "merge": _number(merge),
        "best": _number(best),
        "parent": visible_line(str(figures.get("best_parent") or "")),
        "difference": "-" if difference is None else f"{difference:+.3f}",
        "picture": _picture(difference, low, high, _float(figures, "margin")),
        "n": _number(_float(figures, "n")),
    }


def _picture(
    difference: float | None, low: float | None, high: float | None, margin: float | None
) -> Markup | str:
    """The interval of a difference, with zero and the margin, and the same in words."""
    from lens_ray.report.svg import Scale, tag

    if difference is None or low is None or high is None:
        return "-"
    reach = max(_REACH, 1.1 * abs(low), 1.1 * abs(high), 1.5 * (margin or 0.0))
    place = Scale(-reach, reach, 4.0, _WIDTH - 4.0)
    words = f"[{low:+.3f}, {high:+.3f}]" + (f", margin {-margin:+.3f}" if margin else "")
    parts = [
        tag("title", words),
        tag("path", d=f"M{place(0.0):.1f} 2V20", class_="zero"),
        tag("path", d=f"M{place(low):.1f} 11H{place(high):.1f}", class_="span"),
        tag("circle", cx=place(difference), cy=11, r=4, class_="dot"),
    ]
    if margin:
        parts.append(tag("path", d=f"M{place(-margin):.1f} 2V20", class_="margin"))
    picture = tag(
        "svg", *parts, viewBox=f"0 0 {_WIDTH:.0f} 22", width=int(_WIDTH), height=22, role="img",
        aria_label=words,
    )  # fmt: skip
    return picture + tag("span", words, class_="interval")


def _tier(found: Verification, place: int) -> dict[str, Any]:
    tier = TIERS[place]
    seconds = found.seconds.get(tier)
    return {
        "name": tier,
        "asks": ASKS[tier],
        "seconds": None if seconds is None else f"{seconds:.1f} s",
        "demanded": tier in found.policy.tiers,
        "checks": [_check(check, decision) for check, decision in found.of(tier)],
    }


def _check(check: Check, decision: Decision) -> dict[str, Any]:
    subject = f" ({check.subject})" if check.subject is not None else ""
    return {
        "verdict": _VERDICTS[check.verdict],
        "class": _CLASSES[check.verdict],
        "name": visible_line(f"{check.name}{subject}"),
        "what": visible_line(check.what),
        "figures": [(visible_line(key), _number(one)) for key, one in check.figures.items()],
        "decides": WORDS[decision],
    }


def _ground(told: Mapping[str, Any]) -> str:
    if not told:
        return ""
    splits = told.get("splits")
    of = f", {', '.join(map(str, splits))} samples only" if isinstance(splits, Sequence) else ""
    return visible_line(
        f"Suite {told.get('suite')} ({str(told.get('suite_digest'))[:12]}){of}, answered through "
        f"{told.get('backend')}."
    )


def _facts(found: Verification) -> list[tuple[str, str]]:
    record = found.record
    facts = {
        "merged": record.made_at,
        "merged with": _versions(record.tools),
        "verified": found.made_at,
        "verified with": _versions(found.tools),
        "weights": record.weights_digest,
        "suite": f"{record.suite} ({record.suite_digest})" if record.suite else "",
        "confirmed on": record.confirm or "",
        "store": str(found.ground.get("store") or record.store or ""),
        "runs": _pretty(found.ground["runs"]) if "runs" in found.ground else "",
    }
    return [(key, visible(value)) for key, value in facts.items() if value]


def _versions(tools: Mapping[str, str]) -> str:
    return ", ".join(f"{name} {version}" for name, version in sorted(tools.items()))


def _pretty(value: object) -> str:
    return visible(json.dumps(value, indent=1, ensure_ascii=False))


def _float(figures: Mapping[str, object], name: str) -> float | None:
    value = figures.get(name)
    return float(value) if isinstance(value, int | float) else None


def _number(value: object) -> str:
    if value is None:
        return "-"
    if isinstance(value, float):
        return f"{value:,.0f}" if value.is_integer() and abs(value) >= 2 else f"{value:.4g}"
    return visible_line(f"{value:,}" if isinstance(value, int) else str(value))
