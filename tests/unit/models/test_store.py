"""The store: complete or unchanged, every file hashed, a precision made once, the embedded model in place."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from assistant.errors import AssistantError, ModelFileError, ModelNotFound, UsageError
from assistant.models.build import Options
from assistant.models.embed import build_embedded
from assistant.models.store import Store, safe_name
from assistant.models.vocabulary import write_vocabulary
from backends.base import Weights
from tests.unit.models.files import (
    BF16,
    SMALL,
    blinkdl,
    logits,
    small_tensors,
    to_fla,
    write_gguf,
    write_pth,
)

TOKENS = [b"", *(bytes([b]) for b in range(256))]


@pytest.fixture
def model(tmp_path) -> Path:
    return write_pth(tmp_path / "small model.pth", blinkdl(small_tensors(BF16)))


@pytest.fixture
def store(tmp_path) -> Store:
    return Store(tmp_path / "store", tmp_path / "embedded")


def tree(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def test_add_and_open(store, model):
    manifest = store.add(model, "small")
    assert manifest == store.show("small") == store.list()[0]
    assert (manifest.format, manifest.tokenizer, manifest.template) == ("pth", "byte-level", "world")
    assert manifest.parameters == sum(t.size for t in small_tensors().values())
    assert list(manifest.weights) == ["bf16"]
    opened = store.open("small")
    assert opened.weights.config == SMALL
    assert opened.weights.source_hash == manifest.source.sha256
    assert opened.tokenizer.size == 257
    assert opened.template.name == "world"
    expected = logits(Weights(small_tensors(BF16), "bf16"))
    assert np.abs(logits(opened.weights) - expected).max() <= 1e-5 * expected.std()


def test_opened_weights_are_mapped(store, model):
    store.add(model, "small")
    for name, t in ((n, store.open("small").weights.raw(n)) for n in ("emb.weight", "blocks.0.att.w1")):
        assert not t.flags.owndata, name
        assert t.ctypes.data % 64 == 0, name


def test_the_name_comes_from_the_file(store, model):
    assert store.add(model).name == "small-model"
    assert [safe_name(s) for s in ("..", "a/b c", "ü", "x" * 99)] == ["model", "a-b-c", "model", "x" * 64]


@pytest.mark.parametrize("name", ["", "..", "a/b", "-x", ".x", "x" * 65, "a\nb", "embedded", "default"])
def test_bad_names(store, model, name):
    if name:
        with pytest.raises(UsageError):
            store.add(model, name)
    for method in (store.rm, store.show, store.open):
        with pytest.raises(AssistantError):
            method(name)
    assert store.list() == []


def test_nothing_is_overwritten_unless_forced(store, model, tmp_path):
    first = store.add(model, "m")
    other = write_pth(tmp_path / "other.pth", blinkdl(small_tensors(np.float16)))
    with pytest.raises(UsageError, match="--force"):
        store.add(other, "m")
    assert store.show("m") == first
    assert store.add(other, "m", force=True).source.file == "other.pth"
    assert store.show("m").format == "pth"
    assert list(store.show("m").weights) == ["fp16"]
    assert sorted(p.name for p in store.root.iterdir()) == [".lock", "m"]


@pytest.mark.parametrize("force", [False, True])
@pytest.mark.parametrize("error", [KeyboardInterrupt, OSError("disk full"), ModelFileError("bad")])
def test_interrupted_at_any_moment_the_store_is_unchanged(store, model, tmp_path, force, error):
    store.add(model, "old")
    before = tree(store.root)
    steps = []
    store.add(model, "count", progress=lambda *step: steps.append(step))
    store.rm("count")
    assert {stage for stage, _, _ in steps} == {"reading", "converting to bf16"}
    for stop_at in range(0, len(steps), 7):
        seen = 0

        def interrupt(*_, stop_at=stop_at):
            nonlocal seen
            if seen == stop_at:
                raise error
            seen += 1

        with pytest.raises((KeyboardInterrupt, AssistantError)):
            store.add(model, "old" if force else "new", force=force, progress=interrupt)
        assert tree(store.root) == before
        assert sorted(p.name for p in store.root.iterdir()) == [".lock", "old"]


@pytest.mark.parametrize("failing", [1, 2])
def test_a_failing_rename_brings_the_old_model_back(store, model, monkeypatch, failing):
    store.add(model, "m")
    before = tree(store.root)
    rename, count = Path.rename, 0

    def fails_once(path, target):
        nonlocal count
        count += 1
        if count == failing:
            raise OSError(5, "Input/output error")
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", fails_once)
    with pytest.raises(AssistantError, match="Input/output error"):
        store.add(model, "m", force=True)
    assert tree(store.root) == before


def test_killed_in_the_middle(store, model):
    """kill -9 leaves a folder that is not listed, and that the next change clears."""
    script = (
        "import os, signal, sys; from pathlib import Path; from assistant.models.store import Store\n"
        "def die(stage, done, total):\n"
        "    if stage.startswith('converting') and done > total / 2: os.kill(os.getpid(), signal.SIGKILL)\n"
        "Store(Path(sys.argv[1])).add(Path(sys.argv[2]), 'm', progress=die)"
    )
    done = subprocess.run([sys.executable, "-c", script, store.root, model], check=False, env={"PYTHONPATH": "."})
    assert done.returncode == -9
    assert store.list() == []
    assert any(p.name.startswith(".unfinished-") for p in store.root.iterdir())
    store.add(model, "m")
    assert sorted(p.name for p in store.root.iterdir()) == [".lock", "m"]


@pytest.mark.parametrize("precision", ["fp32", "fp16", "int8"])
def test_a_missing_precision_is_made_once(store, model, precision):
    store.add(model, "m")
    made = store.open("m", precision).weights
    assert made.precision == precision
    file = store.root / "m" / f"weights.{precision}.safetensors"
    stamp = file.stat().st_mtime_ns
    assert store.open("m", precision).weights.nbytes == made.nbytes
    assert file.stat().st_mtime_ns == stamp
    assert list(store.show("m").weights) == ["bf16", precision]
    assert store.open("m").weights.precision == "bf16"
    assert store.verify("m") == []


def test_unknown_precision_and_template(store, model):
    with pytest.raises(UsageError, match="Choose from auto, fp32"):
        store.add(model, "m", Options(precision="int3"))
    with pytest.raises(UsageError, match="chat template"):
        store.add(model, "m", Options(template="chatml"))
    store.add(model, "m", Options(precision="int8", template="g1", licence="MIT"))
    assert (store.show("m").template, store.show("m").licence) == ("g1", "MIT")
    with pytest.raises(UsageError):
        store.open("m", "int3")


def test_verify_names_the_bad_file(store, model):
    store.add(model, "m", Options(vocabulary=vocabulary(model.parent)))
    weights = store.root / "m" / "weights.bf16.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    (store.root / "m" / "vocab.txt").unlink()
    first, second = store.verify("m")
    assert (first.file.name, "changed" in first.why) == ("weights.bf16.safetensors", True)
    assert (second.file.name, second.why) == ("vocab.txt", "No such file or directory")


def test_weights_of_another_model_are_noticed(store, model, tmp_path):
    store.add(model, "a")
    store.add(write_pth(tmp_path / "b.pth", blinkdl(small_tensors(np.float32))), "b", Options(precision="bf16"))
    (store.root / "a/weights.bf16.safetensors").replace(store.root / "b/weights.bf16.safetensors")
    with pytest.raises(ModelFileError, match="another model"):
        store.open("b")


def test_rm_and_damaged_manifests(store, model):
    store.add(model, "m")
    store.add(model, "n")
    (store.root / "m/manifest.json").write_text("{")
    assert [m.name for m in store.list()] == ["n"]
    assert isinstance(store.scan()["m"], ModelFileError)
    store.rm("m")
    assert list(store.scan()) == ["n"]
    with pytest.raises(ModelNotFound, match="There is: n"):
        store.rm("m")


def test_a_manifest_cannot_point_out_of_its_folder(store, model):
    store.add(model, "m")
    path = store.root / "m/manifest.json"
    manifest = json.loads(path.read_text())
    manifest["weights"]["bf16"]["file"] = "../../secret"
    path.write_text(json.dumps(manifest))
    with pytest.raises(ModelFileError, match="outside of its folder"):
        store.open("m")


def test_errors_about_tensors_name_the_file(store, tmp_path):
    tensors = small_tensors()
    tensors["head.weight"][0, 0] = np.nan
    with pytest.raises(ModelFileError, match=r"nan\.pth.*head\.weight"):
        store.add(write_pth(tmp_path / "nan.pth", blinkdl(tensors)))


# --- vocabularies ---


def vocabulary(folder: Path, tokens=TOKENS) -> Path:
    path = folder / "given.txt"
    path.write_bytes(write_vocabulary(tokens))
    return path


def test_vocabulary_given_beside_or_too_large(store, model, tmp_path):
    assert store.add(model, "given", Options(vocabulary=vocabulary(tmp_path))).tokenizer == "file"
    too_large = vocabulary(tmp_path, [*TOKENS, b"ab", b"cd"])
    with pytest.raises(ModelFileError, match="has 259 ids, the model 257"):
        store.add(model, "m", Options(vocabulary=too_large))
    too_large.rename(tmp_path / "vocab.txt")
    assert store.add(model, "unrelated").tokenizer == "byte-level"
    vocabulary(tmp_path).rename(tmp_path / "vocab.txt")
    assert store.add(model, "beside").tokenizer == "file"
    assert store.open("beside").tokenizer.tokens == TOKENS


def test_vocabulary_from_gguf(store, tmp_path):
    path = write_gguf(tmp_path / "m.gguf", small_tensors(), "F16", TOKENS)
    manifest = store.add(path)
    assert (manifest.tokenizer, manifest.format, list(manifest.weights)) == ("gguf", "gguf", ["fp16"])
    assert store.open("m").tokenizer.tokens == TOKENS


def test_world_vocabulary_by_size_and_none_at_all(store, tmp_path):
    rows = {n: np.zeros((65536, 64), BF16) for n in ("emb.weight", "head.weight")}
    world = write_pth(tmp_path / "w.pth", blinkdl({**small_tensors(BF16), **rows}))
    assert store.add(world, "w").tokenizer == "world"
    assert store.open("w").tokenizer.size == 65530
    rows = {n: np.zeros((1000, 64), BF16) for n in rows}
    with pytest.raises(ModelFileError, match="--vocab"):
        store.add(write_pth(tmp_path / "x.pth", blinkdl({**small_tensors(BF16), **rows})), "x")


def test_packed_files_can_be_added_again(store, model):
    store.add(model, "m", Options(precision="int8"))
    copy = store.add(store.root / "m/weights.int8.safetensors", "copy")
    assert (copy.format, list(copy.weights)) == ("packed", ["int8"])
    assert np.array_equal(logits(store.open("copy").weights), logits(store.open("m").weights))


def test_fla_files(store, tmp_path):
    from assistant.models.safetensors_file import write_safetensors

    write_safetensors(tmp_path / "model.safetensors", to_fla(small_tensors(BF16)), {"format": "pt"})
    assert store.add(tmp_path / "model.safetensors", "f").format == "safetensors-fla"


# --- the embedded model ---


def test_embedded_model(store, model, tmp_path):
    with pytest.raises(ModelNotFound, match="lacks its embedded model"):
        store.open()
    card = "# A card"
    build_embedded(model, vocabulary(tmp_path), card, {"loss": 1.5}, "Apache-2.0", store.shipped)
    assert sorted(p.name for p in store.shipped.iterdir()) == [
        "MODEL_CARD.md", "manifest.json", "model.int8.safetensors", "vocab.txt",
    ]  # fmt: skip
    before = tree(store.shipped)
    for name in ("embedded", "default"):
        opened = store.open(name)
        assert (opened.weights.precision, opened.template.name) == ("int8", "embedded")
        assert opened.manifest.metrics == {"loss": 1.5}
    assert [m.name for m in store.list()] == ["embedded"]
    assert store.verify("embedded") == []
    assert not store.root.exists()  # it is used in place
    with pytest.raises(UsageError, match="ships with the program"):
        store.rm("embedded")
    assert store.open("embedded", "bf16").weights.precision == "bf16"
    assert tree(store.shipped) == before
    assert [m.name for m in store.list()] == ["embedded"]


def test_an_updated_embedded_model_replaces_what_was_made_from_the_old_one(store, model, tmp_path):
    vocab = vocabulary(tmp_path)
    build_embedded(model, vocab, "card", {}, "Apache-2.0", store.shipped)
    old = store.open("embedded", "fp32").weights
    other = {n: t * np.float32(0.5) for n, t in blinkdl(small_tensors()).items()}
    build_embedded(write_pth(tmp_path / "n.pth", other), vocab, "card", {}, "Apache-2.0", store.shipped)
    new = store.open("embedded", "fp32").weights
    assert new.source_hash != old.source_hash
    assert not np.array_equal(new["head.weight"], old["head.weight"])


def test_a_failed_build_leaves_the_embedded_model(store, model, tmp_path):
    build_embedded(model, vocabulary(tmp_path), "card", {}, "Apache-2.0", store.shipped)
    before = tree(tmp_path)
    with pytest.raises(ModelFileError):
        build_embedded(tmp_path / "none.pth", tmp_path / "given.txt", "card", {}, "Apache-2.0", store.shipped)
    assert tree(tmp_path) == before
