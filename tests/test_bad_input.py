"""Bad input: every kind ends in one line that names what is at fault, and the store stays as it is.

Most cases run the command line in this process, with a Ray that must not be started: mistakes are
found before anything is. Exit codes: 2 is the user's input, 5 the world outside.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import struct
import subprocess
import sys
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from lens_ray.cli.main import main
from lens_ray.suites import Suite
from tests.cli.stores import HOSTILE, fill, listing, make_suite

JOB = """\
name: bad
suite: SUITE
store: STORE
models:
  - name: m
    path: CHECKPOINT
"""


@dataclass(frozen=True)
class World:
    """What is sound: a suite, a store with runs on it, and a checkpoint. Never write into them."""

    suite: Suite
    store: Path
    checkpoint: Path

    def job(self, folder: Path, text: str | bytes = JOB) -> Path:
        """A job file whose names of this world are filled in."""
        path = folder / "job.yaml"
        if isinstance(text, bytes):
            path.write_bytes(text)
            return path
        for name, value in (
            ("SUITE", self.suite.location), ("STORE", self.store), ("CHECKPOINT", self.checkpoint)
        ):  # fmt: skip
            text = text.replace(name, str(value))
        path.write_text(text, encoding="utf-8")
        return path


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    from lens_ray.testing.tiny_checkpoint import make_tiny_checkpoint

    root = tmp_path_factory.mktemp("world")
    suite = make_suite(root / "suite")
    fill(root / "store", suite, {"hostile": HOSTILE, "good": ("3",) * len(HOSTILE)})
    make_tiny_checkpoint(root / "checkpoint")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LENS_RAY_HOME", str(root / "home"))
        yield World(suite, root / "store", root / "checkpoint")


Refuse = Callable[..., str]


@pytest.fixture
def refused(
    world: World, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Refuse:
    """Runs a command that must fail; gives its one line."""
    import ray

    def start(*_: object, **__: object) -> None:
        raise AssertionError("Ray was started before the mistake was found")

    monkeypatch.setattr(ray, "init", start)

    def check(*arguments: str | Path, code: int = 2) -> str:
        before = listing(world.store)
        capsys.readouterr()
        found = main([str(argument) for argument in arguments])
        out, err = capsys.readouterr()
        assert (found, out) == (code, ""), err
        assert_one_line(err)
        assert listing(world.store) == before
        return err

    return check


def assert_one_line(err: str) -> None:
    assert err.startswith("lens-ray"), err
    assert err.count("\n") == 1, err
    assert err.endswith("\n")
    assert err[:-1].isprintable()
    assert "Traceback" not in err


# The job file.

BOMB = "a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"{new}: &{new} [{','.join([f'*{old}'] * 9)}]\n"
    for old, new in zip("abcdefghi", "bcdefghij", strict=True)
)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        pytest.param(JOB + "    pth: x\n", "job.yaml:7:5: models[0].pth: unknown key", id="key"),
        pytest.param(JOB + "limit: few\n", "job.yaml:7:8: limit: 'few' was found", id="type"),
        pytest.param(JOB + "limit: -1\n", "job.yaml:7:8: limit: -1 was found", id="limit"),
        pytest.param(JOB.replace("suite: SUITE\n", ""), "suite: the key is missing", id="missing"),
        pytest.param(JOB + "name: a\n", "job.yaml:7:1: key 'name' stands twice", id="twice"),
        pytest.param(
            JOB + "  - {name: m, path: CHECKPOINT}\n",
            "job.yaml:7:12: models[1].name: 'm' is the name of models[0] too",
            id="two models with one name",
        ),
        pytest.param(JOB + "abilities: []\n", "abilities: the list is empty", id="no ability"),
        pytest.param(
            JOB + "abilities: [countng]\n",
            "has no sample of 'countng'; the nearest is 'counting'",
            id="empty ability",
        ),
        pytest.param(
            JOB + "    template: defalt\n", "no template is called 'defalt'", id="template"
        ),
        pytest.param(JOB + "    backend: vlm\n", "no backend is called 'vlm'", id="backend"),
        pytest.param(
            JOB + "    options: {batchsize: 2}\n",
            "models[0].options.batchsize: unknown key; did you mean 'batch_size'?",
            id="backend option",
        ),
        pytest.param(JOB + "    generation: {top_p: 7}\n", "generation.top_p: 7 was", id="value"),
        pytest.param("name: [bad\n", "not valid YAML", id="invalid YAML"),
        pytest.param(
            JOB.replace("STORE", "!!binary aGVsbG8="), "job.yaml:3:8: the tag", id="binary YAML"
        ),
        pytest.param(b"\x93NUMPY\x01\x00\xff", "is not UTF-8", id="binary file"),
        pytest.param(BOMB, "job.yaml:4:1: aliases (*name) repeat too much", id="YAML bomb"),
        pytest.param("[" * 90_000, "nested deeper than 40 levels", id="deep YAML"),
        pytest.param("# " + "x" * 2_000_000, "larger than 1000000 bytes", id="huge file"),
        pytest.param(JOB.replace("STORE", '"a\\0b"'), "job.yaml:3:8: NUL", id="NUL in a value"),
        pytest.param(
            JOB.replace("STORE", "${NOT_SET}"), "variable NOT_SET is not set", id="environment"
        ),
        pytest.param(
            JOB + "    api_key: sk-12345678\n",
            "job.yaml:7:5: models[0].api_key: a secret must not stand in a job file",
            id="secret",
        ),
        pytest.param(
            JOB.replace("STORE", "s3://key:s3cr3t@bucket"),
            "job.yaml:3:8: store: the URL carries credentials",
            id="secret in a URL",
        ),
    ],
)  # fmt: skip
def test_job_file(
    refused: Refuse, world: World, tmp_path: Path, text: str | bytes, words: str
) -> None:
    said = refused("run", world.job(tmp_path, text))
    assert words in said
    assert "s3cr3t" not in said
    assert "sk-1234" not in said


def test_job_file_is_missing(refused: Refuse, world: World, tmp_path: Path) -> None:
    job = world.job(tmp_path)
    assert f"did you mean {job}?" in refused("run", tmp_path / "jb.yaml")
    assert "is a folder" in refused("run", tmp_path)
    assert "embedded null byte" in refused("run", "a\0b.yaml")


# The command line.


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("run", "JOB", "--limit", "-1"), "Invalid value for '--limit'"),
        (("run", "JOB", "--stroe", "x"), "No such option: --stroe"),
        (("run", "JOB", "--store", "s3://a:b@c"), "the command line: the URL carries credentials"),
        (("suite", "show", "s3://a:b@c/suite"), "the command line: the URL carries credentials"),
        (("report", "--store", "STORE", "--out", "FOLDER"), "FOLDER"),
        (("report", "--store", "STORE", "--out", "FOLDER/no/such.html"), "FOLDER"),
        (("run", "JOB", "--store", "a\0b"), "'a\\x00b'"),
        (("run", "JOB", "--store", "ftp://host/x"), "ftp:// is not supported"),
        (("scores", "--store", "STORE", "--model", "godo"), "did you mean 'good'?"),
        (("rescore", "--store", "STORE", "--run", "rnu0"), "there is no run 'rnu0'"),
        (("suite", "show", "mini:quik"), "the nearest is 'mini:quick'"),
    ],
)
def test_command_line(
    refused: Refuse, world: World, tmp_path: Path, arguments: tuple[str, ...], words: str
) -> None:
    job = world.job(tmp_path)

    def filled(text: str) -> str:
        named = text.replace("JOB", str(job)).replace("STORE", str(world.store))
        return named.replace("FOLDER", str(tmp_path))

    assert filled(words) in refused(*map(filled, arguments))


@pytest.mark.parametrize(
    ("sql", "words"),
    [
        ("DELETE FROM rows", "DELETE found; give exactly one SELECT"),
        ("INSERT INTO rows SELECT * FROM rows", "INSERT found"),
        ("CREATE TABLE t AS SELECT 1", "CREATE found"),
        ("COPY (SELECT 1) TO 'x.csv'", "COPY found"),
        ("SELECT 1; DROP TABLE rows", "SELECT and DROP found"),
        ("ATTACH 'x.db'", "ATTACH found"),
        ("SELECT * FROM read_csv('/etc/passwd')", "disabled"),
        ("SELECT * FROM 'STORE/_store.json'", "disabled"),
        ("SELECT colour FROM rows", "colour"),
        ("SELEC 1", "SELEC"),
        ("", "give exactly one SELECT"),
    ],
)
def test_sql(
    refused: Refuse, world: World, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, sql: str,
    words: str,
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    said = refused("query", sql.replace("STORE", str(world.store)), "--store", world.store)
    assert said.startswith("lens-ray: query: ")
    assert words in said
    assert list(tmp_path.iterdir()) == []


# Checkpoints.


def _pickle(folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    (folder / "pytorch_model.bin").write_bytes(b"\x80\x04.")


def _truncate(folder: Path) -> None:
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1000])


def _half(folder: Path) -> None:
    from lens_ray.testing.tiny_checkpoint import save_sharded

    save_sharded(folder)
    (folder / "model-00002-of-00002.safetensors").unlink()


def _own_code(folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"auto_map": {"AutoModel": "x.Y"}}))


def _unlink(name: str) -> Callable[[Path], None]:
    return lambda folder: (folder / name).unlink()


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        pytest.param(shutil.rmtree, "no checkpoint folder at", id="no folder"),
        pytest.param(_unlink("config.json"), "has no config.json", id="no config"),
        pytest.param(_unlink("model.safetensors"), "has no weights", id="no weights"),
        pytest.param(_pickle, "has only pickled weights (pytorch_model.bin)", id="pickle"),
        pytest.param(_truncate, "model.safetensors: truncated", id="truncated"),
        pytest.param(_half, "lacks model-00002-of-00002.safetensors", id="half a checkpoint"),
        pytest.param(_own_code, "config.json: auto_map asks to run code", id="own code"),
        pytest.param(_unlink("tokenizer.json"), "has no tokenizer", id="no tokenizer"),
    ],
)
def test_checkpoint(
    refused: Refuse, world: World, tmp_path: Path, damage: Callable[[Path], None], words: str
) -> None:
    broken = tmp_path / "broken"
    shutil.copytree(world.checkpoint, broken)
    damage(broken)
    said = refused("run", world.job(tmp_path, JOB.replace("CHECKPOINT", str(broken))))
    assert words in said
    assert str(broken) in said


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("builtin:minivlm-a/step-9999", "no built-in checkpoint is called"),
        ("nobody/no-such-model", "is no folder here and not in the hub's cache"),
        ("s3:///", "no checkpoint at s3:"),
    ],
)
def test_checkpoint_path(
    refused: Refuse, world: World, tmp_path: Path, path: str, words: str
) -> None:
    assert words in refused("run", world.job(tmp_path, JOB.replace("CHECKPOINT", path)))


# Suites.


def _replaced_images(folder: Path, png: bytes) -> None:
    table = pq.read_table(folder / "images.parquet")
    images = table["png"].to_pylist()
    images[0] = png
    place = table.schema.get_field_index("png")
    pq.write_table(table.set_column(place, "png", [images]), folder / "images.parquet")


def _unreadable_image(folder: Path) -> None:
    _replaced_images(folder, b"\x89PNG\r\n\x1a\nnot at all")


def _huge_image(folder: Path) -> None:
    """A few bytes that say they are 60,000 x 60,000 pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        checksum = zlib.crc32(kind + data)
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", checksum)

    head = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    parts = chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")
    _replaced_images(folder, b"\x89PNG\r\n\x1a\n" + parts)


