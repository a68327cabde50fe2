"""Rung 1: what can be read without running anything: switches, versions, what libraries carry, hashes, one root."""

from __future__ import annotations

import hashlib
import importlib.util
import mmap
import os
from importlib import metadata
from pathlib import Path

from assistant import silence
from assistant.models.store import Store
from assistant.selftest.report import Check

PACKAGE = "rwkv-assistant"
COLLECTORS = (b"events.data.microsoft.com", b"mobile.events.data.microsoft.com", b"google-analytics.com",
              b"app.posthog.com", b"api.segment.io", b"ingest.sentry.io")  # fmt: skip
"""Hosts that libraries report usage to. Whoever carries one is named; the honeypot tells whether it calls."""
PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY")


def checks() -> list[Check]:
    return [_switches(), _one_root(), *_packages(), *_proxies(), *_models()]


def versions() -> dict[str, str]:
    """Of ourselves, of what we stand on, and of the machine below."""
    found = {"python": ".".join(map(str, os.sys.version_info[:3])), "kernel": os.uname().release,
             "machine": os.uname().machine}  # fmt: skip
    for name in (PACKAGE, *_requirements()):
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def _requirements() -> list[str]:
    """Names of the distributions that we need, without those of extras."""
    lines = metadata.requires(PACKAGE) or []
    return sorted({_name(line) for line in lines if "extra ==" not in line})


def _name(line: str) -> str:
    end = next((i for i, c in enumerate(line) if c in " <>=!~;[("), len(line))
    return line[:end]


def _switches() -> Check:
    off = [name for name, value in silence.SWITCHES.items() if os.environ.get(name) != value]
    return Check(name="telemetry switches", ok=not off,
                 detail=f"not set: {', '.join(off)}" if off else f"{len(silence.SWITCHES)} set")  # fmt: skip


def _one_root() -> Check:
    """A folder called `backends` somewhere on the path must not have taken the place of ours."""
    roots = {}
    for name in ("assistant", "backends"):
        spec = importlib.util.find_spec(name)
        roots[name] = Path(spec.origin).resolve().parent.parent if spec and spec.origin else None
    ok = len(set(roots.values())) == 1 and None not in roots.values()
    return Check(name="one root", ok=ok, detail=", ".join(f"{n} in {r}" for n, r in roots.items()) if not ok else "")


def _packages() -> list[Check]:
    digest, carriers, missing = hashlib.sha256(), [], []
    for name in _requirements():
        try:
            files = metadata.files(name) or []
        except metadata.PackageNotFoundError:
            missing.append(name)
            continue
        for file in files:
            path = Path(file.locate())
            if path.name == "RECORD" and path.is_file():
                digest.update(path.read_bytes())
            elif path.suffix == ".so" or ".so." in path.name:
                carriers += [f"{name} {path.name}: {host}" for host in _hosts(path)]
    return [
        Check(name="packages", ok=not missing, detail=f"missing: {', '.join(missing)}" if missing
              else f"sha256 of their records {digest.hexdigest()[:16]}"),
        # Told, not judged: a library that carries an address may be silenced; rung 3 listens.
        Check(name="collectors' hosts in native libraries", ok=not carriers, required=False,
              detail="; ".join(carriers) or "none"),
    ]  # fmt: skip


def _hosts(library: Path) -> list[str]:
    try:
        with library.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
            return [host.decode() for host in COLLECTORS if content.find(host) >= 0]
    except (OSError, ValueError):
        return []


def _proxies() -> list[Check]:
    found = [name for proxy in PROXIES for name in (proxy, proxy.lower()) if os.environ.get(name)]
    detail = f"{', '.join(found)} set; our client never uses them" if found else "none"
    return [Check(name="proxies", ok=not found, required=False, detail=detail)]


def _models() -> list[Check]:
    store, found = Store(), []
    for name in store.scan():
        try:
            damage, manifest = store.verify(name), store.show(name)
            detail = "; ".join(f"{d.file.name}: {d.why}" for d in damage) or f"sha256 {manifest.source.sha256[:16]}"
            found.append(Check(name=f"model {name}", ok=not damage, detail=detail))
        except Exception as error:  # a damaged manifest is one damaged model, not the end of the test
            found.append(Check(name=f"model {name}", ok=False, detail=str(error)))
    return found
