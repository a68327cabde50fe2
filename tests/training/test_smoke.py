"""The recipe end to end at toy size: grammar to rows, twenty steps, a smaller loss, a readable `.pth`."""

import json
import shutil

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="training needs torch: pip install 'rwkv-assistant[train]'")
pytest.importorskip("rwkv", reason="the world vocabulary comes with the rwkv package")

from assistant.errors import UsageError  # noqa: E402
from assistant.evaluation.battery import read_battery  # noqa: E402
from assistant.models.canonical import from_blinkdl  # noqa: E402
from assistant.models.quantize import pack  # noqa: E402
from assistant.models.source import read_source  # noqa: E402
from assistant.training.average import average  # noqa: E402
from assistant.training.dataset import Amounts, build, without_probes  # noqa: E402
from assistant.training.documents import LABEL_WEIGHTS, chat_document, load_rows, prompt_of  # noqa: E402
from assistant.training.export import export, load_pth  # noqa: E402
from assistant.training.growth import deepened, grown_checkpoint, with_vocabulary  # noqa: E402
from assistant.training.model import Rwkv7, Shape, from_weights, shape_of  # noqa: E402
from assistant.training.optimizer import slots_of  # noqa: E402
from assistant.training.rounding import round_into  # noqa: E402
from assistant.training.trainer import Run, finish, train  # noqa: E402
from assistant.training.vocabulary import Tokenizer, read_vocabulary  # noqa: E402
from backends.base import Weights  # noqa: E402

FEW = Amounts(dialogues=400, written_feelings=40, held_out_dialogues=40)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    build(folder, None, vocabulary_size=700, amounts=FEW, context=64)
    return folder


def test_prompt_and_reply_are_tokenised_apart(data):
    tokenizer = Tokenizer.from_file(data / "vocab.txt")
    prompt, reply = prompt_of("hi there."), " Hello! How are you?\n\n"
    assert tokenizer.encode(prompt + reply) == tokenizer.encode(prompt) + tokenizer.encode(reply)
    assert tokenizer.decode(tokenizer.encode(reply)[-1:]) == "\n\n"
    assert not prompt.endswith(" ")
    assert tokenizer.decode(tokenizer.encode("naïve 😀")) == "naïve 😀"


def test_every_row_opens_with_token_zero(data):
    rows = load_rows(data, "train")
    assert (rows.tokens[:, 0] == 0).all()
    assert set(rows.weights.ravel().tolist()) <= {0, 2, 10, *LABEL_WEIGHTS.values()}


SHAPE = Shape(vocabulary=700, width=64, layers=2, lora_ranks=(8, 8, 8, 8))


def sitting(data, out, **changes):
    small = {"rows_per_worker": 4, "workers": 1, "compiled": False, "evaluate_every": 7}
    return Run(data=data, out=out, shape=SHAPE, **(small | changes))


@pytest.fixture(scope="module")
def stable(data, tmp_path_factory):
    out = tmp_path_factory.mktemp("run")
    return out, train(sitting(data, out, steps=20))


def test_twenty_steps_lower_the_loss(stable):
    _, history = stable
    losses = [entry["held_out_loss"] for entry in history if "held_out_loss" in entry]
    assert losses[-1] < 6.0 < torch.log(torch.tensor(700.0))
    assert [entry["step"] for entry in history] == [7, 14, 20]


def test_a_finish_decays_and_leaves_the_stable_run(stable, data, tmp_path):
    out, _ = stable
    before = (out / "checkpoint.pt").read_bytes()
    history = finish(out, sitting(data, tmp_path / "finish", decay_steps=6, rounded=True, evaluate_every=100))
    assert history[-1]["step"] == 26
    assert history[-1]["rate"] == 0.0
    assert (out / "checkpoint.pt").read_bytes() == before
    metrics = export(tmp_path / "finish", data, tmp_path / "out")
    weights = load_pth(tmp_path / "out" / "model.pth")
    assert shape_of(weights) == SHAPE
    assert metrics["steps"] == 26
    assert metrics["parity_with_rwkv_package"] < 1e-3
    assert json.loads((tmp_path / "out" / "metrics.json").read_text())["held_out_loss"] > 0
    gguf, pth = (read_source(tmp_path / "out" / name).weights for name in ("model.gguf", "model.pth"))
    assert all(abs(gguf[name] - pth[name]).max() < 2e-3 for name in pth)


def test_a_run_goes_on_with_other_data_of_the_same_vocabulary(stable, data, tmp_path):
    out, _ = stable
    run, better = tmp_path / "run", tmp_path / "better"
    shutil.copytree(out, run)
    build(better, None, seed=1, amounts=FEW, context=64, vocabulary_file=run / "vocab.txt")
    train(sitting(better, run, steps=22))
    saved = torch.load(run / "checkpoint.pt", weights_only=True)
    assert (saved["step"], saved["data_began"]) == (22, 20)

    other = tmp_path / "other"
    build(other, None, vocabulary_size=600, amounts=FEW, context=64)
    with pytest.raises(UsageError, match="another vocabulary"):
        train(sitting(other, run, steps=24))


