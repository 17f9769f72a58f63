"""Whether a merge may be shipped: `verify_merge`, tiers V0 to V5 and a policy."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from lens_ray.asking_merges import Asking, ask_ground
from lens_ray.errors import CheckpointError, StoreUnavailable, UserError
from lens_ray.merging.checks import Check, Tier
from lens_ray.merging.recipe import Recipe, load_recipe
from lens_ray.merging.record import MergeRecord, ParentRecord
from lens_ray.merging.verify.kin import BASE, Kin, folded, gather_kin, let_go, room_beside
from lens_ray.merging.verify.look import REPAIR, Looked, look, repaired
from lens_ray.merging.verify.policy import TIERS, Policy, decide, load_policy
from lens_ray.merging.verify.provenance import read_record, rerun
from lens_ray.merging.verify.verification import Verification, in_order, keep
from lens_ray.models.checkpoint import CheckpointFacts, inspect_checkpoint
from lens_ray.models.remote import is_remote
from lens_ray.models.resolve import resolve


def verify_merge(
    folder: str | Path,
    *,
    policy: Policy | str | Path | None = None,
    tiers: Sequence[Tier] | None = None,
    recipe: Recipe | str | Path | None = None,
    parents: Mapping[str, str] | None = None,
    asking: Asking | None = None,
    again: bool = False,
    trust_remote_code: bool = False,
    write: bool = True,
    on_line: Callable[[str], None] | None = None,
) -> Verification:
    """Look at a merge in up to six tiers, and let a policy decide.

    What is found is written into the folder: ``verification.json``, and the model card anew.

    Args:
        folder: Of the merge: local, ``s3://`` or ``builtin:``.
        policy: The policy or its file; None takes the built-in one.
        tiers: Which; None takes all.
        recipe: How it was made, where its folder has no ``merge.json``.
        parents: Paths of parents that lie elsewhere now, by name.
        asking: How V4 is asked.
        again: Whether the recipe is carried out once more, and must give the same bytes (V5).
        trust_remote_code: Of checkpoints that bring their own code.
        write: Whether what is found is written into the folder.
        on_line: Told what is looked at now.

    Returns:
        What was found; a fault of the merge is no exception.

    Raises:
        UserError: The policy, the recipe or a name is wrong; the folder is no merge.
        EnvironmentFailure: The store or the cluster is out of reach.
        Incomplete: A model that is asked has too few answers.
        KeyboardInterrupt: Stopped; what was answered is stored.
    """
    rules = policy if isinstance(policy, Policy) else load_policy(policy) if policy else Policy()
    asking = asking or Asking()
    wanted = tuple(tier for tier in TIERS if tiers is None or tier in tiers)
    place = Path(resolve(str(folder)))
    record, noted = _record(place, recipe)
    _check_names(record, parents or {}, asking.final)
    kin = gather_kin(record, parents, digest="V5" in wanted, trust_remote_code=trust_remote_code)
    if not noted:
        record = _told_by(place, record, kin)
        kin = replace(kin, record=record)
    ground: Mapping[str, Any] = {}
    with folded(kin, place) as whole:
        found = look(
            place, record, whole, rules, wanted, suite=asking.suite, template=_template(asking),
            trust_remote_code=trust_remote_code, copied=is_remote(str(folder)), say=on_line,
        )  # fmt: skip
        if "V4" in wanted:
            path = str(folder) if is_remote(str(folder)) else str(place)
            ground = _behave(path, record, whole, rules, asking, found)
    let_go(kin)
    if again:
        _run_again(place, record, parents or {}, found)
    if "V5" in wanted and not noted:
        found.checks = [_unrecorded(check) for check in found.checks]
    verification = _decided(place, record, rules, found, ground)
    if write and noted and not is_remote(str(folder)):
        _write(place, record, verification)
    return verification


def _record(place: Path, recipe: Recipe | str | Path | None) -> tuple[MergeRecord, bool]:
    """The record of a merge, and whether its folder has it."""
    if recipe is None:
        return read_record(place), True
    chosen = recipe if isinstance(recipe, Recipe) else load_recipe(recipe)
    try:
        record = read_record(place)
    except CheckpointError:
        return _unseen(chosen), False
    if record.recipe != chosen:
        raise UserError(
            f"{place}: its merge.json has another recipe than the one given; leave --recipe out"
        )
    return record, True


def _unseen(recipe: Recipe) -> MergeRecord:
    """A record of which only the recipe is known, until its parents are read."""

    def of(name: str, path: str) -> ParentRecord:
        return ParentRecord(name=name, path=path, weights_digest="", shell_digest="")

    return MergeRecord(
        recipe=recipe, parents=tuple(of(one.name, one.path) for one in recipe.parents),
        base=of(BASE, recipe.base.path) if recipe.base else None,
        weights_digest="", files={}, tools={}, made_at="",
    )  # fmt: skip


def _told_by(place: Path, record: MergeRecord, kin: Kin) -> MergeRecord:
    """A record of what is there, of a merge that another tool made."""

    def of(name: str, facts: CheckpointFacts) -> ParentRecord:
        return ParentRecord(
            name=name, path=facts.folder, weights_digest=facts.weights_digest,
            shell_digest=facts.shell_digest,
        )  # fmt: skip

    try:
        digest = inspect_checkpoint(str(place)).weights_digest
    except CheckpointError:
        digest = ""
    there = [of(name, facts) for name, facts in kin.there.items()]
    return record.model_copy(
        update={
            "parents": tuple(one for one in there if one.name != BASE),
            "base": next((one for one in there if one.name == BASE), None),
            "weights_digest": digest,
        }
    )


def _unrecorded(check: Check) -> Check:
    """Without a record there is nothing that digests could be compared with."""
    if check.tier != "V5" or check.name == "rerun":
        return check
    what = "no merge.json: nobody wrote down what was merged"
    return Check("V5", check.name, "skipped", what, subject=check.subject)


def _check_names(record: MergeRecord, parents: Mapping[str, str], final: str | None) -> None:
    known = [parent.name for parent in record.recipe.parents]
    for name in (*parents, *([final] if final is not None else [])):
        if name not in known and not (name == BASE and record.recipe.base is not None):
            raise UserError(f"no parent is called {name!r}; there are: {', '.join(known)}")


def _template(asking: Asking) -> str:
    return asking.host.template if asking.host is not None else "default"


def _behave(
    path: str,
    record: MergeRecord,
    kin: Kin,
    policy: Policy,
    asking: Asking,
    found: Looked,
) -> Mapping[str, Any]:
    """V4: ask the merge and its parents, as far as they were not asked before."""
    why = found.broken or kin.missing
    if why is None and (asking.store or record.store) is None:
        why = "no store: neither the merge's record nor --store names one"
    if why is None and (asking.suite or record.confirm or record.suite) is None:
        why = "no suite: neither the merge's record nor --suite names one"
    if why is not None:
        found.take("V4", tuple, why)
        return {}
    from lens_ray.merging.verify.behaviour import behaviour
    from lens_ray.merging.verify.critical import critical

    with found.timed("V4"):
        asked = ask_ground(path, record, kin, asking)
        if asked.failed is not None:
            found.checks.append(Check("V4", "hosted", "fail", asked.failed))
            return asked.told
        ground = asked.ground
        assert ground is not None
        found.checks.extend(behaviour(ground, policy.behaviour))
        found.checks.extend(critical(ground, policy.critical))
    return asked.told


def _run_again(place: Path, record: MergeRecord, moved: Mapping[str, str], found: Looked) -> None:
    from lens_ray.merging.apply import apply_recipe

    parents = tuple(
        parent.model_copy(update={"path": moved.get(parent.name, parent.path)})
        for parent in record.recipe.parents
    )
    base = record.recipe.base
    if base is not None:
        base = base.model_copy(update={"path": moved.get(BASE, base.path)})
    recipe = record.recipe.model_copy(update={"parents": parents, "base": base})
    with found.timed("V5"), room_beside(place) as room:
        try:
            second = apply_recipe(recipe, room / "again", durable=False, check=False)
        except UserError as error:
            found.checks.append(Check("V5", "rerun", "skipped", " ".join(str(error).split())))
            return
        found.checks.append(rerun(record, second, _trained_from(place)))


def _trained_from(place: Path) -> str | None:
    """Digest of the weights that the recipe made, of a merge that was fine-tuned afterwards."""
    if repaired(place) is None:
        return None
    try:
        told = json.loads((place / REPAIR).read_bytes())
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f"{place / REPAIR}: no valid JSON ({error})") from error
    return str(told.get("start_digest", "")) if isinstance(told, dict) else ""


def _decided(
    place: Path, record: MergeRecord, policy: Policy, found: Looked, ground: Mapping[str, Any]
) -> Verification:
    checks = in_order(found.checks)
    decided = decide(policy, checks)
    tools = {name: version(name) for name in ("lens-ray", "torch", "transformers", "safetensors")}
    return Verification(
        folder=str(place),
        record=record,
        policy=policy,
        checks=checks,
        decisions=decided.each,
        decision=decided.decision,
        reasons=decided.reasons,
        made_at=datetime.now(UTC).isoformat(timespec="seconds"),
        tools={"python": sys.version.split()[0], **tools},
        ground=ground,
        seconds=found.seconds,
    )


def _write(place: Path, record: MergeRecord, verification: Verification) -> None:
    from lens_ray.merging.card import write_card

    try:
        keep(verification)
        write_card(place, record, verification)
    except OSError as error:
        reason = error.strerror or str(error)
        raise StoreUnavailable(
            f"{place}: what was found cannot be written there ({reason}); add --no-write, or make "
            "the folder writable"
        ) from error
