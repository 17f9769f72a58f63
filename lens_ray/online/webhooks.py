"""Alerts by HTTP: generic JSON, and the shape that Slack wants. URLs are secrets, never shown."""

from __future__ import annotations

import json
import math
import os
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import asdict
from http.client import HTTPException
from typing import Any
from urllib.parse import urlsplit

from lens_ray.errors import UserError
from lens_ray.online.alert import Alert
from lens_ray.online.spec import AlertSpec

#: Sends one alert and returns None, or says in one line why that failed; may take its time.
Send = Callable[[Alert], str | None]
#: Slack refuses texts above 3,000 characters.
_LONGEST = 2900
_AGENT = "lens-ray"


def channels_of(spec: AlertSpec, watch: str) -> dict[str, Send]:
    """The webhooks that a watch names.

    Raises:
        UserError: A variable is not set, or holds no URL of the web.
    """
    found: dict[str, Send] = {}
    for name, key, variable, shape in (
        ("webhook", "webhook_env", spec.webhook_env, generic_body),
        ("slack", "slack_env", spec.slack_env, slack_body),
    ):
        if variable is not None:
            found[name] = _webhook(key, variable, spec.timeout_s, watch, shape)
    return found


def generic_body(alert: Alert, watch: str) -> dict[str, object]:
    """The JSON that a generic webhook gets; ``id`` is the same whenever it is repeated."""
    return {
        "id": f"{watch}/{alert.run}/{alert.key}",
        "watch": watch,
        **{name: value for name, value in asdict(alert).items() if name != "key"},
    }


def slack_body(alert: Alert, watch: str) -> dict[str, object]:
    """The JSON that a Slack webhook gets."""
    text = f"*{_slack(watch)} / {_slack(alert.run)}* ({_slack(alert.kind)}): {_slack(alert.line)}"
    text = text[:_LONGEST]
    section = {"type": "section", "text": {"type": "mrkdwn", "text": text}}
    return {"text": text, "blocks": [section]}


def _slack(text: str) -> str:
    """As Slack wants its three characters escaped, in one line."""
    line = " ".join(text.split())
    return line.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _webhook(
    key: str,
    variable: str,
    timeout_s: float,
    watch: str,
    shape: Callable[[Alert, str], dict[str, object]],
) -> Send:
    url = os.environ.get(variable, "").strip()
    if not url:
        raise UserError(f"alerts: {key}: {variable} is not set; type export {variable}=https://...")
    if not _of_the_web(url):
        raise UserError(f"alerts: {key}: {variable} holds no http:// or https:// URL; set it anew")

    def send(alert: Alert) -> str | None:
        body = shape(alert, watch)
        return _post(url, body, f"{watch}/{alert.run}/{alert.key}", timeout_s)

    return send


def _of_the_web(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and url.isprintable()
    except ValueError:
        return False


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """A webhook that sends elsewhere does not get the alert there."""

    def redirect_request(self, *args: Any, **kwargs: Any) -> None:
        """None ends the request with the redirect's own status."""


def _post(url: str, body: Mapping[str, object], identity: str, timeout_s: float) -> str | None:
    """Post JSON; returns why that failed, without the URL, which is a secret."""
    headers = {
        "Content-Type": "application/json",
        "User-Agent": _AGENT,
        "Idempotency-Key": identity.encode("ascii", "backslashreplace").decode()[:255],
    }
    data = json.dumps(_plain(body), allow_nan=False).encode()
    try:
        request = urllib.request.Request(url, data=data, headers=headers, method="POST")
        opener = urllib.request.build_opener(_NoRedirect)
        with opener.open(request, timeout=timeout_s) as answer:
            status = int(answer.status)
    except urllib.error.HTTPError as error:
        status = error.code
        error.close()
    except urllib.error.URLError as error:
        return f"it cannot be reached ({_cause(error.reason)})"
    except (OSError, HTTPException, ValueError) as error:
        return f"it cannot be reached ({_cause(error)})"
    return None if 200 <= status < 300 else f"it answered {status}"


def _cause(error: object) -> str:
    """The kind of an error; its text may hold the URL."""
    strerror = getattr(error, "strerror", None)
    return str(strerror) if isinstance(strerror, str) else type(error).__name__


def _plain(value: object) -> object:
    """JSON values; what JSON lacks becomes null or text."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value if value is None or isinstance(value, str | int) else str(value)
