from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import save

from lens_ray.errors import CheckpointError
from lens_ray.models.safetensors_header import TensorFacts, read_header

GOOD = save({"a": torch.zeros(2, 3), "b": torch.ones(4, dtype=torch.bfloat16)}, {"format": "pt"})


def file_of(tmp_path: Path, data: bytes) -> Path:
    path = tmp_path / "x.safetensors"
    path.write_bytes(data)
    return path


def made(header: Any, tensors: bytes) -> bytes:
    raw = header if isinstance(header, bytes) else json.dumps(header).encode()
    return len(raw).to_bytes(8, "little") + raw + tensors


def entry(dtype: Any = "F32", shape: Any = (1,), offsets: Any = (0, 4)) -> dict[str, Any]:
    return {"dtype": dtype, "shape": shape, "data_offsets": offsets}


def test_reads_what_safetensors_wrote(tmp_path: Path) -> None:
    assert read_header(file_of(tmp_path, GOOD)) == {
        "a": TensorFacts("F32", (2, 3)),
        "b": TensorFacts("BF16", (4,)),
    }


def test_empty_and_scalar_tensors(tmp_path: Path) -> None:
    data = save({"none": torch.zeros(0, 5), "one": torch.tensor(1.0), "two": torch.zeros(0)})
    assert read_header(file_of(tmp_path, data))["one"].shape == ()


@given(cut=st.integers(0, len(GOOD) - 1))
def test_every_truncation_is_found(tmp_path_factory: pytest.TempPathFactory, cut: int) -> None:
    path = file_of(tmp_path_factory.mktemp("cut"), GOOD[:cut])
    with pytest.raises(CheckpointError) as caught:
        read_header(path)
    assert "\n" not in str(caught.value)


@given(junk=st.binary(min_size=1, max_size=64), at=st.integers(0, len(GOOD)))
def test_any_damage_reads_or_raises_the_one_error(
    tmp_path_factory: pytest.TempPathFactory, junk: bytes, at: int
) -> None:
    path = file_of(tmp_path_factory.mktemp("junk"), GOOD[:at] + junk + GOOD[at + len(junk) :])
    with contextlib.suppress(CheckpointError):
        read_header(path)


@pytest.mark.parametrize(
    "data",
    [
        made([], b""),
        made(b"{" + b'"a":' * 3, b""),
        made({"a": 1}, b""),
        made({"a": entry(shape=[-1])}, bytes(4)),
        made({"a": entry(shape=[True])}, bytes(4)),
        made({"a": entry(shape=[1.0])}, bytes(4)),
        made({"a": entry(shape=[2])}, bytes(4)),
        made({"a": entry(offsets=[0])}, bytes(4)),
        made({"a": entry(offsets=[4, 0])}, bytes(4)),
        made({"a": entry(dtype="OBJECT")}, bytes(4)),
        made({"a": entry(dtype=["F32"])}, bytes(4)),
        made({"a": entry(), "b": entry()}, bytes(4)),
        made({"a": entry(offsets=[4, 8])}, bytes(8)),
        made({"a": entry(shape=[2**40, 2**40], offsets=[0, 2**82])}, bytes(8)),
        made(b'{"a":%b,"a":%b}' % ((json.dumps(entry()).encode(),) * 2), bytes(4)),
        (2**63).to_bytes(8, "little") + b"{}",
        (99_999_999).to_bytes(8, "little") + b"{}",
    ],
)
def test_impossible_headers_are_refused(tmp_path: Path, data: bytes) -> None:
    with pytest.raises(CheckpointError):
        read_header(file_of(tmp_path, data))
