"""The price table: what it knows, what it does not, and what it refuses."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest

from lens_ray.errors import UserError
from lens_ray.prices import VARIABLE, load_prices

TABLE = """\
schema: 1
currency: USD
date: 2026-01-02
accelerators:
  H100: {usd_per_hour: 2.5, provider: us, kind: owned, source: our books, date: 2026-01-02}
  L4: {usd_per_hour: 0.5, provider: us, kind: spot, source: hearsay, date: 2026-01-01,
       unverified: true}
apis:
  talker: {provider: them, input: 2.0, output: 8.0, batch_input: 1.0, batch_output: 4.0,
           source: s, date: 2026-01-02}
  mumbler: {provider: them, input: 2.0, output: 8.0, source: s, date: 2026-01-02}
"""


def write(folder: Path, text: str) -> Path:
    file = folder / "prices.yaml"
    file.write_text(text)
    return file


def test_the_shipped_table_is_sourced_and_dated() -> None:
    table = load_prices()
    assert {"H100", "A100-80G", "H200", "L4"} <= table.accelerators.keys()
    assert len(table.apis) >= 5
    entries = [*table.accelerators.values(), *table.apis.values()]
    assert all(entry.source and entry.provider for entry in entries)
    assert all(date(2026, 1, 1) <= entry.date <= table.date for entry in entries)
    for price in table.apis.values():
        assert price.batch_input == pytest.approx(price.input / 2)
        assert price.batch_output == pytest.approx(price.output / 2)


def test_hours_and_tokens(tmp_path: Path) -> None:
    table = load_prices(write(tmp_path, TABLE))
    hours = table.of_hours("H100", 4.0)
    assert (hours.usd, hours.reason, hours.basis) == (10.0, None, "us, 2026-01-02")
    assert str(table.of_hours("L4", 1.0).basis).endswith("unverified")
    # 3 M of input at 2 and half a million of output at 8.
    assert table.of_tokens("talker", 3e6, 5e5).usd == pytest.approx(10.0)
    assert table.of_tokens("talker", 3e6, 5e5, batch=True).usd == pytest.approx(5.0)


def test_a_snapshot_costs_what_its_model_does(tmp_path: Path) -> None:
    table = load_prices(write(tmp_path, TABLE))
    for name in ("talker-2025-04-14", "talker-20251001", "talker-001", "talker-latest"):
        assert table.of_tokens(name, 3e6, 5e5).usd == pytest.approx(10.0)
    for name in ("talker-mini", "talker-2", "talker-2025"):
        assert table.of_tokens(name, 3e6, 5e5).usd is None


def test_images_by_the_piece(tmp_path: Path) -> None:
    by_piece = TABLE.replace("output: 8.0, batch", "output: 8.0, image: 0.01, batch")
    table = load_prices(write(tmp_path, by_piece))
    assert table.of_tokens("talker", 3e6, 5e5, images=200).usd == pytest.approx(12.0)
    assert table.of_tokens("talker", 3e6, 5e5, images=200, batch=True).usd == pytest.approx(7.0)
    assert table.of_tokens("mumbler", 3e6, 5e5, images=200).usd == pytest.approx(10.0)


def test_what_is_not_there_is_unknown_and_never_nothing(tmp_path: Path) -> None:
    table = load_prices(write(tmp_path, TABLE))
    for answer in (
        table.of_hours("H10", 1.0),
        table.of_hours("", 1.0),
        table.of_tokens("talkr", 1.0, 1.0),
        table.of_tokens("mumbler", 1.0, 1.0, batch=True),
    ):
        assert answer.usd is None
        assert answer.reason
    assert "did you mean H100?" in str(table.of_hours("H10", 1.0).reason)


def test_another_file_by_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, str(write(tmp_path, TABLE)))
    assert load_prices().date == date(2026, 1, 2)
    assert load_prices(write(tmp_path, TABLE.replace("2026-01-02", "2026-01-03", 1))).date.day == 3


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (("currency: USD", "currency: EUR"), "currency"),
        (("kind: owned", "kind: borrowed"), "accelerators.H100.kind"),
        (("usd_per_hour: 2.5", "usd_per_hour: 0"), "accelerators.H100.usd_per_hour"),
        ((", source: our books", ""), "accelerators.H100.source"),
        (("schema: 1", "schema: 2"), "schema"),
        (("schema: 1", "schema: 1\nprice: 3"), "price"),
        (("apis:", "apis: ["), "prices.yaml:"),
    ],
)
def test_a_wrong_table_is_one_line(tmp_path: Path, change: tuple[str, str], says: str) -> None:
    with pytest.raises(UserError) as raised:
        load_prices(write(tmp_path, TABLE.replace(*change)))
    assert says in str(raised.value)
    assert "\n" not in str(raised.value)


def test_an_empty_table_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r":1:1: the file is empty; the shipped prices\.yaml"):
        load_prices(write(tmp_path, ""))


def test_no_table_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"cannot be read .*; check --prices and LENS_RAY_PRICES"):
        load_prices(tmp_path / "none.yaml")
