"""Nothing that may be a secret leaves the audit: what is not surely harmless is masked before it is kept or shown."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Mapping
from urllib.parse import urlsplit

MASK = "***"
SECRET_NAME = re.compile(r"KEY|TOKEN|SECRET|PASSW|CREDENTIAL|AUTH|COOKIE|SESSION", re.IGNORECASE)
"""Names of variables and options whose values are nobody's business."""

_KNOWN = re.compile(
    r"(?<![A-Za-z0-9])(?:(?:sk|pplx|xai|nvapi|tvly|glpat|xox[abprs])-|(?:sk|pk|rk|hf|gsk|r8|lsv2|gh[pousr]|github_pat)_)"
    r"[\w-]{8,}"  # vendors' own prefixes
    r"|AIza[\w-]{10,}|AKIA[A-Z0-9]{8,}|ya29\.[\w.-]+|eyJ[\w-]{8,}(?:\.[\w-]*)*|(?i:bearer|basic)\s+\S{6,}",
)
_ASSIGNED = re.compile(r"(?i)([\w-]*(?:key|token|secret|passw(?:or)?d|credential|auth)[\w-]*)(\s*[=:]\s*|\s+)\S+")
_RANDOM = re.compile(r"[A-Za-z0-9_\-+]{16,}={0,2}")
_USERINFO = re.compile(r"(?<=://)[^/@\s]*@")
_AFTER_HOST = re.compile(r"([a-z][a-z0-9+.-]*://[^/?#\s]+)[/?#]\S*", re.IGNORECASE)
_VERSION = re.compile(r"v?\d{1,8}(?:\.\d{1,8}){0,5}(?:[.-]?(?:a|b|c|rc|alpha|beta|pre|dev|post|next)[.-]?\d{0,8})?")
_IDENTIFIER = re.compile(r"[A-Z][A-Z0-9_]{1,59}")
_HOST = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9.-]{0,251}[A-Za-z0-9])?")


class Redactor:
    """Masks what looks like a secret, and each of the values it was given, wherever they occur."""

    def __init__(self, values: Iterable[str] = ()) -> None:
        self.values = sorted({value for value in values if len(value) >= 6}, key=len, reverse=True)

    @staticmethod
    def of_environment(environment: Mapping[str, str]) -> Redactor:
        """Knows the values of variables that are named like a secret. They stay in here."""
        return Redactor(value for name, value in environment.items() if SECRET_NAME.search(name) or "://" in value)

    def clean(self, text: str) -> str:
        """For text of others: names of hosts, processes, files and models. Without control characters."""
        text = "".join(c if c.isprintable() else " " for c in text)
        for value in self.values:
            text = re.sub(re.escape(value), MASK, text, flags=re.IGNORECASE)
        text = _AFTER_HOST.sub(r"\1", _USERINFO.sub("", text))
        text = _ASSIGNED.sub(rf"\1\2{MASK}", _KNOWN.sub(MASK, text))
        return _RANDOM.sub(lambda found: MASK if _looks_random(found[0]) else found[0], text)


def _looks_random(word: str) -> bool:
    """Letters and digits in a mix that no name has: they change often without anything between them."""
    changes = sum((a.isdigit() and b.isalpha()) or (a.isalpha() and b.isdigit()) for a, b in itertools.pairwise(word))
    return changes >= 4


PLAIN = Redactor()


def variable(name: str) -> str | None:
    """The name of an environment variable if it is one that can be shown."""
    return name if _IDENTIFIER.fullmatch(name) and MASK not in PLAIN.clean(name) else None


def version(text: str) -> str:
    """The part of a version that is surely one; a folder's name may go on with anything."""
    found = _VERSION.match(text)
    return found[0] if found else ""


def endpoint(url: str) -> str | None:
    """`host:port` of a URL, and nothing else of it; None if it is none."""
    is_url, url = "://" in url, url.strip()
    try:
        parts = urlsplit(url if is_url else f"//{url}")
        host, port = parts.netloc.rpartition("@")[2], parts.port
    except ValueError:
        return None
    host = host.removesuffix(f":{port}")
    if not (_HOST.fullmatch(host) or re.fullmatch(r"\[[0-9a-fA-F:]+\]", host)):
        return None
    if not is_url and not re.fullmatch(r"localhost|[\d.]+|\[.*\]", host):
        return None  # any word
    # In its own case: masks know keys by it.
    host = PLAIN.clean(host)
    return f"{host}:{port}" if port else host
