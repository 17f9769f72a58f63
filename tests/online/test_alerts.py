from __future__ import annotations

import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from lens_ray.errors import StoreUnavailable, UserError
from lens_ray.online.alert import alerts_of
from lens_ray.online.alerts import Alerts
from lens_ray.online.findings import AdviceLine, Alarm, Findings
from lens_ray.online.spec import AlertSpec
from lens_ray.online.webhooks import slack_body
from lens_ray.store import Store
from lens_ray.store.watch_log import Told, WatchLog
from tests.online.hand_made import conflict, converged, decline
from tests.online.hooks import Hook

FOUND = Findings(
    "r", 1000,
    convergence=(replace(converged("entity", 300), withdrawn=(700,)),),
    declines=(decline("ocr"),),
    conflicts=(conflict("counting", "ocr"),),
    alarms=(Alarm("near_chance", "grounding", 500, "grounding is near chance"),),
    advice=(
        AdviceLine("ocr", "falling", "ocr: falling", evidence=("decline:ocr:900",)),
        AdviceLine("run", "stop", "run: stop now", (300,), evidence=("convergence:entity:700",)),
    ),
)  # fmt: skip
KEYS = [
    "convergence:entity:700", "withdrawn:entity:700", "decline:ocr:900",
    "conflict:counting:ocr:900", "near_chance:grounding:500", alerts_of(FOUND)[-1].key,
]  # fmt: skip


@pytest.fixture
def log(tmp_path: Path) -> WatchLog:
    return Store(tmp_path / "store", create=True).watch("w")


def alerts(
    log: WatchLog, hook: Hook, monkeypatch: pytest.MonkeyPatch, *, lines: list[str] | None = None,
    on: tuple[str, ...] = (), timeout_s: float = 5.0, pause_s: float = 0.02,
) -> Alerts:  # fmt: skip
    monkeypatch.setenv("MY_HOOK", hook.url)
    spec = AlertSpec(webhook_env="MY_HOOK", on=on, timeout_s=timeout_s)
    said = [] if lines is None else lines
    return Alerts(spec, log.told, "w", on_line=said.append, pause_s=pause_s)


def ids(hook: Hook) -> list[str]:
    return [body["id"] for body in hook.heard]


def test_every_finding_is_an_alert_of_its_own_key() -> None:
    assert [alert.key for alert in alerts_of(FOUND)] == KEYS


def test_what_still_holds_is_the_same_alert_however_its_figures_move() -> None:
    """More checkpoints move the step of a convergence, and bring further windows of a decline."""
    moved = replace(
        FOUND,
        convergence=(replace(FOUND.convergence[0], step=400, declared_at=1000),),
        advice=(replace(FOUND.advice[1], evidence=("convergence:entity:700", "decline:ocr:1400")),),
    )
    before = replace(
        FOUND,
        advice=(replace(FOUND.advice[1], evidence=("decline:ocr:900", "convergence:entity:700")),),
    )
    assert [alert.key for alert in alerts_of(moved)] == [alert.key for alert in alerts_of(before)]
    again = replace(FOUND.convergence[0], withdrawn=(700, 1200))
    keys = [alert.key for alert in alerts_of(Findings("r", 1500, convergence=(again,)))]
    assert keys == ["convergence:entity:1200", "withdrawn:entity:700", "withdrawn:entity:1200"]


@pytest.mark.parametrize(
    ("on", "keys"),
    [
        (("decline", "conflict"), KEYS[2:4]),
        (("alarm",), KEYS[4:5]),
        (("near_chance",), KEYS[4:5]),
        (("sudden_drop",), []),
        (("stop", "withdrawn"), [KEYS[1], KEYS[5]]),
    ],
)
def test_only_what_is_wanted(on: tuple[str, ...], keys: list[str]) -> None:
    assert [alert.key for alert in alerts_of(FOUND, on)] == keys


