"""The marker in a folder and in a bucket, and that nothing of it stops training."""

from __future__ import annotations

import json
import logging
import math
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lens_ray.errors import CheckpointError
from lens_ray.online import announce
from lens_ray.online.announce import flush
from lens_ray.online.marker import MARKER, Marker, read_marker
from lens_ray.store.objects import open_objects


def marker_in(folder: Path) -> Marker:
    return read_marker((folder / MARKER).read_bytes(), str(folder))


def test_a_folder_gets_its_marker_with_sizes_and_metrics(tmp_path: Path) -> None:
    (tmp_path / "model.safetensors").write_bytes(b"12345")
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "global_step7").mkdir()
    announce(tmp_path, 7, {"loss": np.float32(0.5), "lr": torch.tensor(0.25), "tokens": 10**12})
    found = marker_in(tmp_path)
    assert found.step == 7
    assert found.files == {"config.json": 2, "model.safetensors": 5}
    assert found.metrics == {"loss": 0.5, "lr": 0.25, "tokens": 1e12}
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "config.json", "global_step7", MARKER, "model.safetensors",
    ]  # fmt: skip


def test_what_is_no_number_is_named_and_not_written(tmp_path: Path) -> None:
    announce(tmp_path, 1, {"loss": math.nan, "lr": math.inf, "who": "me", "ok": 1})  # type: ignore[dict-item]
    found = marker_in(tmp_path)
    assert found.metrics == {"ok": 1.0}
    assert found.unusable == ("loss", "lr", "who")
    assert "NaN" not in (tmp_path / MARKER).read_text()


def test_announced_again_is_the_later_word(tmp_path: Path) -> None:
    announce(tmp_path, 1)
    first = marker_in(tmp_path)
    (tmp_path / "model.safetensors").write_bytes(b"123")
    announce(f"file://{tmp_path}", 2)
    assert marker_in(tmp_path).step == 2
    assert first.files == {}
    assert marker_in(tmp_path).files == {"model.safetensors": 3}


@pytest.mark.parametrize("path", ["missing/folder", "a\0b", 17, None])
def test_what_goes_wrong_is_one_warning(
    path: object, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with caplog.at_level(logging.WARNING):
        announce(path, 3)  # type: ignore[arg-type]
    (record,) = caplog.records
    assert "(step 3) is not announced" in record.getMessage()
    assert "\n" not in record.getMessage()


def test_a_step_that_is_none_is_a_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)  # other tests of the process may have raised it
    announce(tmp_path, -1)
    assert "not announced" in caplog.text
    assert not list(tmp_path.iterdir())


@pytest.mark.usefixtures("proxy")
def test_a_bucket_gets_its_marker_and_again(bucket_url: str) -> None:
    objects = open_objects(f"{bucket_url}/run/step-5")
    objects.create("model.safetensors", b"1234567")
    objects.create("deep/other", b"1")
    for step in (5, 6):
        announce(f"{bucket_url}/run/step-5", step, {"loss": 1.0})
        assert flush()
        data = objects.get(MARKER)
        assert data is not None
        found = read_marker(data, "-")
        assert (found.step, found.files) == (step, {"model.safetensors": 7})


def test_a_bucket_that_hangs_keeps_nobody_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    let_go = threading.Event()

    def hang(_: str) -> None:
        let_go.wait(20)

    monkeypatch.setattr("lens_ray.store.objects.open_objects", hang)
    began = time.monotonic()
    announce("s3://hangs/run/step-5", 5)
    assert not flush(0.05)
    assert time.monotonic() - began < 2
    let_go.set()
    assert flush()


def test_a_process_that_ends_at_once_has_announced(bucket_url: str, moto: str) -> None:
    """By a host name: it is looked up in threads that Python ends before those of a process."""
    code = f"from lens_ray.online import announce; announce({bucket_url + '/end/step-9'!r}, 9)"
    where = moto.replace("127.0.0.1", "localhost")
    keys = {
        "AWS_ENDPOINT_URL": where, "AWS_ACCESS_KEY_ID": "k", "AWS_SECRET_ACCESS_KEY": "s",
        "AWS_DEFAULT_REGION": "us-east-1",
    }  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-c", code], env=os.environ | keys, capture_output=True, text=True,
        timeout=60, check=True,
    )  # fmt: skip
    assert done.stderr == ""
    data = open_objects(f"{bucket_url}/end/step-9").get(MARKER)
    assert data is not None
    assert read_marker(data, "-").step == 9


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ("", "Invalid JSON"),
        ("[1]", "the file: Input should be"),
        ('{"step": 3}', "announced_at: Field required"),
        ('{"step": -3, "announced_at": "x"}', "step: Input should be greater"),
        ('{"step": 3, "announced_at": "x", "version": 2}', "version: "),
        ('{"step": 3, "announced_at": "x", "metrics": {"a": NaN}}', "metrics.a: "),
        ('{"step": 3, "announced_at": "x", "more": 1}', "more: Extra inputs"),
        (" " * 1_000_001, "1000001 bytes"),
    ],
)
def test_a_marker_that_is_none_is_one_line(body: str, told: str) -> None:
    with pytest.raises(CheckpointError, match=r"^a/b: ") as caught:
        read_marker(body.encode(), "a/b")
    assert told in str(caught.value)
    assert "\n" not in str(caught.value)


@settings(max_examples=30)
@given(
    step=st.integers(0, 10**12),
    metrics=st.dictionaries(
        st.text(max_size=8), st.floats(allow_nan=False, allow_infinity=False), max_size=4
    ),
    files=st.dictionaries(st.text(max_size=8), st.integers(0, 2**50), max_size=4),
)
def test_a_marker_is_read_as_it_was_written(
    step: int, metrics: dict[str, float], files: dict[str, int]
) -> None:
    written = Marker(step=step, announced_at="now", files=files, metrics=metrics)
    assert read_marker(written.to_bytes(), "-") == written
    assert json.loads(written.to_bytes())["version"] == 1
