"""Where a key is read, and what is never said of it."""

from __future__ import annotations

import copy
import json
import pickle
from pathlib import Path

import pytest

from lens_ray.errors import ProviderUnavailable
from lens_ray.models.api.keys import Key, read_key
from lens_ray.models.api.redaction import redacted

SECRET = "canary-0123456789abcdef"


def test_from_a_variable_or_a_mounted_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOME_KEY", f"  {SECRET}\n")
    assert read_key("SOME_KEY").reveal() == SECRET
    monkeypatch.delenv("SOME_KEY")
    file = tmp_path / "key"
    file.write_bytes(b"\xef\xbb\xbf" + SECRET.encode() + b"\r\n")
    monkeypatch.setenv("SOME_KEY_FILE", str(file))
    assert read_key("SOME_KEY").reveal() == SECRET
    assert read_key("SOME_KEY").fingerprint == Key(SECRET, "OTHER").fingerprint
    assert read_key("SOME_KEY").fingerprint != Key(SECRET + "x", "OTHER").fingerprint


@pytest.mark.parametrize(
    "content",
    [
        SECRET.encode() + b"\n" + SECRET.encode(),
        f'OPENAI_API_KEY="{SECRET}" # mine'.encode(),
        SECRET.encode() + b"\0",
        SECRET.encode() + "é".encode(),
        SECRET.encode() * 1000,
        SECRET.encode() + b"\xff\xfe",
    ],
)
def test_more_than_a_key_is_refused_and_not_repeated(
    content: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "key").write_bytes(content)
    monkeypatch.setenv("SOME_KEY_FILE", str(tmp_path / "key"))
    with pytest.raises(ProviderUnavailable) as caught:
        read_key("SOME_KEY")
    line = str(caught.value)
    assert "\n" not in line
    assert SECRET not in line
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__ or caught.value.__context__ is None


def test_no_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SOME_KEY", raising=False)
    with pytest.raises(ProviderUnavailable, match="no key: set SOME_KEY, or SOME_KEY_FILE to the"):
        read_key("SOME_KEY")
    monkeypatch.setenv("SOME_KEY_FILE", str(tmp_path / "nowhere"))
    with pytest.raises(ProviderUnavailable, match="SOME_KEY_FILE names cannot be read as a key"):
        read_key("SOME_KEY")
    (tmp_path / "empty").write_text(" \n")
    monkeypatch.setenv("SOME_KEY_FILE", str(tmp_path / "empty"))
    with pytest.raises(
        ProviderUnavailable, match="SOME_KEY_FILE names is empty; write the key into it"
    ):
        read_key("SOME_KEY")


def test_a_key_is_never_shown() -> None:
    key = Key(SECRET, "SOME_KEY")
    assert SECRET not in f"{key} {key!r} {[key]}"
    assert redacted(f"Bearer {SECRET}") == "Bearer [key]"
    for copied in (pickle.dumps, copy.copy, copy.deepcopy, json.dumps):
        with pytest.raises(TypeError):
            copied(key)
