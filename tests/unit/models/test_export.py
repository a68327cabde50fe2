"""`assistant models export --onnx`: the folder works where there is nothing but onnxruntime and numpy."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import distribution
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from assistant.errors import AssistantError, UsageError
from assistant.models.commands import models
from assistant.models.quantize import pack
from assistant.models.store import Store
from tests.contract.budgets import ARITHMETIC, relative_error
from tests.unit.models.files import TOKENS, blinkdl, logits, small_tensors, write_pth

ROOT = Path(__file__).parent.parent.parent.parent
LOGITS = """
import sys
import numpy as np
import onnxruntime
_, folder, *tokens = sys.argv
session = onnxruntime.InferenceSession(folder + "/model.onnx", providers=["CPUExecutionProvider"])
first, *inputs = session.get_inputs()
state = {i.name: np.zeros([n if isinstance(n, int) else 1 for n in i.shape], np.float32) for i in inputs}
rows = []
for token in tokens:
    row, *values = session.run(None, {first.name: np.array([[int(token)]]), **state})
    state = dict(zip(state, values))
    rows.append(row[0])
np.save(folder + "/logits.npy", np.stack(rows))
assert not {m.partition(".")[0] for m in sys.modules} & {"assistant", "backends", "onnx", "google", "ml_dtypes"}
"""


@pytest.fixture
def run(tmp_path, monkeypatch):
    monkeypatch.setenv("ASSISTANT_HOME", str(tmp_path / "home"))
    file = write_pth(tmp_path / "tiny.pth", blinkdl(small_tensors()))
    assert CliRunner().invoke(models, ["add", str(file)]).exit_code == 0
    return lambda *arguments: CliRunner().invoke(models, ["export", *(str(a) for a in arguments)])


@pytest.fixture(scope="module")
def bare(tmp_path_factory):
    """Runs Python where only onnxruntime and numpy can be imported."""
    site = tmp_path_factory.mktemp("site")
    for package in ("onnxruntime", "numpy"):
        dist = distribution(package)
        for top in {file.parts[0] for file in dist.files if file.parts[0] in (package, f"{package}.libs")}:
            (site / top).symlink_to(Path(dist.locate_file(top)))

    def run(*command, cwd):
        environment = {"PYTHONPATH": str(site), "HOME": str(cwd), "ORT_DISABLE_TELEMETRY": "1"}
        command = [sys.executable, "-S", "-B", *map(str, command)]
        done = subprocess.run(command, env=environment, cwd=cwd, capture_output=True, timeout=120)
        assert done.returncode == 0, done.stderr.decode()
        return done.stdout

    return run


@pytest.mark.parametrize("precision", ["fp32", "int8", "int4"])
def test_logits_equal_the_reference_in_a_bare_environment(run, bare, tmp_path, precision):
    folder = tmp_path / "out"
    done = run("tiny", "--onnx", folder, "--precision", precision)
    assert done.exit_code == 0, done.output
    bare("-c", LOGITS, folder, *TOKENS, cwd=tmp_path)
    expected = logits(pack(Store().open("tiny").weights, precision))
    error = relative_error(np.load(folder / "logits.npy"), expected)
    print(f"exported {precision} in a bare environment: RMS error {error:.1e} of the logits' deviation")
    assert error <= ARITHMETIC[precision]


def test_the_example_and_its_readme(run, bare, tmp_path):
    folder = tmp_path / "not yet" / "out"
    done = run("tiny", "--onnx", folder)
    assert done.exit_code == 0, done.output
    assert sorted(f.name for f in folder.iterdir()) == [
        "README.md", "example.py", "model.onnx", "model.onnx.data", "vocab.txt"]  # fmt: skip
    readme = (folder / "README.md").read_text()
    assert readme.startswith("# tiny for ONNX Runtime")
    assert "{" not in readme
    moved = folder.rename(tmp_path / "moved")
    assert bare(moved / "example.py", "Hello", cwd=tmp_path) == bare(moved / "example.py", "Hello", cwd=tmp_path)


def test_the_example_speaks_as_the_daemon_does(bare, tmp_path, monkeypatch):
    """With the embedded model: vocabulary, greedy tokens and state carry over."""
    monkeypatch.setenv("ASSISTANT_HOME", str(tmp_path / "home"))
    folder, prompt = tmp_path / "out", "User: hello\n\nAssistant:"
    assert CliRunner().invoke(models, ["export", "default", "--onnx", str(folder)]).exit_code == 0
    written = bare(folder / "example.py", prompt, cwd=tmp_path)
    from backends.base import State
    from backends.onnx import OnnxBackend

    model, backend = Store().open(), OnnxBackend(threads=1)
    backend.load(model.weights)
    state, said = State(model.weights.config), []
    row = backend.prefill(np.array([0, *model.tokenizer.encode(prompt)]), state).logits
    while (token := int(row.argmax())) and len(said) < 40:
        said.append(token)
        row = backend.decode(np.array([token]), [state]).logits[0]
    assert model.tokenizer.decode_bytes(said) == written
    assert written.strip()


def test_it_appears_whole_or_not_at_all(run, tmp_path, monkeypatch):
    full = tmp_path / "full"
    full.mkdir()
    (full / "mine").write_text("precious")
    assert isinstance(run("tiny", "--onnx", full).exception, UsageError)
    assert [f.name for f in full.iterdir()] == ["mine"]

    def fail(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("backends.onnx.builder.write_tensors", fail)
    failed = run("tiny", "--onnx", tmp_path / "out").exception
    assert isinstance(failed, AssistantError)
    assert "No space left" in str(failed)
    assert not list(tmp_path.glob("*out*"))
    assert not list(tmp_path.glob(".*.tmp"))


def test_the_page_shows_the_example():
    shipped = (ROOT / "backends/onnx/exported/example.py").read_text()
    assert shipped in (ROOT / "docs/onnx-export.md").read_text()