def _other_digest(folder: Path) -> None:
    facts = json.loads((folder / "suite.json").read_text())
    (folder / "suite.json").write_text(json.dumps(facts | {"digest": "0" * 64}))


def _no_json(folder: Path) -> None:
    (folder / "suite.json").write_text("{")


def _cut(folder: Path) -> None:
    file = folder / "samples.parquet"
    file.write_bytes(file.read_bytes()[:-20])


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        pytest.param(shutil.rmtree, "is not known and no folder", id="no suite"),
        pytest.param(_unlink("suite.json"), "there is no suite.json in it", id="no facts"),
        pytest.param(_no_json, "suite.json is not JSON", id="no JSON"),
        pytest.param(_cut, "samples.parquet is damaged or cut off", id="cut off"),
        pytest.param(_other_digest, "suite.json says 000000000000", id="digest differs"),
        pytest.param(_unreadable_image, "cannot be decoded", id="unreadable image"),
        pytest.param(_huge_image, "cannot be decoded (DecompressionBomb", id="huge image"),
    ],
)
def test_suite(
    refused: Refuse, world: World, tmp_path: Path, damage: Callable[[Path], None], words: str
) -> None:
    broken = tmp_path / "broken"
    shutil.copytree(world.suite.location, broken)
    damage(broken)
    said = refused("run", world.job(tmp_path, JOB.replace("SUITE", str(broken))))
    assert words in said


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("mini:quick@00000000", "this version has digest"),
        ("tiny@abcdef0123", "is not installed"),
        ("tiny@xyz", "a digest is 8 to 64 of the characters"),
    ],
)
def test_suite_name(refused: Refuse, world: World, tmp_path: Path, name: str, words: str) -> None:
    assert words in refused("run", world.job(tmp_path, JOB.replace("SUITE", name)))


