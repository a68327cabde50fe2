"""The ladder as a person runs it: proven without privileges, and not proven, or failed, when something is wrong."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from assistant import proofs, wire
from assistant.selftest import honeypot, netdown
from assistant.selftest.report import FAIL, NOT_PROVEN, PASS, SKIPPED, Check, Report, Rung, conclude, digest, to_text

NOBODY = 65534
WHOLE = pytest.mark.skipif("WHOLE_SELFTEST" not in os.environ, reason="NOT CHECKED: set WHOLE_SELFTEST=1, as CI does")
COMMAND = ["-P", "-m", "assistant", "selftest", "network-down", "--json", "--seconds"]
PHONES_HOME = '''
"""Imitates onnxruntime >= 1.29: a second after it is loaded it looks a host up and greets it, unless told not to."""
import os, socket, ssl, threading, time
from dataclasses import replace
from backends.reference import ReferenceBackend

def report_usage():
    time.sleep(1)
    ip = socket.getaddrinfo("events.telemetry.invalid", 443, socket.AF_INET)[0][4][0]
    plain = socket.create_connection((ip, 443))
    ssl.create_default_context().wrap_socket(plain, server_hostname="events.telemetry.invalid")

class PhonesHome(ReferenceBackend):
    info = replace(ReferenceBackend.info, name="phones-home", preference=1)

    def load(self, weights):
        if os.environ.get("ORT_DISABLE_TELEMETRY") != "1":
            threading.Thread(target=report_usage, daemon=True).start()
            open(os.path.expanduser("~/.device-id"), "w").write("1234")
        super().load(weights)
'''
SABOTAGE = """
import os
set_item = type(os.environ).__setitem__
def forgetful(self, name, value):
    if name != "ORT_DISABLE_TELEMETRY":
        set_item(self, name, value)
