"""`verify_merge` whole: real merges, a real Ray where answers are needed, and a policy."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
import torch
from safetensors.torch import save_file

from lens_ray.asking_merges import Asking, _final, _trouble, ground_of, host_of, last_of
from lens_ray.engine.cluster import Cluster
from lens_ray.errors import CheckpointError, Incomplete, UserError
from lens_ray.evaluate import ModelReport
from lens_ray.merging.apply import apply_recipe
from lens_ray.merging.recipe import dump_recipe
from lens_ray.merging.record import FILE, MergeRecord
from lens_ray.merging.verify.kin import folded, gather_kin
from lens_ray.merging.verify.policy import Policy
from lens_ray.merging.verify.provenance import read_record
from lens_ray.merging.verify.verification import Verification
from lens_ray.models.checkpoint import WEIGHTS
from lens_ray.models.resolve import resolve
from lens_ray.models.spec import ModelSpec
from lens_ray.online.spec import HostSpec
from lens_ray.store import Store
from lens_ray.suites.suite import load_suite
from lens_ray.verifying import verify_merge
from tests.merging.verify import merges
from tests.merging.verify.merges import ONE, THREE, UP, change, recipe_of, tensors

CHEAP = Policy(tiers=("V1", "V5"))


merge, pristine = merges.merge, merges.pristine


def cheap(folder: Path | str, **given: Any) -> Verification:
    return verify_merge(folder, **{"policy": CHEAP, "tiers": ("V1", "V5"), **given})


def names(found: Verification, verdict: str) -> list[str]:
    return [f"{one.tier}.{one.name}" for one in found.checks if one.verdict == verdict]


def test_a_sound_merge_is_a_go_and_its_folder_tells_so(merge: Path) -> None:
    before = (merge / FILE).read_bytes()
    found = cheap(merge, again=True)
    assert (found.decision, found.reasons) == ("go", ())
    assert "V5.rerun" in names(found, "pass")
    told = json.loads((merge / "verification.json").read_text())
    assert told["decision"] == "GO"
    assert told["weights_digest"] == read_record(merge).weights_digest
    assert "**GO** by policy built-in" in (merge / "README.md").read_text()
    assert (merge / FILE).read_bytes() == before
    assert not [path for path in merge.parent.iterdir() if path.name.startswith(".verify-")]
    assert cheap(merge).decision == "go"  # what was written counts as no change


def test_a_spoilt_merge_is_a_no_go_with_its_reasons(merge: Path) -> None:
    change(merge, lambda held: held[UP.format(0)].mul_(1.5))
    found = cheap(merge)
    assert found.decision == "no_go"
    assert names(found, "fail") == ["V1.recomputed", "V1.between", "V5.files", "V5.weights"]
    assert UP.format(0) in found.reasons[0]
    assert "**NO-GO**" in (merge / "README.md").read_text()


def test_a_merge_in_a_bucket_is_verified_as_a_copy(
    merge: Path, moto: str, bucket_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LENS_RAY_HOME", str(tmp_path / "home"))
    told = json.loads((merge / FILE).read_text())
    (merge / "LICENSE").write_text("free")
    told["files"]["LICENSE"] = hashlib.sha256(b"free").hexdigest()
    (merge / FILE).write_text(json.dumps(told))
    name, _, prefix = bucket_url.removeprefix("s3://").partition("/")
    client = boto3.client("s3", endpoint_url=moto)
    for path in merge.iterdir():
        client.upload_file(str(path), name, f"{prefix}/merge/{path.name}")
    found = cheap(f"{bucket_url}/merge")
    assert (found.decision, found.reasons) == ("go", ())
    listed = client.list_objects_v2(Bucket=name, Prefix=f"{prefix}/merge/")["Contents"]
    assert len(listed) == len(list(merge.iterdir()))  # nothing is written there


def test_what_cannot_be_computed_is_not_tried_after_a_broken_structure(merge: Path) -> None:
    (merge / WEIGHTS).write_bytes((merge / WEIGHTS).read_bytes()[:-1])
    found = verify_merge(merge, tiers=("V0", "V1", "V2", "V3", "V4"), write=False)
    assert names(found, "fail") == ["V0.readable"]
    skipped = [one for one in found.checks if one.verdict == "skipped"]
    assert [one.tier for one in skipped] == ["V1", "V2", "V3", "V4"]
    assert all("V0 readable failed" in one.what for one in skipped)
    assert found.decision == "no_go"


def test_the_folder_can_be_left_as_it_is(merge: Path) -> None:
    before = sorted((path.name, path.stat().st_mtime_ns) for path in merge.iterdir())
    cheap(merge, write=False)
    assert sorted((path.name, path.stat().st_mtime_ns) for path in merge.iterdir()) == before


def test_a_merge_of_another_tool_takes_its_recipe(merge: Path, tmp_path: Path) -> None:
    (merge / FILE).unlink()
    with pytest.raises(CheckpointError, match="--recipe"):
        cheap(merge)
    path = tmp_path / "recipe.yaml"
    path.write_text(dump_recipe(recipe_of()))
    found = cheap(merge, recipe=path)
    assert "V1.recomputed" in names(found, "pass")
    assert names(found, "skipped") == ["V5.files", "V5.weights", "V5.parent", "V5.parent"]
    assert found.decision == "cannot_say"  # nobody wrote down what was merged
    assert not (merge / "verification.json").exists()


def test_another_recipe_than_the_recorded_one_is_refused(merge: Path) -> None:
    with pytest.raises(UserError, match="another recipe"):
        cheap(merge, recipe=recipe_of(shard_gb=1.0))


def test_a_parent_that_lies_elsewhere_is_found_there_and_an_unknown_name_is_not(
    tmp_path: Path,
) -> None:
    first = Path(shutil.copytree(resolve(THREE), tmp_path / "first"))
    recipe = recipe_of(parents=[{"name": "end", "path": str(first), "weight": 1.0}])
    apply_recipe(recipe, tmp_path / "merge", durable=False, check=False)
    first.rename(tmp_path / "second")
    assert cheap(tmp_path / "merge", write=False).decision == "cannot_say"
    moved = {"end": str(tmp_path / "second")}
    found = cheap(tmp_path / "merge", parents=moved, again=True, write=False)
    assert found.decision == "go"
    with pytest.raises(UserError, match="no parent is called 'ende'; there are: end"):
        cheap(tmp_path / "merge", parents={"ende": "x"})


def adapter(folder: Path) -> str:
    """A LoRA adapter of two modules, as PEFT saves them."""
    folder.mkdir()
    config = {"peft_type": "LORA", "r": 2, "lora_alpha": 4, "target_modules": ["up_proj"]}
    (folder / "adapter_config.json").write_text(json.dumps(config))
    draw = torch.Generator().manual_seed(1)
    held = {}
    for layer in (0, 1):
        shape = tensors(Path(resolve(THREE)))[UP.format(layer)].shape
        name = f"base_model.model.{UP.format(layer).removesuffix('.weight')}"
        held[f"{name}.lora_A.weight"] = torch.randn(2, shape[1], generator=draw) / 10
        held[f"{name}.lora_B.weight"] = torch.randn(shape[0], 2, generator=draw) / 10
    save_file(held, folder / "adapter_model.safetensors")
    return str(folder)


def test_a_parent_with_an_adapter_is_verified_and_run_with_it(tmp_path: Path) -> None:
    lora = adapter(tmp_path / "lora")
    parents = [
        {"name": "switch", "path": ONE, "weight": 0.5},
        {"name": "tuned", "path": THREE, "weight": 0.5, "adapter": lora},
    ]
    apply_recipe(recipe_of(parents=parents), tmp_path / "merge", durable=False, check=False)
    found = cheap(tmp_path / "merge", again=True)
    assert found.decision == "go"
    kin = gather_kin(read_record(tmp_path / "merge"), digest=False)
    with folded(kin, tmp_path / "merge") as whole:
        one, two = (ingredient.folder for ingredient in whole.ingredients)
        assert one == Path(resolve(ONE))
        mine, bare = tensors(two)[UP.format(0)], tensors(Path(resolve(THREE)))[UP.format(0)]
        assert not mine.equal(bare)
    assert not two.exists()
    config = tmp_path / "lora" / "adapter_config.json"
    config.write_text(json.dumps({**json.loads(config.read_text()), "lora_alpha": 8}))
    found = cheap(tmp_path / "merge")
    assert names(found, "fail") == ["V1.recomputed", "V1.between", "V5.parent"]


def test_a_merge_that_was_fine_tuned_is_not_held_against_its_recipe(merge: Path) -> None:
    record = read_record(merge)
    (merge / "repair.json").write_text(json.dumps({"start_digest": record.weights_digest}))
    change(merge, lambda held: held[UP.format(0)].mul_(1.5))
    found = cheap(merge, again=True, write=False)
    assert names(found, "skipped") == ["V1.repaired"]
    assert "V5.rerun" in names(found, "pass")
    assert "V5.repair" in names(found, "fail")  # half a record is none
    assert found.decision == "no_go"  # the record was not written anew: V5 files


def test_without_a_store_or_a_suite_behaviour_is_not_asked(merge: Path) -> None:
    found = verify_merge(merge, tiers=("V4",), write=False)
    assert found.checks[0].what.startswith("no store")
    asking = Asking(store=str(merge.parent / "store"))
    found = verify_merge(merge, tiers=("V4",), asking=asking, write=False)
    assert found.checks[0].what.startswith("no suite")


def test_it_is_asked_where_no_step_of_the_search_has_looked(pristine: Path) -> None:
    record = read_record(pristine)

    def told(**facts: Any) -> MergeRecord:
        return record.model_copy(update=facts)

    assert ground_of(told(suite="mini:full"), Asking()) == ("mini:full", ("sealed",))
    sealed = told(suite="mini:full", confirm="sealed")
    assert ground_of(sealed, Asking()) == ("mini:full", ("sealed",))
    other = told(suite="mini:full", confirm="mini:confirm")
    assert ground_of(other, Asking()) == ("mini:confirm", None)
    assert ground_of(other, Asking(suite="mini:quick")) == ("mini:quick", None)
    assert last_of(record) == "end"


def test_a_model_that_is_not_answered_whole_is_no_verdict_on_the_merge() -> None:
    def report(status: str, code: int = 0) -> ModelReport:
        return ModelReport("m", None, status, "why", 1, 0, 0, exit_code=code)

    whole = report("complete")
    assert _trouble({"end": whole, "merge": whole}) is None
    assert "why" in (_trouble({"end": whole, "merge": report("failed", 2)}) or "")
    with pytest.raises(Incomplete, match="end"):
        _trouble({"end": report("failed", 2), "merge": whole})
    with pytest.raises(Incomplete, match="merge"):
        _trouble({"end": whole, "merge": report("failed", 5)})


@pytest.fixture(scope="module")
def ray() -> Iterator[None]:
    with Cluster() as one:
        one.start()
        yield


def test_the_merge_and_its_parents_are_asked_once(
    merge: Path, tmp_path: Path, ray: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the engine, with the backend ``fake``: whose answers differ from path to path."""
    asking = Asking(
        store=str(tmp_path / "store"), suite="mini:quick", splits=("anchor",),
        host=HostSpec(backend="fake", replicas=1),
    )  # fmt: skip
    found = verify_merge(merge, tiers=("V4",), asking=asking)
    assert found.decision in ("no_go", "cannot_say")
    abilities = {one.subject for one in found.checks if one.name == "ability"}
    assert len(abilities) == 6
    assert found.ground["final"] == "end"
    assert set(found.ground["runs"]) == {"switch", "end", "merge"}
    store = Store(tmp_path / "store")
    assert len(store.runs()) == 5  # three, and two without their images
    assert host_of(store, read_record(merge).weights_digest).backend == "transformers"

    def refuse(*given: object) -> None:
        raise AssertionError("nothing is left to be asked")

    monkeypatch.setattr("lens_ray.evaluate._drive", refuse)
    again = verify_merge(merge, tiers=("V4",), asking=asking)
    assert again.checks == found.checks
    _final_is_found_in_the_store(store, read_record(merge))


def _final_is_found_in_the_store(store: Store, record: MergeRecord) -> None:
    """As a parent by its name, as another checkpoint by its run, else as the last parent."""
    suite, host = load_suite("mini:quick"), HostSpec(backend="fake")
    parents = {one.name: host.model_spec(one.name, one.path) for one in record.recipe.parents}

    def final(name: str, specs: dict[str, ModelSpec]) -> str | None:
        told = record.model_copy(update={"models": {"final": name}})
        return _final(told, store, suite, host, specs)

    assert final("switch", dict(parents)) == "switch"
    assert final("nobody", dict(parents)) == "end"
    others = {"end": parents["end"]}
    assert final("switch", others) == "final"
    assert others["final"].path == ONE