def test_suite_archive_that_leads_out(refused: Refuse, world: World, tmp_path: Path) -> None:
    source = Path(world.suite.location) / "suite.json"
    with tarfile.open(tmp_path / "evil.tar", "w") as tape:
        tape.add(source, "../../escaped.json")
    with zipfile.ZipFile(tmp_path / "evil.zip", "w") as packed:
        packed.write(source, "../../escaped.json")
    for archive in ("evil.tar", "evil.zip"):
        path = tmp_path / archive
        said = refused("run", world.job(tmp_path, JOB.replace("SUITE", str(path))))
        assert f"archive {path}: the name" in said
        assert "leads out of the archive" in said
    assert not list(tmp_path.parent.rglob("escaped.json"))


# Stores.


READING = ("scores", "report", "rescore", "store check", "store compact", "store gc", "query")


@pytest.mark.parametrize("verb", READING)
def test_reading_a_store_that_is_none(refused: Refuse, tmp_path: Path, verb: str) -> None:
    file, nothing, folder = tmp_path / "file", tmp_path / "nothing", tmp_path / "folder"
    file.write_text("x")
    folder.mkdir()
    (folder / "other.txt").write_text("x")
    more = ["SELECT 1"] if verb == "query" else []
    for url in (file, nothing, folder):
        assert str(url) in refused(*verb.split(), *more, "--store", url)
    assert not nothing.exists()
    assert [path.name for path in folder.iterdir()] == ["other.txt"]


