"""The wheel: what is in it, what it asks for, and that its command can be found."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Iterator
from email.parser import Parser
from importlib import metadata
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
LOCKS = ["run.txt", "dev.txt"]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Iterator[zipfile.ZipFile]:
    folder = tmp_path_factory.mktemp("wheel")
    with zipfile.ZipFile(build_wheel(folder)) as archive:
        yield archive


def build_wheel(folder: Path, **environment: str) -> Path:
    command = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "--quiet", "-w", folder, "."]
    if environment:  # nothing that an earlier build has left may help this one
        command += ["--config-settings", f"build-dir={folder}/build"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, env=os.environ | environment)
    assert done.returncode == 0, done.stderr
    return next(folder.glob("*.whl"))


def _dist_info(wheel: zipfile.ZipFile, name: str) -> str:
    return wheel.read(f"rwkv_assistant-{PROJECT['version']}.dist-info/{name}").decode()


def test_only_our_names_at_the_top(wheel: zipfile.ZipFile) -> None:
    top = {name.split("/")[0] for name in wheel.namelist()}
    assert top == {"assistant", "backends", f"rwkv_assistant-{PROJECT['version']}.dist-info"}


def test_nothing_is_left_out_or_left_over(wheel: zipfile.ZipFile) -> None:
    names = set(wheel.namelist())
    for package in ("assistant", "backends"):
        for file in (ROOT / package).rglob("*.py"):
            if "__pycache__" not in file.parts:
                assert str(file.relative_to(ROOT)) in names
    assert not [n for n in names if n.endswith((".pyc", ".o")) or "__pycache__" in n or "/native/" in n]
    assert [n for n in names if n.endswith(".so")] == ["backends/cpu/lib/librwkv7.so"]


def test_one_wheel_serves_every_python_3(wheel: zipfile.ZipFile) -> None:
    assert re.search(r"^Tag: py3-none-\w+$", _dist_info(wheel, "WHEEL"), re.MULTILINE)
    assert Path(wheel.filename).name.startswith(f"rwkv_assistant-{PROJECT['version']}-py3-none-")


def test_without_a_compiler_all_but_the_native_core_installs(tmp_path: Path) -> None:
    path = build_wheel(tmp_path, CC="/nonexistent/cc")
    assert path.name.endswith("-py3-none-any.whl")
    with zipfile.ZipFile(path) as archive:
        archive.extractall(tmp_path / "site")
    code = """
import sys
sys.meta_path = [f for f in sys.meta_path if "ScikitBuild" not in type(f).__name__]  # this checkout's own installation
from backends.base import BackendUnavailable
from backends.cpu import CpuBackend
try:
    CpuBackend()
except BackendUnavailable as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path / "site", capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "no C compiler" in done.stdout


@pytest.mark.parametrize("folder", ["profiles", "systemd"])
def test_data_folders_ship(wheel: zipfile.ZipFile, folder: str) -> None:
    if not (ROOT / folder).is_dir():
        pytest.skip(f"{folder}/ does not exist yet")
    for file in (ROOT / folder).rglob("*.*"):
        assert f"assistant/_data/{file.relative_to(ROOT)}" in wheel.namelist()


def test_the_core_does_not_ask_for_torch(wheel: zipfile.ZipFile) -> None:
    meta = Parser().parsestr(_dist_info(wheel, "METADATA"))
    wanted = meta.get_all("Requires-Dist") or []
    core = [line for line in wanted if "extra ==" not in line]
    assert len(core) == len(PROJECT["dependencies"])
    assert not [line for line in core if re.match(r"torch|tensorflow|jax", line)]
    assert [line for line in wanted if re.fullmatch(r"torch\b.*extra == .train.", line)]
    assert meta["Version"] == PROJECT["version"]
    assert meta["License-Expression"] == "Apache-2.0"
    assert sorted(meta.get_all("License-File")) == ["LICENSE", "NOTICE"]


def test_versions_agree() -> None:
    import assistant

    assert assistant.__version__ == PROJECT["version"]


def test_command_and_backends_are_registered(wheel: zipfile.ZipFile) -> None:
    written = _dist_info(wheel, "entry_points.txt")
    assert "assistant = assistant.cli:main" in written
    assert "reference = backends.reference:ReferenceBackend" in written
    assert "cpu = backends.cpu:CpuBackend" in written
    assert (Path(sys.executable).parent / "assistant").exists()
    installed = metadata.entry_points(group="assistant.backends").names
    assert set(PROJECT["entry-points"]["assistant.backends"]) <= installed


@pytest.mark.parametrize("name", LOCKS)
def test_locks_are_hashed_and_name_no_place(name: str) -> None:
    text = (ROOT / "requirements" / name).read_text(encoding="utf-8")
    assert not re.search(r"://|file:|--index-url|--find-links|^-", text, re.MULTILINE)
    assert not re.search(r"^(torch|triton|nvidia)", text, re.MULTILINE)
    blocks = re.findall(r"^[a-zA-Z].*?(?=^[a-zA-Z]|\Z)", text, re.MULTILINE | re.DOTALL)
    assert len(blocks) > 30
    for block in blocks:
        assert re.match(r"[\w.-]+==\S+", block), block
        assert "--hash=sha256:" in block, block


def _pins(name: str) -> dict[str, str]:
    text = (ROOT / "requirements" / name).read_text(encoding="utf-8")
    return dict(re.findall(r"^([\w.-]+)==(\S+)", text, re.MULTILINE))


def test_tests_see_the_versions_that_users_get() -> None:
    run, dev = _pins("run.txt"), _pins("dev.txt")
    assert run.items() <= dev.items()


def test_locks_cover_every_dependency() -> None:
    asked = [re.match(r"[\w.-]+", line)[0] for line in PROJECT["dependencies"]]
    assert {name.lower().replace("_", "-") for name in [*asked, "scikit-build-core", "cmake"]} <= set(_pins("run.txt"))
