"""A day of the assistant in a private home: chat, resume after a restart, plan, a model from a file, every backend.

The same program runs in the open, under the filter and in the honeypot: `python -m assistant.selftest.scenario`.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
import wave
from pathlib import Path

import msgspec

from assistant import silence, wire
from assistant.client import Client
from assistant.errors import AssistantError
from assistant.selftest.report import Check

SEED, TOKENS = 7, 32
QUESTIONS = ("Hello! Who are you?", "What can you do for me?")
SUM, RESULT = "What is 15 % of 80?", "12"
SPOKEN = "What can you do for me today?"
READY_S, STOP_S, AGAIN_S = 120.0, 40.0, 3.0


class Options(msgspec.Struct, kw_only=True):
    """How a run of the scenario differs from another."""

    seconds: float = 0.0  # go on for at least so long
    unfiltered: bool = False  # the daemon's own filter is left out
    deny: bool = False  # put this very process, and all that it starts, under the filter first
    only_chat: bool = False  # the first half
    backend: str = ""  # as in an earlier run, whose words are to be compared; empty: what the daemon chooses


def command(options: Options, out: Path) -> list[str]:
    return [sys.executable, "-P", "-m", __name__, msgspec.json.encode(options).decode(), str(out)]


def result(out: Path) -> list[Check]:
    """What a run has written; raises OSError or msgspec.MsgspecError if it did not come so far."""
    return msgspec.json.decode(out.read_bytes(), type=list[Check])


class _Daemon:
    """A private daemon that is started and stopped as often as the scenario wants."""

    def __init__(self, home: Path, unfiltered: bool, backend: str):
        self.home, self._unfiltered, self._backend = home, unfiltered, backend
        self.socket, self.log = home / "runtime" / "daemon.sock", home / "log"
        self.env = os.environ.copy()
        self.env |= {"ASSISTANT_HOME": str(home), "PYTHONSAFEPATH": "1"}
        for name in ("ASSISTANT_SOCKET", "NOTIFY_SOCKET", "LISTEN_FDS", "LISTEN_PID"):
            self.env.pop(name, None)
        self.process: subprocess.Popen | None = None

    def run(self, *arguments: str) -> subprocess.CompletedProcess:
        return subprocess.run([sys.executable, "-P", "-m", *arguments], env=self.env, capture_output=True, text=True,
                              timeout=600, check=False)  # fmt: skip

    def start(self) -> wire.Ready:
        words = ["serve", *(["--unfiltered"] if self._unfiltered else [])]
        words += ["--backend", self._backend] if self._backend else []
        with self.log.open("ab") as log:
            self.process = subprocess.Popen([sys.executable, "-P", "-m", "assistant", *words], env=self.env, stdout=log,
                                            stderr=log, stdin=subprocess.DEVNULL)  # fmt: skip
        until = time.monotonic() + READY_S
        while time.monotonic() < until and self.process.poll() is None:
            try:
                ready = self.call(lambda client: client.ready())
                if ready.ready:
                    return ready
            except AssistantError:
                pass
            time.sleep(0.05)
        raise AssistantError("the private daemon did not start", why=self.log.read_text()[-1500:])

    def call(self, work):
        async def once():
            async with Client(self.socket) as client:
                return await work(client)

        return asyncio.run(once())

    def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(STOP_S)


async def _say(client: Client, chat_id: str, text: str, tokens: int = TOKENS, skills: bool = False) -> wire.Finished:
    message = wire.SendMessage(content=text, seed=SEED, max_tokens=tokens, temperature=1.0, top_p=0.9, skills=skills)
    async for event in client.stream_message(chat_id, message):
        match event:
            case wire.Finished():
                return event
            case wire.Failed():
                raise AssistantError(event.error.message)
    raise AssistantError("the reply had no end")


class Scenario:
    """Runs all steps; each becomes a check, and a failing one does not stop the others that can go on."""

    def __init__(self, options: Options, home: Path):
        self.options, self.checks = options, []
        self._daemon = _Daemon(home, options.unfiltered, options.backend)
        self._began = time.monotonic()

    def run(self) -> list[Check]:
        backends = None
        try:
            if not self.options.only_chat:
                backends = self._start_backends()
            self._step("daemon starts", self._starts)
            self._step("chat", self._chats)
            self._step("a skill answers", self._calculates)
            self._step("voice: said, heard, answered, said", self._speaks)
            self._step("state saved, daemon restarted, chat resumed", self._resumes)
            if not self.options.only_chat:
                self._step("plan", self._plans)
                self._step("model added from a file", self._adds_a_model)
                self._step("stays at work", self._goes_on)
                self._finish_backends(backends)
            self._step("shutdown", self._stops)
        except AssistantError as error:
            self.checks.append(Check(name="scenario", ok=False, detail=str(error)))
        finally:
            for process in (backends, self._daemon.process):
                if process and process.poll() is None:
                    process.kill()
                    process.wait()
        return self.checks

    def _step(self, name: str, work) -> None:
        started = time.monotonic()
        try:
            check = work()
        except (subprocess.TimeoutExpired, OSError) as error:
            raise AssistantError(name, why=error) from error
        check.name, check.seconds = name, round(time.monotonic() - started, 3)
        self.checks.append(check)

    def _starts(self) -> Check:
        ready = self._daemon.start()
        network = ready.network
        wanted = not self.options.unfiltered or self.options.deny
        ok = network is not None and network.denied == wanted
        state = "on" if network and network.denied else "off"
        detail = f"filter {state}, as it should" if ok else f"its network is {network}, not as it should"
        return Check(name="", ok=ok, detail=detail, backend=ready.backend.name)

    def _chats(self) -> Check:
        self._chat = self._daemon.call(lambda c: c.create_chat("self-test")).id
        return self._written(self._daemon.call(lambda c: _say(c, self._chat, QUESTIONS[0])))

    def _calculates(self) -> Check:
        message = self._daemon.call(lambda c: _say(c, self._chat, SUM, skills=True)).message
        ok = message.skill is not None and RESULT in message.content
        return Check(name="", ok=ok, detail="" if ok else f"the answer to {SUM!r} was {message.content!r}")

    def _resumes(self) -> Check:
        code = self._daemon.stop()
        self._daemon.start()
        done = self._daemon.call(lambda c: _say(c, self._chat, QUESTIONS[1]))
        check = self._written(done)
        if code or not done.cost.cached_tokens:
            check.ok, check.detail = False, f"exit code {code}, {done.cost.cached_tokens} tokens from a checkpoint"
        else:
            check.detail = f"{done.cost.cached_tokens} tokens came from a checkpoint"
        return check

    def _speaks(self) -> Check:
        """A question through text to speech and back, its answer spoken; each by a command of its own, as people do."""
        if why := self._mute():
            return Check(name="", ok=False, required=False, detail=f"skipped: {why}")
        asked, answered = self._daemon.home / "asked.wav", self._daemon.home / "answered.wav"
        loose = ["--unfiltered"] if self.options.unfiltered else []
        said = self._daemon.run("assistant", "say", *loose, "--out", str(asked), SPOKEN)
        heard = self._daemon.run("assistant", "listen", *loose, "--file", str(asked))
        if said.returncode or heard.returncode:
            return Check(name="", ok=False, detail=(said.stderr + heard.stderr).strip()[-500:])
        chat = self._daemon.call(lambda c: c.create_chat("self-test by voice")).id
        check = self._written(self._daemon.call(lambda c: _say(c, chat, heard.stdout.strip(), skills=True)))
        spoken = self._daemon.run("assistant", "say", *loose, "--out", str(answered), check.text or "")
        # A small model mishears a word now and then; half of them right is no accident.
        words = set(SPOKEN.lower().strip("?").split())
        understood = len(words & set(re.findall(r"[a-z]+", heard.stdout.lower()))) * 2 > len(words)
        check.ok = check.ok and understood and spoken.returncode == 0 and _is_audible(answered)
        check.detail = f"heard {heard.stdout.strip()!r}, said {check.text!r} {spoken.stderr[-300:]}".strip()
        return check

    def _mute(self) -> str:
        """Why nothing is said and heard here; empty where everything for it is installed."""
        found = self._daemon.run("assistant", "voice", "--json")
        if not found.stdout.strip():
            return found.stderr.strip()[-200:] or "`assistant voice` says nothing"
        # No sound card is needed for it, nor what talks to one.
        needed = [part for part in json.loads(found.stdout) if part["needs_device"] is False and not part["optional"]]
        missing = [part["name"] for part in needed if not part["present"]]
        return f"not installed: {', '.join(missing)}" if missing else ""

    def _plans(self) -> Check:
        status = self._daemon.call(lambda client: client.plan())
        what_if = self._daemon.run("assistant", "plan", "--json")
        detail = f"follows '{status.plan.policy}': {status.active}" if not what_if.returncode else what_if.stderr[-300:]
        return Check(name="", ok=what_if.returncode == 0, detail=detail)

    def _adds_a_model(self) -> Check:
        from assistant.models.store import Store

        store = Store()
        manifest, folder = store.show("embedded"), store.folder("embedded")
        file = folder / next(iter(manifest.weights.values())).file
        words = ["models", "add", str(file), "--name", "selftest", "--template", manifest.template]
        if manifest.vocabulary:
            words += ["--vocab", str(folder / manifest.vocabulary.file)]
        added = self._daemon.run("assistant", *words)
        checked = self._daemon.run("assistant", "models", "verify", "selftest")
        ok = added.returncode == checked.returncode == 0
        return Check(name="", ok=ok, detail=(checked.stdout if ok else added.stderr + checked.stderr).strip()[-300:])

    def _goes_on(self) -> Check:
        said = 0
        while True:  # once at least
            self._daemon.call(lambda c: _say(c, self._chat, "And then?", 8))
            said += 1
            left = self.options.seconds - (time.monotonic() - self._began)
            if left <= 0:
                break
            time.sleep(min(left, AGAIN_S))
        at_work_s = time.monotonic() - self._began
        return Check(name="", ok=True, detail=f"{said} more replies; at work for {at_work_s:.0f} s")

    def _stops(self) -> Check:
        code, left = self._daemon.stop(), self._daemon.socket.exists()
        ok = code == 0 and not left
        return Check(name="", ok=ok, detail="" if ok else f"exit code {code}, socket {'left' if left else 'removed'}")

    def _start_backends(self) -> subprocess.Popen:
        """They compute until the rest is done: a library that calls home may do so late."""
        return subprocess.Popen([sys.executable, "-P", "-m", "assistant.selftest.parity", "--until-eof"],
                                env=self._daemon.env, stdin=subprocess.PIPE,
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)  # fmt: skip

    def _finish_backends(self, process: subprocess.Popen) -> None:
        out, errors = process.communicate("", 300)
        if process.returncode or not out.strip():
            self.checks.append(Check(name="backends", ok=False, detail=errors[-500:] or f"exit {process.returncode}"))
        else:
            self.checks += msgspec.json.decode(out.splitlines()[-1], type=list[Check])

    def _written(self, done: wire.Finished) -> Check:
        text = done.message.content
        return Check(name="", ok=bool(text), text=text, tokens=done.usage.completion_tokens, tok_s=done.cost.tok_s,
                     detail=json.dumps(text[:60], ensure_ascii=False))  # fmt: skip


def _is_audible(path: Path) -> bool:
    """Whether a 16-bit recording holds more than silence."""
    with wave.open(str(path), "rb") as file:
        return max(memoryview(file.readframes(file.getnframes())).cast("h"), default=0) > 1000


def main(arguments: list[str]) -> int:
    silence.switch_off_telemetry()
    options = msgspec.json.decode(arguments[0], type=Options)
    if options.deny:
        from assistant import seccomp

        seccomp.deny_network()
    with tempfile.TemporaryDirectory(prefix="ra-st-", dir="/tmp") as home:  # short: a socket's path is 107 bytes
        checks = Scenario(options, Path(home)).run()
    Path(arguments[1]).write_bytes(msgspec.json.encode(checks))
    return int(not all(check.ok for check in checks if check.required))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