def test_running_into_a_file(refused: Refuse, world: World, tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("x")
    assert str(file) in refused("run", world.job(tmp_path), "--store", file)
    assert str(file) in refused("run", world.job(tmp_path), "--store", file / "below")
    assert file.read_text() == "x"


def test_a_store_of_a_newer_version(refused: Refuse, tmp_path: Path) -> None:
    (tmp_path / "_store.json").write_text('{"kind": "lens-ray-store", "schema_version": 99}')
    assert "schema version 99, newer than" in refused("scores", "--store", tmp_path)
    (tmp_path / "_store.json").write_text("{")
    assert "_store.json" in refused("scores", "--store", tmp_path)


@pytest.fixture
def mounted(tmp_path: Path) -> Iterator[Callable[..., Path]]:
    """Mounts something in the test's folder; root may write anywhere but on a read-only mount."""
    places: list[Path] = []

    def mount(name: str, *options: str | Path) -> Path:
        place = tmp_path / name
        place.mkdir()
        made = subprocess.run(["mount", *options, place], capture_output=True, check=False)
        if made.returncode:
            pytest.skip(f"nothing can be mounted here: {made.stderr.decode().strip()}")
        places.append(place)
        return place

    yield mount
    for place in places:
        subprocess.run(["umount", "-l", place], check=True)


def test_a_read_only_store(
    refused: Refuse, world: World, tmp_path: Path, mounted: Callable[..., Path]
) -> None:
    place = mounted("read-only", "--bind", world.store)
    subprocess.run(["mount", "-o", "remount,ro,bind", place], check=True)
    said = refused("run", world.job(tmp_path), "--store", place, code=5)
    assert "Read-only file system; mount it for writing or give another --store" in said
    assert main(["scores", "--store", str(place), "--json"]) == 0


@pytest.fixture
def endpoint(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """An S3 without buckets."""
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    yield str(host)
    server.stop()


def test_a_wrong_bucket(refused: Refuse, world: World, tmp_path: Path, endpoint: str) -> None:
    url = "s3://no-such-bucket/store"
    assert f"store {url}: there is no such bucket" in refused(
        "run", world.job(tmp_path), "--store", url, code=5
    )
    assert f"no store at {url}" in refused("scores", "--store", url)
    assert "it names no bucket" in refused("scores", "--store", "s3://")


def test_a_bucket_out_of_reach(refused: Refuse, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as reserved:  # bound and not listening: every connection is refused
        reserved.bind(("127.0.0.1", 0))
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{reserved.getsockname()[1]}")
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
        said = refused("scores", "--store", "s3://bucket/store", code=5)
    assert "store s3://bucket/store: cannot be reached" in said


# Whole processes, and Ray.


def run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "lens_ray", *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_the_process_says_the_same(world: World, tmp_path: Path) -> None:
    done = run("run", world.job(tmp_path, JOB + "limit: x\n"))
    assert (done.returncode, done.stdout) == (2, "")
    assert_one_line(done.stderr)
    assert f"{tmp_path}/job.yaml:7:8: limit: 'x' was found" in done.stderr


def test_a_ray_out_of_reach(world: World, tmp_path: Path) -> None:
    before = listing(world.store)
    with socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{reserved.getsockname()[1]}"
        done = run("run", world.job(tmp_path), "--address", address)
    assert (done.returncode, done.stdout) == (5, "")
    assert_one_line(done.stderr)
    assert address in done.stderr
    assert listing(world.store) == before


FAKE = """\
name: full
suite: SUITE
store: STORE
models:
  - name: talker
    backend: fake
    options: {texts: TEXTS}
"""


def test_a_disk_that_fills_up_in_the_middle(
    world: World, tmp_path: Path, mounted: Callable[..., Path]
) -> None:
    place = mounted("small", "-t", "tmpfs", "-o", "size=256k", "tmpfs")
    texts = {s.sample_id: os.urandom(60_000).hex() for s in world.suite.samples}
    text = FAKE.replace("TEXTS", json.dumps(texts)).replace("STORE", str(place))
    job = world.job(tmp_path, text)
    done = run("run", job)
    assert done.returncode == 5, done.stderr
    assert done.stdout == ""
    last = done.stderr.splitlines()[-1]
    assert_one_line(last + "\n")
    assert f"store {place}" in last
    assert "No space left on device; free some space" in last
    assert "Traceback" not in done.stderr
    subprocess.run(["mount", "-o", "remount,size=16m", place], check=True)
    assert run("store", "check", "--store", place).stdout == "the store is whole\n"
    again = run("run", job, "--json")
    assert again.returncode == 0, again.stderr
    sql = "SELECT count(*) AS n, count(DISTINCT sample_id) AS ids FROM rows"
    found = json.loads(run("query", sql, "--store", place, "--json").stdout)
    count = len(world.suite.samples)
    assert found == [{"n": count, "ids": count}]
