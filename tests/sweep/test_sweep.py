"""The sweep job on three nodes, into a bucket, while one is lost and another joins."""

from __future__ import annotations

import logging
import os
import subprocess
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest

from cluster import network
from cluster.local import HEAD, LocalCluster
from lens_ray.job import load_job
from lens_ray.store import Store
from lens_ray.testing.processes import descendants

pytestmark = [pytest.mark.vllm, pytest.mark.timeout(600)]
JOB = Path(__file__).parents[2] / "jobs" / "sweep_minivlm.yaml"
LIMIT = 120


@pytest.fixture
def bucket_port() -> Iterator[int]:
    """A bucket's server that every node reaches."""
    from moto.server import ThreadedMotoServer

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer(ip_address="0.0.0.0", port=0, verbose=False)
    server.start()
    yield server.get_host_and_port()[1]
    server.stop()


def test_every_checkpoint_with_both_backends(
    tmp_path: Path, bucket_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    import boto3

    python = os.environ.get("LENS_RAY_VLLM_PYTHON", "")
    assert Path(python).is_file(), "make test-vllm sets LENS_RAY_VLLM_PYTHON"
    if not network.available():
        pytest.skip("no namespaces here: root and ip are needed")
    keys = {
        "AWS_ENDPOINT_URL": f"http://{{host}}:{bucket_port}",
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1",
    }
    for key, value in keys.items():
        monkeypatch.setenv(key, value.replace("{host}", "127.0.0.1"))
    boto3.client("s3").create_bucket(Bucket="sweep")
    with LocalCluster.up(tmp_path / "cluster", nodes=3, environment=keys) as cluster:
        words = ["python", "-m", "lens_ray", "run", str(JOB), "--address", "auto"]
        words += ["--store", "s3://sweep/lens", "--limit", str(LIMIT)]
        driver = subprocess.Popen(
            cluster.command(HEAD, words),
            env=cluster.environment({**keys, "LENS_RAY_VLLM_PYTHON": python}),
            stderr=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert driver.stderr is not None
        said = []
        for line in driver.stderr:
            said.append(line)
            if "@vllm: running" in line and cluster.nodes["worker-1"].process is not None:
                cluster.kill("worker-1")
                cluster.add(cpus=1, environment=keys)
        assert driver.wait() == 0, "".join(said[-30:])
        assert cluster.nodes["worker-1"].process is None
    check("s3://sweep/lens", "".join(said))
    assert not [pid for pid in descendants(os.getpid()) if "VLLM" in title(pid)]


def title(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text()
    except OSError:
        return ""


def check(url: str, said: str) -> None:
    """All complete, one row a sample, and both backends say the same."""
    store = Store(url)
    names = [model.name for model in load_job(JOB, store=url).models]
    assert {header.model for header in store.runs()} == set(names)
    rows = store.rows(columns=["model", "sample_id", "text", "status", "replica"]).to_pylist()
    counts = Counter((row["model"], row["sample_id"]) for row in rows)
    assert len(counts) == len(rows) == LIMIT * len(names), said
    texts: dict[str, dict[str, str]] = defaultdict(dict)
    for row in rows:
        texts[row["model"]][row["sample_id"]] = row["text"]
    for name in names:
        if name.endswith("@vllm"):
            other = texts[name.removesuffix("@vllm")]
            same = sum(other[sample] == text for sample, text in texts[name].items())
            assert same >= 0.99 * LIMIT, name
    assert all(store.run(header.run_id).refresh().complete for header in store.runs())
    assert store.check() == []