type(os.environ).__setitem__ = forgetful
os.environ.pop("ORT_DISABLE_TELEMETRY", None)
"""


@pytest.fixture
def nobody_s_home() -> Iterator[Path]:
    home = Path(tempfile.mkdtemp(prefix="ra-", dir="/tmp"))
    if os.geteuid() == 0:
        os.chown(home, NOBODY, NOBODY)
    yield home
    shutil.rmtree(home)


def as_nobody(python: Path, home: Path, *words: str) -> subprocess.CompletedProcess:
    """As a user without any privilege; if we are one, as ourselves."""
    drop = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"] if os.geteuid() == 0 else []
    command = [*drop, "env", "-i", f"PATH={os.environ['PATH']}", f"HOME={home}", "CI=true", str(python), *words]
    return subprocess.run(command, cwd="/", capture_output=True, text=True, timeout=400, check=False)


@pytest.mark.slow
def test_proven_as_an_unprivileged_user(request, nobody_s_home):
    python = request.getfixturevalue("installed") if os.geteuid() == 0 else Path(sys.executable)
    seconds = os.environ.get("SILENCE_S", "2")
    done = as_nobody(python, nobody_s_home, *COMMAND, seconds)
    report = msgspec.json.decode(done.stdout, type=Report)
    print(to_text(report))
    if report.rungs["honeypot"] == NOT_PROVEN:
        pytest.skip(f"HONEYPOT NOT CHECKED: {report.why}")
    assert report.verdict == PASS, report.why
    assert (done.returncode, report.rungs, report.hosts) == (
        0, {"static": PASS, "seccomp": PASS, "honeypot": PASS, "live": SKIPPED}, [],
    )  # fmt: skip
    assert report.user == (NOBODY if os.geteuid() == 0 else os.geteuid())
    assert ("short run" in report.why) == (report.listened_s < 60)
    assert report.listened_s >= float(seconds)
    rungs = {rung.name: rung for rung in report.ladder}
    for name in ("seccomp", "honeypot"):
        assert len(rungs[name].controls) >= 6
        assert all(rungs[name].controls.values())
        checks = {check.name: check for check in rungs[name].checks}
        assert checks["same text as in the open"].ok
        assert checks["chat"].tokens > 1
        assert checks["chat"].tok_s > 0
        assert {f"backend {backend}" for backend in ("reference", "onnx", "mythic-m1076", "axelera-metis")} <= {*checks}
    assert report.versions["onnxruntime"]
    # The report is what was written: its own hash, kept for this user alone.
    assert hashlib.sha256(msgspec.json.encode(msgspec.structs.replace(report, sha256=""))).hexdigest() == report.sha256
    (kept,) = (nobody_s_home / ".local/state/rwkv-assistant/selftest").iterdir()
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    assert json.loads(kept.read_text())["sha256"] == report.sha256


@pytest.mark.slow
@WHOLE
def test_a_library_that_calls_home_fails_it_and_is_named(tmp_path):
    """A plug-in that imitates such a library, on a machine where our switch does not reach it."""
    (tmp_path / "phones_home.py").write_text(PHONES_HOME)
    (tmp_path / "sitecustomize.py").write_text(SABOTAGE)
    about = tmp_path / "phones_home-1.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: phones-home\nVersion: 1\n")
    (about / "entry_points.txt").write_text("[assistant.backends]\nphones-home = phones_home:PhonesHome\n")
    report = sabotaged([tmp_path], "2")
    assert report.hosts == ["events.telemetry.invalid"]
    honey = next(rung for rung in report.ladder if rung.name == "honeypot")
    assert {a.sni for a in honey.attempts} == {"", "events.telemetry.invalid"}
    assert next(c for c in honey.checks if c.name == "files left below HOME").detail == ".device-id"
    assert "events.telemetry.invalid" in report.why
    # Under the filter the very same library reached nobody, and the assistant worked.
    assert report.rungs["seccomp"] == PASS


@pytest.mark.slow
@pytest.mark.skipif(not os.environ.get("ONNXRUNTIME_THAT_CALLS"), reason="NOT CHECKED: set ONNXRUNTIME_THAT_CALLS to a "
                    "folder with onnxruntime 1.31, as CI does")  # fmt: skip
def test_the_real_library_without_its_switch_fails_it_and_is_named(tmp_path):
    (tmp_path / "sitecustomize.py").write_text(SABOTAGE)
    report = sabotaged([tmp_path, Path(os.environ["ONNXRUNTIME_THAT_CALLS"])], "25")
    assert report.versions["onnxruntime"].startswith("1.31")
    assert any(host.endswith("events.data.microsoft.com") for host in report.hosts), report.hosts
    honey = next(rung for rung in report.ladder if rung.name == "honeypot")
    assert "deviceid" in next(c for c in honey.checks if c.name == "files left below HOME").detail


def sabotaged(paths: list[Path], seconds: str) -> Report:
    env = os.environ | {"PYTHONPATH": os.pathsep.join(map(str, paths))}
    done = subprocess.run([sys.executable, *COMMAND, seconds], env=env, capture_output=True, text=True, check=False)
    report = msgspec.json.decode(done.stdout, type=Report)
    if report.rungs["honeypot"] == NOT_PROVEN:
        pytest.skip(f"SABOTAGE NOT CHECKED: {report.why}")
    assert (report.verdict, done.returncode) == (FAIL, 1)
    assert report.rungs["honeypot"] == FAIL
    assert report.rungs["static"] == FAIL, "the switch that is not set was not noticed"
    return report


# --- what a verdict rests on ---


def rung(name: str, verdict: str = PASS, **more) -> Rung:
    return Rung(name=name, verdict=verdict, **more)


@pytest.mark.parametrize(
    ("verdicts", "expected"),
    [
        ({"static": PASS, "seccomp": PASS, "honeypot": PASS, "live": SKIPPED}, PASS),
        ({"static": PASS, "seccomp": PASS, "honeypot": PASS, "live": PASS}, PASS),
        ({"static": PASS, "seccomp": PASS, "honeypot": PASS}, PASS),
        ({"static": PASS, "seccomp": PASS, "honeypot": NOT_PROVEN, "live": PASS}, NOT_PROVEN),
        ({"static": PASS, "seccomp": NOT_PROVEN, "honeypot": PASS, "live": PASS}, NOT_PROVEN),
        ({"static": PASS, "seccomp": PASS, "live": PASS}, NOT_PROVEN),
        ({"static": SKIPPED, "seccomp": PASS, "honeypot": PASS}, NOT_PROVEN),
        ({"static": PASS, "seccomp": PASS, "honeypot": PASS, "live": FAIL}, FAIL),
        ({"static": PASS, "seccomp": FAIL, "honeypot": NOT_PROVEN}, FAIL),
        ({}, NOT_PROVEN),
    ],
)
def test_never_pass_without_every_rung_that_proves(verdicts, expected):
    report = conclude([rung(n, v) for n, v in verdicts.items()], {}, 0, 0.0, 60.0)
    assert report.verdict == expected
    assert report.sha256 == digest(report)
    assert report.sha256 != digest(msgspec.structs.replace(report, why="something else"))


@pytest.mark.parametrize(
    ("failure", "expected", "word"),
    [
        (honeypot.HoneypotUnavailable("user namespaces are forbidden"), NOT_PROVEN, "forbidden"),
        (RuntimeError("cut"), NOT_PROVEN, "cut"),
        (honeypot.Catch(canaries={"native look-up": False}, attempts=[], seconds=60, exit_code=0, ci=None, hidden=[]),
         NOT_PROVEN, "deaf"),
        (honeypot.Catch(canaries={"native look-up": True}, seconds=60, exit_code=0, ci=None, hidden=[], attempts=[
            honeypot.Attempt(at_s=10, process="x (1)", protocol="udp", address="9.9.9.9", port=53, name="a.invalid")]),
         FAIL, "a.invalid"),
    ],
)  # fmt: skip
def test_a_honeypot_that_cannot_prove_it_says_so(monkeypatch, failure, expected, word):
    def run(*_arguments, **_options):
        if isinstance(failure, Exception):
            raise failure
        return failure

    spoken = [Check(name="chat", ok=True, text="hello")]
    monkeypatch.setattr(honeypot, "run", run)
    monkeypatch.setattr(netdown, "_result", lambda _out: list(spoken))
    found, _ = netdown._honeypot(spoken, 60)
    assert found.verdict == expected
    assert word in found.why
    others = [rung("static"), rung("seccomp")]
    assert conclude([*others, found], {}, 0, 0.0, 60.0).verdict == expected


def test_other_words_than_in_the_open_fail():
    online = [Check(name="chat", ok=True, text="hello")]
    assert netdown.same_words(online, [Check(name="chat", ok=True, text="hello")]).ok
    assert not netdown.same_words(online, [Check(name="chat", ok=True, text="hullo")]).ok
    assert not netdown.same_words([], []).ok
    assert not netdown.same_words("it did not run", online).ok


def test_reports_are_kept_and_the_last_written_is_the_last(home):
    """Also when the clock is set back in between."""
    assert proofs.last() is None
    for verdict, at in ((PASS, 2e9), (FAIL, 1e9)):
        report = conclude([rung(n, verdict) for n in ("static", "seccomp", "honeypot")], {}, 0, at, 60.0)
        proofs.keep(msgspec.json.encode(report), at)
    assert proofs.last().verdict == FAIL
    assert len(proofs.history()) == 2
    newest = proofs.history()[-1]
    newest.write_bytes(newest.read_bytes()[:50])  # torn by a full disk
    assert proofs.last().verdict == PASS
    for _ in range(proofs.KEPT + 3):
        proofs.keep(msgspec.json.encode(report))
    assert len(proofs.history()) == proofs.KEPT
    summary = msgspec.json.decode(proofs.history()[-1].read_bytes(), type=wire.SelfTestSummary)
    assert (summary.verdict, summary.sha256) == (FAIL, report.sha256)


def test_everything_else_that_can_be_checked(home):
    import sqlite3

    from assistant import paths
    from assistant.history import History
    from assistant.selftest.everything import database

    assert database()[0].ok
    paths.ensure_private_dir(paths.state_dir())
    history = History(paths.history_file())
    history.create_chat("kept")
    history.close()
    assert all(check.ok for check in database())
    with sqlite3.connect(paths.history_file()) as db:
        db.execute("PRAGMA foreign_keys = OFF")
        db.execute("UPDATE chats SET id = 'another'")
        db.execute("INSERT INTO messages(id, chat_id, role, content, status, created_at) "
                   "VALUES ('m', 'gone', 'user', 'x', 'complete', 0)")  # fmt: skip
    assert [check.ok for check in database()] == [True, False]
    raw = bytearray(paths.history_file().read_bytes())
    raw[4096:8192] = bytes(4096)
    paths.history_file().write_bytes(raw)
    assert not all(check.ok for check in database())


def test_the_command_lists_and_shows_reports(home):
    run = lambda *words: subprocess.run([sys.executable, "-m", "assistant", "selftest", *words], capture_output=True,  # noqa: E731
                                        text=True, check=False)  # fmt: skip
    assert "No report yet" in run("reports").stderr
    assert run().returncode == 2
    report = conclude([rung("static"), rung("seccomp")], {"python": "3"}, 0, 1e9, 0.0)
    proofs.keep(msgspec.json.encode(report), 1e9)
    listed = run("reports")
    assert "NOT PROVEN" in listed.stdout
    assert "rung honeypot unavailable" in listed.stdout
    assert "self-test network-down: NOT PROVEN" in run("reports", "--last").stdout
    assert json.loads(run("reports", "--json").stdout)[0]["verdict"] == NOT_PROVEN
