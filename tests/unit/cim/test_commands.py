"""`assistant cim` as a person types it: every command, as text and as JSON, and its errors."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner

from assistant.cim.commands import cim
from assistant.errors import AssistantError


def ask(*arguments: str) -> str:
    done = CliRunner().invoke(cim, arguments, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.stdout


def refusal(*arguments: str) -> str:
    with pytest.raises(AssistantError) as caught:
        CliRunner().invoke(cim, arguments, catch_exceptions=False)
    return str(caught.value)


@pytest.mark.parametrize(
    "arguments",
    [("map", "0.1B"), ("map", "0.1B", "--chip", "axelera-metis"), ("map", "embedded", "--policy", "naive"),
     ("whatif", "1.5B", "--target-ms", "50"), ("whatif", "1.5B", "--chip", "axelera-metis", "--target-ms", "50"),
     ("whatif", "0.1B", "--chips", "2", "--tokens", "64", "--set", "chip.peak_ops_s=50e12"),
     ("validate",), ("article",), ("friendliness", "0.1B", "smollm2-135m")],
    ids=" ".join,
)  # fmt: skip
def test_every_question_has_text_and_json(arguments):
    text, value = ask(*arguments), json.loads(ask(*arguments, "--json"))
    assert value
    assert text.isprintable() or "\n" in text
    if arguments[0] != "friendliness":
        assert "simulated" in text, "every figure of a chip that is not here says so"
    assert max(len(line) for line in text.splitlines()) < 200


def test_map_prints_ideal_packed_and_naive():
    assert "2 ideal, 3 packed, 4 naive, 2 head on host" in ask("map", "0.1B")
    placed = json.loads(ask("map", "0.1B", "--json"))["placements"]
    assert {"matrix", "stage", "tile", "row", "column"} <= placed[0].keys()
    assert "from DRAM" in ask("map", "0.1B", "--chip", "axelera-metis")


def test_validate_shows_the_misses_and_what_cannot_be_known():
    text = ask("validate")
    assert "held-out figures miss by more than 10 %" in text
    assert "ResNet-101, M.2" in text.split("miss by more")[1]
    assert "any RWKV on either chip" in text
    assert "OUT OF BAND" not in text
    assert "product 2816 x 2816" in ask("validate", "--all")


def test_validate_fails_when_a_figure_leaves_its_band(monkeypatch):
    from backends.cim import validate

    laws = validate.LAWS["mythic-m1076"] | {"capacity": lambda chip, chips=1: 1.0}
    monkeypatch.setitem(validate.LAWS, "mythic-m1076", laws)
    assert "M1076, weights" in refusal("validate")


def test_a_setting_changes_the_answer():
    energy = lambda *more: json.loads(ask("whatif", "0.1B", "--json", *more))["energy_j"]["mid"]  # noqa: E731
    assert energy("--set", "power.nameplate_w=35") > 5 * energy()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [(("whatif", "0.1B", "--chip", "mythic"), "did you mean 'mythic-m1076'"),
     (("whatif", "0.1B", "--set", "chip.tilez=3"), "did you mean 'chip.tiles'"),
     (("whatif", "0.1B", "--set", "chip.tiles=many"), "not KEY=VALUE"),
     (("whatif", "0.1B", "--set", "chip.tiles=-1"), "above zero"),
     (("whatif", "0.1B", "--chip", "axelera-metis", "--chips", "2"), "--chips is for mythic-m1076"),
     (("whatif", "0.3B"), "Published: 0.1B, 0.4B"),
     (("whatif", "llama-3.2-1b"), "simulated for RWKV-7 only"),
     (("friendliness", "nowhere.gguf"), "no such file"),
     (("accuracy", "--text", "/nowhere"), "cannot read the text")],
)  # fmt: skip
def test_bad_questions_say_what_to_do(arguments, words):
    assert words in refusal(*arguments)


def test_accuracy_of_the_embedded_model(tmp_path):
    text = tmp_path / "t.txt"
    text.write_text("User: Hello! Who are you?\n\nAssistant: I'm your little offline assistant.\n\n" * 2)
    scores = json.loads(ask("accuracy", "--text", str(text), "--tokens", "40", "--adc-bits", "8", "--json"))
    by_label = {s["label"]: s for s in scores}
    assert by_label["float32 reference"]["kl_nats"] == 0
    assert by_label["exact int8"]["top1_agreement"] >= 0.9
    # On 40 tokens of one chip the order of two noise levels is chance (tests of tiles and chips have the statistics):
    # each of them moves the answers, by more than the exact chip's rounding does.
    noisy = [s["kl_nats"] for label, s in by_label.items() if label.startswith("noise")]
    assert len(noisy) == 6
    assert min(noisy) > by_label["exact int8"]["kl_nats"] > 0
    assert all(s["perplexity"] < 100 for s in scores)
