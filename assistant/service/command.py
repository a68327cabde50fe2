"""`assistant service install|uninstall|status|logs`: the daemon as a systemd service, for you or for the machine."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import click

from assistant import paths
from assistant.errors import AssistantError, DaemonUnavailable, UsageError
from assistant.service.units import DROP_IN, GROUP, SERVICE, SOCKET, TIMER, UNITS, Scope, user_folders

FIELDS = ("ActiveState", "SubState", "MainPID", "NRestarts", "MemoryCurrent", "Result", "ExecMainStatus")


@click.group("service")
def service() -> None:
    """Run the daemon as a systemd service.

    It starts with the first request, is watched, restarted when it hangs, and has no network at all.
    """


def scoped(command):
    """--user (default) or --system."""
    system = click.option("--system", "scope", flag_value="system", help="For the whole machine (needs root).")
    user = click.option("--user", "scope", flag_value="user", default=True, help="For you alone (default).")
    return system(user(command))


@service.command()
@scoped
@click.option("--no-start", is_flag=True, help="Write the files, but enable and start nothing.")
@click.option("--no-timer", is_flag=True, help="Do not run the self-test every week.")
def install(scope: str, no_start: bool, no_timer: bool) -> None:
    """Put the units in place and listen; the daemon itself starts with the first request."""
    where = _scope(scope, needs_root=True)
    files = where.files()
    for path, content in files.items():
        _write(path, content)
        click.echo(f"wrote {path}")
    if where.is_system:
        _ensure_group(where)
    else:
        for folder in user_folders():
            paths.ensure_private_dir(folder)
    if no_start:
        return
    _systemctl(where, "daemon-reload")
    if not where.is_system:
        _refuse_running_daemon()
    _systemctl(where, "enable", SERVICE)
    _systemctl(where, "enable", "--now", SOCKET, *([] if no_timer else [TIMER]))
    click.echo(f"listening on {where.socket}")
    if where.is_system:
        click.echo(f"Who shall talk to it: usermod -aG {GROUP} NAME (they share one history), then log in again")
    elif not Path(f"/var/lib/systemd/linger/{_user()}").exists():
        click.echo("It runs while you are logged in; for always: loginctl enable-linger")


@service.command()
@scoped
def uninstall(scope: str) -> None:
    """Stop the service and take the units away. Chats, models and configuration stay."""
    where = _scope(scope, needs_root=True)
    for unit in (TIMER, SOCKET, SERVICE):
        if (where.folder / unit).exists():
            _systemctl(where, "disable", "--now", unit, check=False)
    gone = 0
    for path in [where.folder / unit for unit in UNITS] + [where.folder / f"{u}.d" / DROP_IN for u in UNITS]:
        if path.exists():
            path.unlink()
            gone += 1
        if path.name == DROP_IN and path.parent.is_dir() and not any(path.parent.iterdir()):
            path.parent.rmdir()
    (where.root / "etc/sysusers.d/rwkv-assistant.conf").unlink(missing_ok=True) if where.is_system else None
    _systemctl(where, "daemon-reload", check=False)
    click.echo(f"removed {gone} file(s); chats and models are kept" if gone else "nothing was installed")


@service.command()
@scoped
def status(scope: str) -> None:
    """Say whether it is installed, listens, runs, and what the running one says of itself. Exit code 0: it listens."""
    where = _scope(scope)
    if not (where.folder / SERVICE).exists() and not _known(where):
        raise DaemonUnavailable("no service is installed", where=where.folder,
                                hint=f"`assistant service install --{where.name}` does it")  # fmt: skip
    listening = _show(where, SOCKET)["ActiveState"] == "active"
    click.echo(f"socket    {'listening' if listening else 'not listening'} on {where.socket}")
    facts = _show(where, SERVICE)
    running = facts["ActiveState"] == "active"
    click.echo(f"service   {facts['ActiveState']} ({facts['SubState']}), last result {facts['Result']}, "
               f"restarts {facts['NRestarts']}")  # fmt: skip
    timer = _show(where, TIMER)["ActiveState"]
    click.echo(f"self-test {'every week' if timer == 'active' else 'no timer'}")
    if running:  # asking an idle one would start it
        _tell_ready(where.socket)
    if not listening:
        raise DaemonUnavailable("the service does not listen", hint="`assistant service logs` may tell why")


@service.command()
@scoped
@click.option("-n", "--lines", type=click.IntRange(1), default=100, show_default=True)
@click.option("-f", "--follow", is_flag=True, help="Go on with what is new.")
def logs(scope: str, lines: int, follow: bool) -> None:
    """Show the journal of the service and of its self-test."""
    where = _scope(scope)
    units = [word for unit in UNITS for word in ("--unit" if where.is_system else "--user-unit", unit)]
    command = [
        "journalctl",
        "--no-pager",
        "-o",
        "short-iso",
        "-n",
        str(lines),
        *units,
        *(["--follow"] if follow else []),
    ]
    sys.exit(subprocess.run(_found(command), check=False).returncode)


def _scope(name: str, needs_root: bool = False) -> Scope:
    if name == "system" and needs_root and os.geteuid() != 0:
        raise UsageError("a system service needs root", hint="say it with sudo, or use --user")
    _found(["systemctl"])
    return Scope(name)


def _found(command: list[str]) -> list[str]:
    if shutil.which(command[0]) is None:
        raise AssistantError(
            "there is no systemd here",
            why=f"'{command[0]}' was not found",
            hint="clients start the daemon by themselves, and `assistant serve` runs it by hand",
        )
    return command


def _systemctl(where: Scope, *arguments: str, check: bool = True) -> str:
    done = subprocess.run([*where.systemctl, *arguments], capture_output=True, text=True, check=False)
    if check and done.returncode:
        why = done.stderr.strip() or done.stdout.strip() or f"exit code {done.returncode}"
        raise AssistantError(f"systemctl {' '.join(arguments[:2])} failed", why=why, hint="the unit files are in place")
    return done.stdout


def _show(where: Scope, unit: str) -> dict[str, str]:
    lines = _systemctl(where, "show", unit, "-p", ",".join(FIELDS), check=False).splitlines()
    return dict.fromkeys(FIELDS, "?") | dict(line.split("=", 1) for line in lines if "=" in line)


def _known(where: Scope) -> bool:
    """A package may have installed it elsewhere."""
    return _systemctl(where, "show", SERVICE, "-p", "LoadState", "--value", check=False).strip() == "loaded"


def _tell_ready(socket: Path) -> None:
    from assistant.client import Client, call

    async def ask(client: Client):
        return await client.ready()

    try:
        ready = call(ask, socket)
    except AssistantError as error:
        click.echo(f"daemon    {error}")
        return
    network = ready.network
    click.echo(f"daemon    {'ready' if ready.ready else ready.reason}, process {ready.pid}, "
               f"weights {'in memory' if ready.weights_in_memory else 'given back'}")  # fmt: skip
    if network:
        denied = "denied" if network.denied else f"NOT denied ({network.reason})"
        click.echo(f"network   {denied}, Seccomp {network.seccomp}, NoNewPrivs {network.no_new_privs}")
    last = ready.selftest
    click.echo(f"proof     {last.verdict + ': ' + last.why if last else 'no self-test yet'}")


def _write(path: Path, content: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(path.name + ".new")
    temporary.write_text(content, encoding="utf-8")
    temporary.chmod(0o644)
    temporary.replace(path)


def _ensure_group(where: Scope) -> None:
    import grp

    try:
        grp.getgrnam(GROUP)
        return
    except KeyError:
        pass
    if where.root != Path("/"):
        return
    for command in (["systemd-sysusers"], ["groupadd", "--system", GROUP]):
        done = shutil.which(command[0]) and subprocess.run(command, capture_output=True, check=False)
        if done and done.returncode == 0:
            return
    raise AssistantError("cannot make a group for the service's users", where=GROUP,
                         hint=f"make it by hand (groupadd --system {GROUP}), then install again")  # fmt: skip


def _refuse_running_daemon() -> None:
    """A daemon that a client has started holds the socket's place."""
    from assistant import launch

    if launch.accepts(paths.socket_path()) and not _own_socket_unit():
        raise UsageError(
            "a daemon that a client has started is running",
            where=paths.socket_path(),
            hint="stop it (`pkill -f 'assistant serve'`, all chats are kept) and install again",
        )


def _own_socket_unit() -> bool:
    return _show(Scope("user"), SOCKET)["ActiveState"] == "active"


def _user() -> str:
    import pwd

    return pwd.getpwuid(os.getuid()).pw_name
