"""How the merge answers, whatever is right: consistency with the parents, refusals, format."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lens_ray.merging.checks import Check
from lens_ray.merging.verify.bounded import p_values
from lens_ray.stats.figures import Figures
from lens_ray.stats.gate.bounds import Bounded, measured
from lens_ray.stats.marks import Facet, Marks
from lens_ray.stats.multiplicity import holm
from lens_ray.stats.units import Floats

if TYPE_CHECKING:
    from lens_ray.merging.verify.policy import BehaviourLimits
    from lens_ray.merging.verify.tiers import BehaviourGround

#: Statuses of answers that are not read, by the name of the check.
_UNREAD = {"refused": ("refused",), "unparsed": ("unparsed", "truncated")}
_ALL = "all"


def habits(ground: BehaviourGround, limits: BehaviourLimits) -> tuple[Check, ...]:
    """``consistency``, ``refused`` and ``unparsed``."""
    most = {"refused": limits.refused_by, "unparsed": limits.unparsed_by}
    return (
        consistency(ground, limits),
        *(rate(ground, name, statuses, most[name], limits) for name, statuses in _UNREAD.items()),
    )


def consistency(ground: BehaviourGround, limits: BehaviourLimits) -> Check:
    """On how many samples that all parents answer alike the merge answers so too."""
    told = [_column(ground, label, "extracted") for label in (ground.merge, *ground.parents)]
    shared = [one for one in told[0] if all(one in answers for answers in told[1:])]
    alike = [one for one in shared if len({_plain(answers[one]) for answers in told[1:]}) == 1]
    same = sum(_plain(told[0][one]) == _plain(told[1][one]) for one in alike)
    if not alike:
        return Check("V4", "consistency", "cannot_say", "no sample has one answer of all parents")
    share, limit = same / len(alike), limits.consistency
    figures = {"alike": len(alike), "same": same, "share": share, "limit": limit}
    wanted = "reported only" if limit is None else f"at least {limit:.1%} are asked for"
    what = f"{share:.1%} of {len(alike)} samples that all parents answer alike are kept ({wanted})"
    good = limit is None or share >= limit
    return Check("V4", "consistency", "pass" if good else "fail", what, figures)


def rate(
    ground: BehaviourGround,
    name: str,
    statuses: Sequence[str],
    by: float,
    limits: BehaviourLimits,
) -> Check:
    """Whether answers of some statuses became more frequent than the worst parent has them.

    It passes where the bound of the difference over all samples is within the limit. It fails
    where that difference, or that of an ability (Holm over these), is beyond the limit and not by
    chance: a merge may refuse in one ability only.
    """
    labels = (ground.merge, *ground.parents)
    flags = _flags(ground, labels, statuses)
    worst = max(ground.parents, key=lambda parent: float(np.mean(flags.score[flags.place(parent)])))
    found = measured(flags.only((ground.merge, worst)), _shares(flags))
    whole = found[_ALL]
    assert whole.estimate is not None
    assert whole.bounds is not None
    low, high = whole.bounds(limits.level)
    guilty = _guilty(found, by, limits.fault_share)
    figures: dict[str, float | int | str | None] = {
        "merge": whole.candidate, "parent": worst, "parents": whole.baseline,
        "difference": whole.estimate, "low": low, "high": high, "limit": by, "n": whole.n,
    }  # fmt: skip
    what = (
        f"{whole.candidate:.2%} of {whole.n} answers are {' or '.join(statuses)}, of {worst} "
        f"{whole.baseline:.2%}; at most {by:.2%} more are allowed, up to {high:+.2%} are possible"
    )
    verdict: Literal["pass", "fail", "cannot_say"] = "pass" if high < by else "cannot_say"
    if guilty is not None:
        verdict = "fail"
        first = found[guilty]
        what += f"; {guilty}: {first.candidate:.2%} against {first.baseline:.2%}"
    subject = guilty if guilty not in (None, _ALL) else None
    return Check("V4", name, verdict, what, figures, subject=subject)


def _guilty(found: dict[str, Bounded], by: float, level: float) -> str | None:
    """The figure that is beyond the limit and surely above 0, the clearest one."""
    names = [name for name, one in found.items() if one.bounds is not None]
    p = dict(zip(names, holm([p_values(found[name], 0.0)[0] for name in names]), strict=True))
    beyond = [name for name in names if (found[name].estimate or 0.0) > by and p[name] <= level]
    return min(beyond, key=lambda name: p[name], default=None)


def _flags(ground: BehaviourGround, labels: Sequence[str], statuses: Sequence[str]) -> Marks:
    """Marks of samples: 1 where the status is one of these."""
    columns = [_column(ground, label, "status") for label in labels]
    first = ground.rows[ground.merge]
    known = [one for one in columns[0] if all(one in column for column in columns[1:])]
    kept = first.filter(pc.is_in(first["sample_id"], value_set=pa.array(known, pa.string())))
    ids = kept["sample_id"].to_pylist()
    names, code = np.unique(np.array(kept["ability"].to_pylist()), return_inverse=True)
    clusters, cluster = np.unique(np.array(kept["cluster_id"].to_pylist()), return_inverse=True)
    code = code.reshape(-1).astype(np.int64)
    score = np.array([[column[one] in statuses for one in ids] for column in columns], dtype=float)
    return Marks(
        models=tuple(labels), runs=(), suite=ground.marks.suite,
        suite_digest=ground.marks.suite_digest, ids=tuple(ids),
        strata=tuple((str(name), str(name)) for name in names), stratum=code,
        cluster=cluster.reshape(-1).astype(np.int64), clusters=len(clusters),
        chance=np.zeros(len(ids)), upper=np.ones(len(ids)), score=score, weights={},
        facets={"ability": Facet(tuple(str(name) for name in names), code)},
    )  # fmt: skip


def _shares(flags: Marks) -> Figures:
    """The share of each ability, and of all samples."""
    width = len(flags.strata)
    size = np.bincount(flags.stratum, minlength=width).astype(np.float64)
    slope: Floats = np.vstack([np.eye(width), size / size.sum()])
    names = (*(ability for ability, _ in flags.strata), _ALL)
    return Figures(names, slope, np.zeros(width + 1), {})


def _column(ground: BehaviourGround, label: str, column: str) -> dict[str, Any]:
    rows = ground.rows[label]
    return dict(zip(rows["sample_id"].to_pylist(), rows[column].to_pylist(), strict=True))


def _plain(answer: object) -> str | None:
    """An answer without case and blanks; None is one too: nothing could be read."""
    return " ".join(answer.split()).casefold() if isinstance(answer, str) else None
