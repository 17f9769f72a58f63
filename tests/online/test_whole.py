"""Whether a checkpoint is whole: in a folder and, where it matters, in a bucket."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable
from pathlib import Path

import pytest

from lens_ray.errors import StoreUnavailable
from lens_ray.online.discover import Candidate
from lens_ray.online.marker import MARKER, Marker
from lens_ray.online.place import FolderPlace, open_place
from lens_ray.online.weight_scan import ScanLimit, broken_weights
from lens_ray.online.whole import NotWhole, Whole, announced_whole, examine, marker_of, what_differs
from lens_ray.testing.fake_evaluator import write_checkpoint
from lens_ray.testing.fault_proxy import Fault, FaultProxy

NAN, INFINITY = float("nan"), float("inf")


def candidate(run: Path, marker: Marker | None = None) -> Candidate:
    [folder] = FolderPlace(str(run)).folders()
    return Candidate(5, folder, marker)


def verdict(run: Path, marker: Marker | None = None) -> Whole | NotWhole:
    return examine(FolderPlace(str(run)), candidate(run, marker))


def test_a_whole_checkpoint(tmp_path: Path) -> None:
    write_checkpoint(tmp_path / "step-5")
    found = verdict(tmp_path)
    assert isinstance(found, Whole)
    assert found.broken is None
    assert "config.json" in found.files


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (lambda at: (at / "model.safetensors").unlink(), "no weights"),
        (lambda at: (at / "config.json").unlink(), "no config.json"),
        (lambda at: (at / "tokenizer.json").unlink(), "no tokenizer"),
        (lambda at: (at / "config.json").write_text('{"model_ty'), "no valid JSON"),
        (lambda at: (at / "model.safetensors").write_bytes(b""), "empty"),
        (
            lambda at: (at / "model.safetensors").write_bytes(
                (at / "model.safetensors").read_bytes()[:-4]
            ),
            "truncated",
        ),
        (lambda at: (at / "model.safetensors").rename(at / "model-00001.safetensors"), "half"),
    ],
)
def test_what_lacks_something_is_not_whole(
    tmp_path: Path, damage: Callable[[Path], object], reason: str
) -> None:
    write_checkpoint(tmp_path / "step-5")
    damage(tmp_path / "step-5")
    found = verdict(tmp_path)
    assert isinstance(found, NotWhole)
    assert reason in found.reason


def test_an_index_whose_shards_are_not_all_there(tmp_path: Path) -> None:
    in_shards(Path(write_checkpoint(tmp_path / "step-5")), 3)
    assert isinstance(verdict(tmp_path), Whole)
    (tmp_path / "step-5/model-00002-of-00003.safetensors").unlink()
    found = verdict(tmp_path)
    assert isinstance(found, NotWhole)
    assert "lacks model-00002-of-00003.safetensors" in found.reason


def test_an_announcement_counts_once_every_file_is_as_it_says(tmp_path: Path) -> None:
    at = Path(write_checkpoint(tmp_path / "step-5"))
    sizes = {path.name: path.stat().st_size for path in at.iterdir()}
    marker = Marker(step=7, announced_at="2026-11-27T12:00:00+00:00", files=sizes)
    (at / MARKER).write_bytes(marker.to_bytes())
    place = FolderPlace(str(tmp_path))
    assert marker_of(place, candidate(tmp_path).folder) == marker
    assert announced_whole(candidate(tmp_path, marker))
    (at / "model.safetensors").write_bytes(b"half")
    assert not announced_whole(candidate(tmp_path, marker))
    assert not announced_whole(candidate(tmp_path))


def test_an_announced_checkpoint_that_cannot_be_read_is_left_to_who_asks_it(tmp_path: Path) -> None:
    at = Path(write_checkpoint(tmp_path / "step-5"))
    (at / "tokenizer.json").unlink()
    marker = Marker(step=5, announced_at="t")
    found = verdict(tmp_path, marker)
    assert isinstance(found, Whole)
    assert found.doubt is not None
    assert "no tokenizer" in found.doubt


def test_the_mark_changes_with_the_model_and_not_with_what_lies_beside_it(tmp_path: Path) -> None:
    at = Path(write_checkpoint(tmp_path / "step-5"))
    first = candidate(tmp_path).folder.mark
    (at / MARKER).write_text("{}")
    (at / "optimizer.pt").write_text("x")
    (at / "trainer_state.json").write_text("{}")
    assert candidate(tmp_path).folder.mark == first
    write_checkpoint(at, seed=3, values=[1.0, 2.0])
    assert candidate(tmp_path).folder.mark != first


@pytest.mark.parametrize("value", [NAN, INFINITY, -INFINITY])
def test_weights_that_are_no_numbers(tmp_path: Path, value: float) -> None:
    write_checkpoint(tmp_path / "step-5", values=[0.0, 1.0, value])
    found = verdict(tmp_path)
    assert isinstance(found, Whole)
    assert found.broken == "1 of 1 tensors hold NaN or infinity, model.weight is one"


def tensors(kind: str, held: dict[str, bytes], width: int) -> bytes:
    header, data = {}, b""
    for name, raw in held.items():
        ends = [len(data), len(data) + len(raw)]
        header[name] = {"dtype": kind, "shape": [len(raw) // width], "data_offsets": ends}
        data += raw
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


def in_shards(folder: Path, shards: int) -> None:
    where = {}
    for number in range(shards):
        name = f"model-{number + 1:05}-of-{shards:05}.safetensors"
        (folder / name).write_bytes(tensors("F32", {f"{number}.weight": bytes(8)}, 4))
        where[f"{number}.weight"] = name
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": where}))
    (folder / "model.safetensors").unlink()


def scan(data: bytes, limit: ScanLimit | None = None) -> str | None:
    def read(name: str, start: int, length: int) -> bytes:
        return data[start : start + length]

    return broken_weights(read, {"f": len(data)}, limit or ScanLimit())


@pytest.mark.parametrize(
    ("kind", "width", "nan", "infinity", "largest"),
    [
        ("BF16", 2, "c07f", "807f", "7f7f"),
        ("F16", 2, "007e", "007c", "ff7b"),
        ("F32", 4, "0000c07f", "0000807f", "ffff7f7f"),
        ("F64", 8, "000000000000f87f", "000000000000f07f", "ffffffffffffef7f"),
    ],
)
def test_every_format(kind: str, width: int, nan: str, infinity: str, largest: str) -> None:
    zero = bytes(width)
    assert scan(tensors(kind, {"a.weight": zero + bytes.fromhex(largest)}, width)) is None
    for odd in (nan, infinity):
        found = scan(tensors(kind, {"a.weight": zero, "b.bias": bytes.fromhex(odd)}, width))
        assert found == "1 of 2 tensors hold NaN or infinity, b.bias is one"
    # A mask may be written as infinity; NaN is never meant.
    assert scan(tensors(kind, {"mask": bytes.fromhex(infinity)}, width)) is None
    assert scan(tensors(kind, {"mask": bytes.fromhex(nan)}, width)) is not None


def test_of_large_weights_the_beginnings_are_read() -> None:
    sound = bytes(1 << 17)
    data = tensors("F32", {f"{n}.weight": sound for n in range(8)}, 4)
    reads: list[int] = []

    def read(name: str, start: int, length: int) -> bytes:
        reads.append(length)
        return data[start : start + length]

    limit = ScanLimit(size=1 << 18, tensors=4)
    assert broken_weights(read, {"f": len(data)}, limit) is None
    assert sum(reads[2:]) == 4 * (1 << 16)


def test_the_file_that_differs_is_named() -> None:
    assert what_differs({"a": "1", "b": "1"}, {"a": "1", "b": "2"}) == "b"
    assert what_differs({}, {}) == "config, tokenizer or processor"


def test_a_bucket_is_judged_without_its_weights(tmp_path: Path, bucket_url: str, moto: str) -> None:
    write_checkpoint(tmp_path / "step-5")
    upload(tmp_path / "step-5", f"{bucket_url}/step-5", moto)
    place = open_place(bucket_url)
    [folder] = place.folders()
    assert folder.path == f"{bucket_url}/step-5"
    local = verdict(tmp_path)
    found = examine(place, Candidate(5, folder))
    assert isinstance(found, Whole)
    assert isinstance(local, Whole)
    assert found.shell == local.shell
    cut = (tmp_path / "step-5/model.safetensors").read_bytes()[:-10]
    (tmp_path / "step-5/model.safetensors").write_bytes(cut)
    upload(tmp_path / "step-5", f"{bucket_url}/step-5", moto)
    [again] = place.folders()
    assert again.mark != folder.mark
    half = examine(place, Candidate(5, again))
    assert isinstance(half, NotWhole)
    assert half.reason.startswith(f"{bucket_url}/step-5/model.safetensors: truncated")


def test_a_prefix_without_rights_is_one_line(bucket_url: str, proxy: FaultProxy) -> None:
    proxy.add(Fault("status", status=403, code="AccessDenied", method="GET"))
    with pytest.raises(StoreUnavailable) as caught:
        open_place(bucket_url).folders()
    assert str(caught.value) == (
        f"{bucket_url}: access denied (AccessDenied); the keys need s3:GetObject and "
        "s3:ListBucket there"
    )


def test_a_bucket_one_level_deeper(tmp_path: Path, bucket_url: str, moto: str) -> None:
    at = Path(write_checkpoint(tmp_path / "checkpoint"))
    upload(at, f"{bucket_url}/checkpoint_now/checkpoint", moto)
    upload(at, f"{bucket_url}/step-5", moto)
    upload(at, f"{bucket_url}/step-5/inner/deep", moto)
    place = open_place(bucket_url)
    assert [one.name for one in place.folders()] == ["step-5"]
    (at / MARKER).write_bytes(Marker(step=7, announced_at="t").to_bytes())
    upload(at, f"{bucket_url}/checkpoint_now/checkpoint", moto)
    assert [one.name for one in place.folders()] == ["checkpoint_now/checkpoint", "step-5"]


def upload(folder: Path, url: str, moto: str) -> None:
    import boto3

    bucket, _, prefix = url.removeprefix("s3://").partition("/")
    client = boto3.client("s3", endpoint_url=moto)
    for path in sorted(folder.iterdir()):
        client.put_object(Bucket=bucket, Key=f"{prefix}/{path.name}", Body=path.read_bytes())
