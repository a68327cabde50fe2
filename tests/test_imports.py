"""The import rules hold on paper (import-linter) and in a running interpreter."""

from __future__ import annotations

import importlib.util
import json
import pkgutil
import subprocess
import sys
from pathlib import Path

import grimp
import pytest

ROOT = Path(__file__).parent.parent
SCREEN_AND_NETWORK = {
    "textual", "rich", "starlette", "uvicorn", "fastapi", "httpx", "httpx2", "httpcore",
    "requests", "urllib3", "aiohttp", "huggingface_hub", "tokenizers",
}  # fmt: skip
ENGINE_SIDE = [f"assistant.{name}" for name in ("engine", "session", "solver", "models", "history")]


def exists(module: str) -> bool:
    return importlib.util.find_spec(module) is not None


def loaded_by(module: str) -> set[str]:
    """What a fresh interpreter has loaded after importing this one module."""
    code = f"import {module}, sys, json; print(json.dumps(sorted(sys.modules)))"
    done = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return set(json.loads(done.stdout.splitlines()[-1]))


def offenders(loaded: set[str], forbidden: set[str]) -> list[str]:
    return sorted(m for m in loaded for f in forbidden if m == f or m.startswith(f + "."))


def need(module: str) -> None:
    if not exists(module):
        pytest.skip(f"{module} is not built yet")


def test_contracts() -> None:
    command = Path(sys.executable).parent / "lint-imports"
    done = subprocess.run([command, "--no-logo", "--no-cache"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "7 kept, 0 broken" in done.stdout


def test_the_engine_side_never_reaches_screen_or_network() -> None:
    """Contract 3 again, because import-linter cannot name rooms that are not built yet."""
    graph = grimp.build_graph("assistant", "backends", include_external_packages=True, cache_dir=None)
    rooms = {"backends", *(f"assistant.{r}" for r in ("engine", "solver", "session", "meter"))}
    chains = [
        chain
        for room in sorted(rooms & graph.modules)
        for external in sorted(SCREEN_AND_NETWORK & graph.modules)
        for chain in graph.find_shortest_chains(room, external, as_packages=True)
    ]
    assert chains == []


@pytest.mark.parametrize("face", ["assistant.tui", "assistant.voice", "assistant.client"])
def test_faces_load_nothing_of_the_engine_side(face: str) -> None:
    need(face)
    assert offenders(loaded_by(face), {*ENGINE_SIDE, "backends", "numpy", "onnxruntime"}) == []


def test_the_command_line_loads_nothing_before_it_knows_the_command() -> None:
    need("assistant.cli")
    heavy = {*ENGINE_SIDE, "numpy", "onnxruntime", "textual", "starlette", "uvicorn", "httpx"}
    assert offenders(loaded_by("assistant.cli"), heavy) == []


@pytest.mark.parametrize("module", ["engine", "session", "meter", "solver"])
def test_the_engine_side_loads_no_screen_no_network_no_torch(module: str) -> None:
    need(f"assistant.{module}")
    forbidden = {*SCREEN_AND_NETWORK, "torch"}
    assert offenders(loaded_by(f"assistant.{module}"), forbidden) == []


@pytest.mark.parametrize("module", ["models", "history", "daemon", "client", "cli"])
def test_the_core_needs_no_torch_and_no_model_hub(module: str) -> None:
    need(f"assistant.{module}")
    forbidden = {"torch", "tokenizers", "huggingface_hub", "transformers", "requests", "gguf"}
    assert offenders(loaded_by(f"assistant.{module}"), forbidden) == []


def _backend_modules() -> list[str]:
    import backends

    found = pkgutil.walk_packages(backends.__path__, "backends.")
    return ["backends", *(m.name for m in found if not m.name.endswith("__main__"))]


@pytest.mark.parametrize("module", _backend_modules())
def test_backends_stand_alone(module: str) -> None:
    forbidden = {*SCREEN_AND_NETWORK, "assistant", "torch"}
    assert offenders(loaded_by(module), forbidden) == []
