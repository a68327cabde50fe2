"""How this machine does: battery, disk, memory, load, temperature, and what of the assistant runs on it."""

from __future__ import annotations

import os
import shutil
from datetime import timedelta
from pathlib import Path

from assistant import paths, seccomp, wire
from assistant.errors import SkillError
from assistant.skills.base import Context
from assistant.skills.language import Rules, plural, said

SYS, PROC = Path("/sys"), Path("/proc")
_MY = r"(?:(?:my|the|your|this (?:computer|machine)'s) )?"
_BOX = r"(?:(?:the|this|my) (?:computer|machine|system|laptop|pc|device))"
RULES = Rules(
    battery=rf"(?:how much )?{_MY}battery (?:is )?(?:left|remaining|do i have|(?:level|status|charge|percentage))"
    rf"|what(?:'s| is) {_MY}battery(?: (?:level|status|charge|percentage))?|{_MY}battery (?:level|status|charge)"
    r"|how much battery (?:is left|do i have(?: left)?|is remaining)|is (?:the battery|it|my laptop) charging"
    r"|how full is (?:the|my) battery",
    disk=r"how much (?:free )?(?:disk|storage|hard drive|disc)(?: space)? (?:is (?:left|free|used|available)"
    r"|do i have(?: left)?|is there)|(?:free |available )?disk (?:space|usage)(?: left)?|how full is (?:the"
    r"|my) (?:disk|drive)"
    r"|how much (?:free )?space is left on (?:the|my) (?:disk|drive)|storage usage",
    memory=r"how much (?:free )?(?:memory|ram) (?:is (?:left|free|used|available|in use)|do i have(?: left)?|is there"
    r"|does (?:this|my) (?:computer|machine) have)|(?:free |available )?(?:memory|ram) usage|(?:free"
    r"|available) (?:memory|ram)",
    load=r"(?:what(?:'s| is) )?(?:the )?(?:current )?(?:(?:cpu|system|processor) (?:load|usage)|load average)"
    r"|how busy is (?:the|my) (?:cpu|processor|computer)",
    uptime=rf"(?:what(?:'s| is) )?(?:the |my )?(?:system )?uptime|how long has {_BOX} been (?:running|up|on)",
    temperature=r"how (?:hot|warm) is (?:the|my) (?:cpu|processor|computer|machine|laptop)"
    r"|(?:what(?:'s| is) )?(?:the |my )?(?:cpu|processor|system|core) temperature",
    online=r"are you (?:currently )?(?:online|offline|connected(?: to the (?:internet|network))?)"
    r"|do you have (?:an? )?(?:internet|network)(?: (?:access|connection))?|can you (?:access|reach|see"
    r"|use) the internet",
    model=r"(?:which|what) (?:(?:language )?model|llm|backend|device|chip) (?:are you(?: (?:running|using)(?: on)?)?"
    r"|is (?:running|in use|this assistant using)|do you (?:use|run(?: on)?)|are you)"
    r"|(?:which|what) (?:model|backend) is (?:this|it)|what are you running on",
    all=rf"(?:system|machine|computer) status|(?:what(?:'s| is) the )?status of {_BOX}|how is {_BOX} doing"
    r"|show (?:me )?(?:the )?system status",
)  # fmt: skip


class System:
    """Reads what the kernel tells about this machine."""

    name = "system"
    help = "battery, disk, memory, load, uptime, temperature, network, and which model runs"
    examples = ("how much disk space is left?", "system status", "are you online?", "which model are you?")

    def answer(self, text: str, context: Context) -> wire.SkillAnswer | None:
        spoken = said(text)
        found = RULES.match(spoken.text) or RULES.match(spoken.body.rstrip("?!. "))
        if not found:
            return None
        rule = found[0]
        parts = [_battery, _disk, _memory, _load, _uptime, _temperature] if rule == "all" else []
        if parts:
            answer = " ".join(filter(None, (_quietly(part) for part in parts)))
        elif rule == "model":
            answer = _model(context)
        elif rule == "online":
            answer = _online(context)
        else:
            answer = globals()[f"_{rule}"]()
        return wire.SkillAnswer(skill=self.name, text=answer)


