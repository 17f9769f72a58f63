"""What looks like a secret, so that none enters a job file, a log, a store or Ray. Regexes only."""

from __future__ import annotations

import re

from lens_ray.errors import JobError

_KEY = re.compile(
    r"(?:^|[_-])(?:api_?key|apikey|token|passw(?:or)?d|passphrase|secret|secret_?key|access_?key"
    r"(?:_?id)?|private_?key|credentials?|authorization|bearer)$",
    re.IGNORECASE,
)
#: These end like secrets and are none: tokens of a tokenizer.
_TOKENIZER = re.compile(r"(?:^|_)(?:eos|bos|pad|unk|image|stop|end|start)_?token$", re.IGNORECASE)
# Every repetition is bounded: a long text takes time linear in its length.
_IN_URL = re.compile(
    r"[a-z][a-z0-9+.-]{0,20}://[^/?#\s@]{0,500}@(?!$)|[?&](?:x-amz-[a-z-]{1,30}|sig|signature|token"
    r"|[a-z_-]{0,30}key|[a-z_-]{0,30}secret)=",
    re.IGNORECASE,
)
_RAW = re.compile(
    r"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b|\bsk-[A-Za-z0-9_-]{20}|\bhf_[A-Za-z0-9]{30}"
    r"|\bgh[pousr]_[A-Za-z0-9]{30}|\bAIza[0-9A-Za-z_-]{30}|\bAQ\.[0-9A-Za-z_-]{30}"
    r"|-----BEGIN [A-Z ]{0,40}PRIVATE KEY-----"
)
#: Where each provider's key is by custom.
KEY_VARIABLES = {
    "openai": "OPENAI_API_KEY",
    "anthropic": "ANTHROPIC_API_KEY",
    "gemini": "GEMINI_API_KEY",
}


def is_secret_name(name: str) -> bool:
    """Whether a key or a variable is named like a secret."""
    return bool(_KEY.search(name)) and not _TOKENIZER.search(name)


def variable_for(key: str, backend: object) -> str:
    """The environment variable in which a secret belongs.

    Args:
        key: Its key in the job file.
        backend: The backend of its model, as far as known.
    """
    if re.search(r"access|aws|secret_?key", key, re.IGNORECASE):
        return "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
    if isinstance(backend, str) and backend in KEY_VARIABLES:
        return KEY_VARIABLES[backend]
    if re.search(r"(?:^|hf_|hub_)token$", key, re.IGNORECASE):
        return "HF_TOKEN"
    return "the provider's variable (OPENAI_API_KEY, ANTHROPIC_API_KEY, GEMINI_API_KEY, HF_TOKEN)"


def secret_in(text: str) -> str | None:
    """What to do about a text that carries a secret, without repeating it; None where it is clean.

    Args:
        text: A value of a job file, a path or a URL.
    """
    if _IN_URL.search(text):
        return (
            "the URL carries credentials; take them out and set AWS_ACCESS_KEY_ID and "
            "AWS_SECRET_ACCESS_KEY (or your store's or provider's own variables) in the environment"
        )
    if _RAW.search(text):
        return (
            "this looks like a secret, which must not stand here; set the provider's variable "
            "(AWS_SECRET_ACCESS_KEY, OPENAI_API_KEY, HF_TOKEN, ...) in the environment"
        )
    return None


def refuse_secret(what: str, text: str) -> None:
    """Refuse a URL that carries credentials: it would enter logs, reports and the store.

    Args:
        what: What the text is, such as ``--store``.
        text: A path or URL.

    Raises:
        JobError: It carries some; the message does not repeat them.
    """
    if advice := secret_in(text):
        raise JobError(f"{what}: {advice}")
