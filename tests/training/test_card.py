"""The card holds the figures it was given and the dialogues as they are; no torch needed."""

from assistant.evaluation.report import Battery, Evaluation
from assistant.evaluation.transcripts import as_markdown, read_scripts
from assistant.training.card import Metrics, write_card
from assistant.training.plot import loss_plot

METRICS = Metrics(
    parameters=4_605_888, vocabulary=4096, tokens_seen=7_300_000, unique_tokens=17_700_000,
    tokens_by_source={"grammar": 3, "goemotions": 1}, wall_hours=1.5, held_out_loss=0.3, held_out_perplexity=1.35,
    held_out_assistant_tokens=48_000, steps=2_000, decay_steps=300, data_began=0, seed=0,
    sources=[{"name": "GoEmotions", "licence": "Apache-2.0", "origin": "x", "use": "y", "files": {"f.tsv": "ab" * 32}}],
    loss_curve=[{"step": 200, "loss": 1.0, "held_out_loss": 1.1}, {"step": 220, "loss": 0.9}],
    parity_with_rwkv_package=7e-6,
)  # fmt: skip


def evaluation(part, answered):
    battery = Battery(part=part, asked=186, answered=answered, by_category={}, stock_answer="", stock_share=0.03,
                      chance=0.08)  # fmt: skip
    return Evaluation(model="m", source_sha256="", backend="reference", simulated=False, precision="int8", program="0",
                      finished_at="", seconds=1.0, battery={"greedy": battery})  # fmt: skip


def test_ten_dialogues_of_eight_turns():
    assert [len(turns) for turns in read_scripts()] == [8] * 10


def test_the_card_prints_what_was_measured():
    dialogues = [[("Hi", "Hello!"), ("Bye", "See you.")]]
    card = write_card(METRICS, [evaluation("dev", 120)], dialogues, [])
    assert "120/186 = 64.5 %" in card
    assert "4,605,888" in card
    assert "grammar 75.0 %, goemotions 25.0 %" in card
    assert "> **User:** Hi\\\n> **Assistant:** Hello!" in card
    assert "sealed third" not in card
    assert "sealed third" in write_card(METRICS, [], dialogues, [evaluation("sealed", 60)])
    assert as_markdown(dialogues * 2).count("---") == 1


def test_the_loss_plot_is_an_image_of_the_history():
    import xml.etree.ElementTree

    history = [
        {"tokens": 2048 * step, "loss": 3.0 / step, "rate": 1.0} | ({"held_out_loss": 3.2 / step} if step % 2 else {})
        for step in range(1, 9)
    ]
    root = xml.etree.ElementTree.fromstring(loss_plot(history))
    lines = [element for element in root.iter() if element.tag.endswith("polyline")]
    assert [len(line.attrib["points"].split()) for line in lines] == [8, 4, 8]
    assert xml.etree.ElementTree.fromstring(loss_plot([])) is not None
