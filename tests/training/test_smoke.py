"""The recipe end to end at toy size: grammar to rows, twenty steps, a smaller loss, a readable `.pth`."""

import json

import pytest

torch = pytest.importorskip("torch", reason="training needs torch: pip install 'rwkv-assistant[train]'")
pytest.importorskip("rwkv", reason="the world vocabulary comes with the rwkv package")

from assistant.training.dataset import Amounts, build  # noqa: E402
from assistant.training.documents import load_rows, prompt_of  # noqa: E402
from assistant.training.export import export, load_pth  # noqa: E402
from assistant.training.model import Shape, shape_of  # noqa: E402
from assistant.training.trainer import Run, train  # noqa: E402
from assistant.training.vocabulary import Tokenizer  # noqa: E402

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
    assert set(rows.weights.ravel().tolist()) <= {0, 2, 10}


def test_twenty_steps_lower_the_loss_and_export(data, tmp_path):
    shape = Shape(vocabulary=700, width=64, layers=2, lora_ranks=(8, 8, 8, 8))
    run = Run(
        data=data,
        out=tmp_path / "run",
        shape=shape,
        steps=20,
        rows_per_worker=4,
        workers=1,
        compiled=False,
        evaluate_every=20,
    )
    history = train(run)
    losses = [entry["held_out_loss"] for entry in history if "held_out_loss" in entry]
    assert losses[-1] < 6.0 < torch.log(torch.tensor(700.0))

    metrics = export(run.out, data, tmp_path / "out")
    weights = load_pth(tmp_path / "out" / "model.pth")
    assert shape_of(weights) == shape
    assert metrics["steps"] == 20
    assert metrics["parity_with_rwkv_package"] < 1e-3
    assert json.loads((tmp_path / "out" / "metrics.json").read_text())["held_out_loss"] > 0
