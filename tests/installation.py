"""A real installation (wheel, virtual environment) in a place for all, for tests that run it as another user."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path

ROOT = Path(__file__).parent.parent
VERSION = f"{sys.version_info.major}.{sys.version_info.minor}"


class NoPlace(Exception):
    """An installation for all cannot be made here; the message says why."""


def install() -> Path:
    """Returns the folder, whose `bin/python` has the assistant. Needs root. Raises NoPlace."""
    interpreter = _public_interpreter()
    folder = Path(tempfile.mkdtemp(prefix="ra-", dir="/opt"))
    folder.chmod(0o755)
    subprocess.run([interpreter, "-m", "venv", "--without-pip", folder], check=True)
    site = folder / "lib" / f"python{VERSION}" / "site-packages"
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    wheels = folder / "wheels"
    subprocess.run([*pip, "wheel", "--no-deps", "--no-build-isolation", "-w", wheels, "."], cwd=ROOT, check=True)
    subprocess.run([*pip, "install", "--no-deps", "--target", site, next(wheels.glob("*.whl"))], check=True)
    dependencies = Path(sysconfig.get_path("purelib"))
    if not _is_public(dependencies):
        copy = folder / "dependencies"
        shutil.copytree(dependencies, copy, copy_function=_link_or_copy)
        dependencies = copy
    (site / "dependencies.pth").write_text(f"{dependencies}\n")  # its own .pth files are not read: no editable install
    return folder


def _public_interpreter() -> str:
    base = Path(sys._base_executable).resolve()
    for python in (base, Path("/usr/bin/python3")):
        if not python.exists() or not _is_public(python):
            continue
        code = "import sys, sqlite3, venv; print('%d.%d' % sys.version_info[:2])"
        done = subprocess.run([python, "-c", code], capture_output=True, text=True, check=False)
        if done.stdout.strip() == VERSION:
            return str(python)
    raise NoPlace(f"no Python {VERSION} with venv that every user can run")


def _is_public(path: Path) -> bool:
    """Whether others can get there, and a service as well, which sees no home and has a /tmp of its own."""
    if any(path.is_relative_to(hidden) for hidden in ("/home", "/root", "/tmp", "/var/tmp", "/run")):
        return False
    return all(folder.stat().st_mode & 0o005 == 0o005 for folder in [path, *path.parents] if folder.exists())


def _link_or_copy(source: str, target: str) -> None:
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)