def _battery() -> str:
    found = []
    for supply in sorted((SYS / "class/power_supply").glob("*")):
        if _text(supply / "type") == "Battery" and _text(supply / "scope") != "Device" and (
            charge := _text(supply / "capacity")):  # fmt: skip
            found.append(f"the battery is at {charge} %, {(_text(supply / 'status') or 'unknown').lower()}")
    if not found:
        raise SkillError("this machine has no battery that the kernel tells of")
    return _sentence("; ".join(found))


def _disk() -> str:
    try:
        usage = shutil.disk_usage(_existing(paths.data_dir()))
    except OSError as error:
        raise SkillError("the disk cannot be asked", why=error.strerror or error) from error
    return f"The disk with your data has {_bytes(usage.free)} free of {_bytes(usage.total)}."


def _memory() -> str:
    rows = dict(line.split(":", 1) for line in (_text(PROC / "meminfo") or "").splitlines() if ":" in line)
    try:
        total, free = (int(rows[key].split()[0]) * 1024 for key in ("MemTotal", "MemAvailable"))
    except (KeyError, ValueError, IndexError):
        raise SkillError("the kernel does not tell how much memory there is") from None
    return f"{_bytes(free)} of {_bytes(total)} memory are available."


def _load() -> str:
    one, five, fifteen = os.getloadavg()
    cores = os.cpu_count() or 1
    return (f"The load is {one:.2f} (1 min), {five:.2f} (5 min), {fifteen:.2f} (15 min) on "
            f"{plural(cores, 'processor core')}.")  # fmt: skip


def _uptime() -> str:
    try:
        seconds = float((_text(PROC / "uptime") or "").split()[0])
    except (ValueError, IndexError):
        raise SkillError("the kernel does not tell the uptime") from None
    length = timedelta(seconds=int(seconds))
    hours, minutes = divmod(length.seconds // 60, 60)
    parts = [plural(n, unit) for n, unit in ((length.days, "day"), (hours, "hour"), (minutes, "minute")) if n]
    return f"This machine has been running for {', '.join(parts) or 'less than a minute'}."


def _temperature() -> str:
    """The hottest zone, or sensor of the processor (thermal sysfs, hwmon sysfs: millidegrees Celsius)."""
    readings = []
    for file in [
        *(SYS / "class/thermal").glob("thermal_zone*/temp"),
        *(SYS / "class/hwmon").glob("hwmon*/temp*_input"),
    ]:
        name = _text(file.with_name("type")) or _text(file.with_name("name")) or file.parent.name
        value = _text(file)
        if value and value.lstrip("-").isdigit() and 0 < int(value) < 150_000:
            readings.append((int(value) / 1000, name))
    if not readings:
        raise SkillError("no sensor of this machine tells its temperature")
    celsius, name = max(readings)
    return f"The hottest sensor ({name}) reads {celsius:.0f} °C."


def _online(context: Context) -> str:
    if context.status is None:
        return "No daemon was asked. The daemon cannot open a network connection, and this command does not try to."
    if (network := context.status().network) and network.denied:
        return ("No. The daemon cannot open any network connection: it has just tried, and the kernel refused "
                f"(seccomp {network.seccomp}). Whether the machine is online it cannot see.")  # fmt: skip
    if not seccomp.network_denied():
        return "Nothing is sent anywhere, but here the kernel would let the daemon open a connection."
    return "No."


def _model(context: Context) -> str:
    if context.status is None:
        return "No daemon was asked, so no model is running for this answer. `assistant ask` would start one."
    ready = context.status()
    if not ready.model or not ready.backend:
        return "No model is loaded."
    model, backend = ready.model, ready.backend
    simulated = " (a simulated chip)" if backend.simulated else ""
    return (f"The model is {model.name}: {model.parameters / 1e6:,.0f} million parameters in {model.layers} layers, "
            f"{backend.precision}, on the backend {backend.name}{simulated}"
            + (f" with {plural(backend.threads, 'thread')}" if backend.threads else "")
            + ". This answer came from code, not from the model.")  # fmt: skip


def _quietly(part) -> str:
    try:
        return part()
    except SkillError:
        return ""


def _text(file: Path) -> str | None:
    try:
        return file.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return None


def _existing(folder: Path) -> Path:
    return next(path for path in (folder, *folder.parents) if path.exists())


def _bytes(n: int) -> str:
    return f"{n / 1e9:,.1f} GB" if n < 1e12 else f"{n / 1e12:,.2f} TB"


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}."