def test_each_is_told_once_by_whatever_watcher(
    log: WatchLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Hook() as hook:
        first = alerts(log, hook, monkeypatch)
        for _ in range(3):
            first.tell(FOUND)
        assert first.close() == 0
        assert ids(hook) == [f"w/r/{key}" for key in KEYS]
        second = alerts(log, hook, monkeypatch)
        second.tell(FOUND)
        more = Alarm("one_answer", None, 1000, "the same letter for all")
        second.tell(replace(FOUND, alarms=(*FOUND.alarms, more)))
        second.tell(replace(FOUND, run="other", convergence=(), declines=(), conflicts=()))
        assert second.close() == 0
    assert ids(hook)[len(KEYS) :] == [
        "w/r/one_answer:-:1000", "w/other/near_chance:grounding:500", f"w/other/{KEYS[-1]}",
    ]  # fmt: skip
    assert hook.heard[2]["finding"]["ability"] == "ocr"
    assert hook.heard[2]["line"].startswith("ocr fell by 0.080")
    assert hook.headers[0]["Idempotency-Key"] == "w/r/convergence:entity:700"


def test_what_failed_is_tried_again_and_told_once(
    log: WatchLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines: list[str] = []
    with Hook(lambda number: 503 if number < 2 else 200) as hook:
        mine = alerts(log, hook, monkeypatch, lines=lines, on=("decline",))
        mine.tell(FOUND)
        hook.wait(3)
        mine.tell(FOUND)
        assert mine.close() == 0
    assert ids(hook) == ["w/r/decline:ocr:900"] * 3
    assert lines == [
        "r: webhook did not take decline:ocr:900: it answered 503; it is tried again later"
    ]


def test_one_that_hangs_delays_neither_the_caller_nor_another_channel(
    log: WatchLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines: list[str] = []
    with Hook(lambda number: -1) as hangs, Hook() as hears:
        monkeypatch.setenv("MY_HOOK", hangs.url)
        monkeypatch.setenv("MY_SLACK", hears.url)
        spec = AlertSpec(webhook_env="MY_HOOK", slack_env="MY_SLACK", timeout_s=0.3)
        mine = Alerts(spec, log.told, "w", on_line=lines.append)
        began = time.monotonic()
        mine.tell(FOUND)
        assert time.monotonic() - began < 0.1
        hears.wait(len(KEYS))
        assert mine.close(0.0) > 0
    assert all(hangs.url not in line for line in lines)
    assert "very-secret" not in "".join(lines)


def test_a_hang_ends_and_is_tried_again(log: WatchLog, monkeypatch: pytest.MonkeyPatch) -> None:
    lines: list[str] = []
    with Hook(lambda number: -1 if number == 0 else 200) as hook:
        mine = alerts(log, hook, monkeypatch, lines=lines, on=("decline",), timeout_s=0.2)
        mine.tell(FOUND)
        hook.wait(2)
        assert mine.close() == 0
    assert "did not take decline:ocr:900" in lines[0]


def test_what_nobody_heard_is_left_to_the_next_watcher(
    log: WatchLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Hook(lambda number: 500) as hook:
        mine = alerts(log, hook, monkeypatch, on=("decline", "stop"), pause_s=60)
        mine.tell(FOUND)
        assert mine.close() == 2
    assert log.told("r").read() == Told()
    with Hook() as hook:
        mine = alerts(log, hook, monkeypatch, on=("decline", "stop"))
        mine.tell(FOUND)
        assert mine.close() == 0
    assert len(hook.heard) == 2


def test_one_that_was_on_its_way_when_a_watcher_died_is_not_told_again_and_said(
    log: WatchLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines: list[str] = []
    log.told("r").update(lambda told: Told({"webhook:decline:ocr:900": "trying 2026-01-01"}))
    with Hook() as hook:
        mine = alerts(log, hook, monkeypatch, lines=lines, on=("decline", "stop"))
        mine.tell(FOUND)
        assert mine.close() == 0
    assert ids(hook) == [f"w/r/{KEYS[-1]}"]
    assert lines == [
        "r: webhook: an earlier watcher ended while it told decline:ocr:900; it may not have "
        "been heard and is not told again"
    ]


def test_a_store_that_is_away_is_a_reason_to_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    class Away:
        left, value = 2, Told()

        def read(self) -> Told:
            return self.value

        def update(self, change: object) -> Told:
            if self.left:
                self.left -= 1
                raise StoreUnavailable("store s: no space left; free some space")
            self.value = change(self.value)  # type: ignore[operator]
            return self.value

    cell, lines = Away(), list[str]()
    with Hook() as hook:
        monkeypatch.setenv("MY_HOOK", hook.url)
        spec = AlertSpec(webhook_env="MY_HOOK", on=("decline",))
        mine = Alerts(spec, lambda run: cell, "w", on_line=lines.append, pause_s=0.02)
        mine.tell(FOUND)
        hook.wait(1)
        assert mine.close() == 0
    assert len(hook.heard) == 1
    assert "no space left" in lines[0]
    assert list(cell.value.keys) == ["webhook:decline:ocr:900"]


def test_a_redirect_is_not_followed(log: WatchLog, monkeypatch: pytest.MonkeyPatch) -> None:
    lines: list[str] = []
    with Hook(lambda number: 302) as hook:
        mine = alerts(log, hook, monkeypatch, lines=lines, on=("decline",), pause_s=60)
        mine.tell(FOUND)
        assert mine.close() == 1
        assert len(hook.heard) == 1
    assert "it answered 302" in lines[0]


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (None, "alerts: webhook_env: MY_HOOK is not set"),
        ("file:///etc/passwd", "MY_HOOK holds no http:// or https:// URL"),
        ("very-secret", "MY_HOOK holds no http"),
        ("http://[very-secret", "MY_HOOK holds no http"),
    ],
)
def test_a_variable_that_is_none_is_a_mistake_that_does_not_repeat_it(
    log: WatchLog, monkeypatch: pytest.MonkeyPatch, value: str | None, said: str
) -> None:
    monkeypatch.delenv("MY_HOOK", raising=False)
    if value is not None:
        monkeypatch.setenv("MY_HOOK", value)
    with pytest.raises(UserError, match=said) as raised:
        Alerts(AlertSpec(webhook_env="MY_HOOK"), log.told, "w")
    assert "very-secret" not in str(raised.value)


def test_nobody_there_is_said_without_the_url(
    log: WatchLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Hook() as hook:
        url = hook.url
    lines: list[str] = []
    monkeypatch.setenv("MY_HOOK", url)
    spec = AlertSpec(webhook_env="MY_HOOK", on=("decline",))
    mine = Alerts(spec, log.told, "w", on_line=lines.append)
    mine.tell(FOUND)
    assert mine.close() == 1
    assert "it cannot be reached (Connection refused)" in lines[0]
    assert "very-secret" not in lines[0]


def test_an_unknown_subject_is_a_mistake(log: WatchLog) -> None:
    with pytest.raises(UserError, match=r"alerts: on: 'declines': did you mean 'decline'\?"):
        Alerts(AlertSpec(on=("declines",)), log.told, "w")


def test_slack_gets_text_that_cannot_mean_anything_else() -> None:
    (alert,) = alerts_of(replace(Findings("r", 1), alarms=(
        Alarm("failed", None, 1, "<!channel> a & b\n" + "x" * 5000),)))  # fmt: skip
    body = slack_body(alert, "w")
    text = str(body["text"])
    assert text.startswith("*w / r* (failed): &lt;!channel&gt; a &amp; b xxx")
    assert len(text) <= 3000


@pytest.mark.slow
def test_killed_at_any_moment_nobody_hears_an_alert_twice(tmp_path: Path) -> None:
    """Processes that tell 40 alarms are killed at moments of their own; the last one ends."""
    with Hook() as hook:
        for number in range(4):
            script = [sys.executable, "-c", _TELLER, str(tmp_path / "store"), hook.url]
            teller = subprocess.Popen(script)
            if number < 3:
                hook.wait(len(hook.heard) + 4 + number, 30)
                teller.kill()
            teller.wait(30)
    heard = ids(hook)
    assert len(heard) == len(set(heard))
    told = Store(tmp_path / "store", create=True).watch("w").told("r").read().keys
    unsure = [key for key, state in told.items() if state.startswith("trying")]
    assert len(told) == 40
    assert len(unsure) <= 3
    assert {f"webhook:{key.removeprefix('w/r/')}" for key in heard} | set(unsure) == set(told)


_TELLER = """
import os, sys
from lens_ray.online.alerts import Alerts
from lens_ray.online.findings import Alarm, Findings
from lens_ray.online.spec import AlertSpec
from lens_ray.store import Store
os.environ["HOOK"] = sys.argv[2]
alarms = tuple(Alarm("failed", None, step, "failed") for step in range(40))
told = Store(sys.argv[1], create=True).watch("w").told
mine = Alerts(AlertSpec(webhook_env="HOOK"), told, "w", on_line=lambda line: None)
mine.tell(Findings("r", 1, alarms=alarms))
sys.exit(mine.close(60))
"""
