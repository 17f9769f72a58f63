"""The stop file in a folder and in a bucket, by a thread, and for several processes at once."""

from __future__ import annotations

import logging
import subprocess
import sys
import time
from pathlib import Path

import pytest

from lens_ray.errors import StoreUnavailable
from lens_ray.online.stop_file import StopSignal, ask_to_stop, stop_asked


def waited(signal: StopSignal, seconds: float = 10.0) -> str | None:
    until = time.monotonic() + seconds
    while (found := signal.asked()) is None and time.monotonic() < until:
        time.sleep(0.005)
    return found


def test_a_run_is_told_once(tmp_path: Path) -> None:
    assert stop_asked(tmp_path) is None
    assert ask_to_stop(tmp_path, "all have\nconverged")
    assert not ask_to_stop(tmp_path, "another reason")
    assert stop_asked(f"file://{tmp_path}") == "all have converged"
    assert stop_asked(tmp_path, file="HALT") is None
    assert [path.name for path in tmp_path.iterdir()] == ["STOP"]


def test_an_empty_file_and_one_that_is_no_text_stop_too(tmp_path: Path) -> None:
    (tmp_path / "STOP").touch()
    assert stop_asked(tmp_path) == "STOP is there"
    (tmp_path / "STOP").write_bytes(b"\xff" * 10_000_000)
    found = stop_asked(tmp_path)
    assert found is not None
    assert len(found) <= 4096


@pytest.mark.usefixtures("proxy")
def test_a_bucket_tells_too(bucket_url: str) -> None:
    assert stop_asked(bucket_url) is None
    assert ask_to_stop(bucket_url, "enough")
    assert not ask_to_stop(bucket_url, "more than enough")
    signal = StopSignal(bucket_url, poll_s=0.02)
    assert waited(signal) == "enough"
    signal.close()


def test_a_folder_that_is_away_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(StoreUnavailable, match="cannot be told to stop: No such file"):
        ask_to_stop(tmp_path / "missing", "enough")


def test_a_signal_hears_of_the_file_and_outlives_failures(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    fails = [OSError("away"), OSError("away"), None]

    def looked(run: object, *, file: str) -> str | None:
        error = fails.pop(0) if fails else None
        if error is not None:
            raise error
        return stop_asked(tmp_path, file=file)

    monkeypatch.setattr("lens_ray.online.stop_file.stop_asked", looked)
    with caplog.at_level(logging.WARNING):
        signal = StopSignal(tmp_path, poll_s=0.01)
        assert signal.asked() is None
        ask_to_stop(tmp_path, "enough")
        assert waited(signal) == "enough"
    assert len([r for r in caplog.records if "away" in r.getMessage()]) == 1


RANK = """
import os, sys, time
from pathlib import Path
import torch.distributed as dist
from lens_ray.online.stop_file import StopSignal, ask_to_stop
rank, folder = int(sys.argv[1]), sys.argv[2]
dist.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=2)
# The second process looks so seldom that by itself it would never hear of the file.
signal = StopSignal(folder, poll_s=0.01 if rank == 0 else 1000, together_every=5)
for step in range(1, 1000):
    if signal.asked():
        break
    if rank == 0 and step == 7:
        ask_to_stop(folder, "enough")
    time.sleep(0.005)
    dist.barrier()
print(step)
"""


@pytest.mark.slow
def test_several_processes_leave_the_loop_at_the_same_step(tmp_path: Path) -> None:
    processes = [
        subprocess.Popen(
            [sys.executable, "-W", "ignore", "-c", RANK, str(rank), str(tmp_path)],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )
        for rank in range(2)
    ]  # fmt: skip
    said = [process.communicate(timeout=60) for process in processes]
    steps = [out.strip() for out, _ in said]
    assert steps[0] == steps[1], said
    assert int(steps[0]) % 5 == 0
    assert 7 < int(steps[0]) < 1000


def test_a_home_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "run").mkdir()
    assert ask_to_stop("~/run", "enough")
    assert stop_asked(tmp_path / "run") == stop_asked("~/run") == "enough"


def test_what_is_no_folder_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "run").write_text("a file")
    with pytest.raises(StoreUnavailable, match="the run cannot be told to stop"):
        ask_to_stop(tmp_path / "run", "enough")