def test_the_mean_of_two_finished_models(stable, data, tmp_path):
    short, longer, mean = tmp_path / "short", tmp_path / "longer", tmp_path / "mean"
    for out, steps in ((short, 2), (longer, 4)):
        finish(stable[0], sitting(data, out, decay_steps=steps, evaluate_every=100))
    average([short, longer], mean, [1, 3])
    one, other, both = (torch.load(run / "checkpoint.pt", weights_only=True) for run in (short, longer, mean))
    expected = 0.25 * one["weights"]["head.weight"] + 0.75 * other["weights"]["head.weight"]
    torch.testing.assert_close(both["weights"]["head.weight"], expected)
    export(mean, data, tmp_path / "out")
    assert json.loads((tmp_path / "out" / "metrics.json").read_text())["mean_of"] == [
        {"steps": 22, "decay_steps": 2, "share": 0.25},
        {"steps": 24, "decay_steps": 4, "share": 0.75},
    ]
    (short / "vocab.txt").write_bytes(b"")
    with pytest.raises(UsageError, match="other vocabularies"):
        average([short, longer], tmp_path / "never")
    with pytest.raises(UsageError, match="two runs or more"):
        average([longer], tmp_path / "never")
    assert not (tmp_path / "never").exists()


def test_rows_are_never_written_over(data):
    with pytest.raises(UsageError, match="not empty"):
        build(data, None, amounts=FEW)


def test_a_deeper_model_says_the_same(stable):
    weights = torch.load(stable[0] / "checkpoint.pt", weights_only=True)["weights"]
    grown = deepened(weights, 5)
    tokens = torch.arange(32)[None] % 700
    with torch.no_grad():
        torch.testing.assert_close(from_weights(grown)(tokens), from_weights(weights)(tokens), rtol=1e-4, atol=1e-4)
    assert shape_of(grown).layers == 5


def test_another_vocabulary_keeps_what_was_said_in_the_tokens_that_stay(stable, data):
    saved = torch.load(stable[0] / "checkpoint.pt", weights_only=True)
    old = read_vocabulary(data / "vocab.txt")
    dropped, word = max(old), b" hullabaloo"
    new = {token: data for token, data in old.items() if token != dropped}
    new |= {dropped: word, dropped + 1: old[dropped]}  # one token moved, one composed of its pieces
    grown = with_vocabulary(saved["weights"], old, new)
    tokens = torch.arange(1, 33)[None]
    with torch.no_grad():
        before, after = from_weights(saved["weights"])(tokens), from_weights(grown)(tokens)
    pieces = Tokenizer(old).encode(word.decode())
    torch.testing.assert_close(after[..., :dropped], before[..., :dropped])
    torch.testing.assert_close(after[..., dropped + 1], before[..., dropped])
    torch.testing.assert_close(after[..., dropped], before[..., pieces[0]])
    torch.testing.assert_close(grown["emb.weight"][dropped], saved["weights"]["emb.weight"][pieces].mean(0))

    checkpoint = grown_checkpoint(saved, grown)
    slots = {slot.name: slot for slot in slots_of(Rwkv7(shape_of(grown)))}
    key, first = "blocks.1.att.key.weight", {slot.name: slot for slot in slots_of(Rwkv7(SHAPE))}
    assert checkpoint["step"] == saved["step"]
    assert torch.equal(checkpoint["momentum"][slots[key].span], saved["momentum"][first[key].span])
    assert not checkpoint["momentum"][slots["emb.weight"].span].any()


@pytest.mark.parametrize("precision", ["int8", "int4"])
def test_rounding_is_that_of_the_program(precision):
    model = Rwkv7(SHAPE)
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter)
    slots, size = slots_of(model), sum(parameter.numel() for parameter in model.parameters())
    flat, seen = torch.empty(size), torch.empty(size)
    for slot, parameter in zip(slots, model.parameters(), strict=True):
        flat[slot.span] = parameter.detach().flatten()
    round_into(seen, flat, slots, int(precision[-1]))
    tensors = {slot.name: flat[slot.span].view(slot.shape).numpy() for slot in slots}
    packed = pack(Weights(from_blinkdl(tensors, None), "fp32"), precision)
    rounded = {slot.name: seen[slot.span].view(slot.shape).numpy() for slot in slots}
    for name, tensor in from_blinkdl(rounded, None).items():
        np.testing.assert_allclose(tensor, packed[name], atol=1e-6, err_msg=name)


def test_what_the_battery_asks_is_never_taught():
    probe = next(probe for probe in read_battery() if len(probe.turns[0].split()) >= 4)
    taught = [chat_document("x", [(probe.turns[0].upper(), "Yes.")]), chat_document("x", [("Something else", "Yes.")])]
    assert list(without_probes(iter(taught))) == taught[1:]
