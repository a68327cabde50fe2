"""The measures by hand-made examples, and a whole evaluation of the embedded model through the command."""

import json

import numpy as np
import pytest
from click.testing import CliRunner

from assistant.errors import UsageError
from assistant.evaluation import feelings, language, report
from assistant.evaluation.battery import Probe, score
from assistant.evaluation.command import command
from assistant.evaluation.limits import ADMITS, wrongly_refused
from assistant.evaluation.talker import SAMPLED, Talker
from assistant.evaluation.tone import HEAVY, has_loop, score_tone
from assistant.models import results
from assistant.models.store import Store
from backends.base import State
from backends.reference import ReferenceBackend


@pytest.fixture(scope="module")
def talker(tmp_path_factory):
    return Talker(ReferenceBackend(), Store(tmp_path_factory.mktemp("store")).open())


# --- talking ---


def test_a_batch_says_what_each_would_alone(talker):
    dialogues = [("Hello!", "And who are you?"), ("What is the capital of Japan?",), ("I'm sad",)]
    for params in (SAMPLED,):
        together = talker.converse(dialogues, params)
        alone = [talker.converse([dialogue], params)[0] for dialogue in dialogues]
        assert together == alone
    assert [len(replies) for replies in together] == [2, 1, 1]
    assert all(reply for replies in together for reply in replies)


def test_losses_are_those_of_the_logits(talker):
    tokens = talker.tokens("User: Hi\n\nAssistant: Hello")
    (losses,) = talker.losses([tokens])
    assert len(losses) == len(tokens) - 1
    logits, _ = talker.read(tokens[:-1])
    wide = logits.astype(np.float64)
    expected = np.log(np.exp(wide - wide.max()).sum()) + wide.max() - wide[tokens[-1]]
    assert losses[-1] == pytest.approx(expected, abs=1e-3)


def test_a_starting_state_is_used_and_not_changed(talker):
    start = State(talker.model.weights.config)
    start.data[:] = 0.5
    kept = start.data.copy()
    tuned = Talker(ReferenceBackend(), talker.model, initial=start)
    logits, _ = tuned.read(tuned.tokens("User: Hi"))
    plain, _ = talker.read(talker.tokens("User: Hi"))
    assert not np.allclose(logits, plain)
    assert (start.data == kept).all()


# --- feelings ---


def test_macro_f1_and_accuracy_by_hand():
    truth, guesses = ["sad", "sad", "happy", "angry"], ["sad", "happy", "happy", "happy"]
    assert feelings.accuracy(truth, guesses) == 0.5
    # sad: p 1, r 1/2 -> 2/3; happy: p 1/3, r 1 -> 1/2; angry: 0
    assert feelings.macro_f1(truth, guesses) == pytest.approx((2 / 3 + 1 / 2) / 3)


def test_valence_sums_the_labels():
    row = dict.fromkeys(feelings.LABELS, 0.0) | {"happy": 0.35, "sad": 0.2, "angry": 0.2, "neutral": 0.25}
    assert feelings.valences(feelings.summed(np.array([list(row.values())]))) == ["negative"]


def test_rank_correlation_knows_order_and_ties():
    assert feelings.rank_correlation(np.array([1.0, 2, 3]), np.array([10.0, 20, 90])) == pytest.approx(1)
    assert feelings.rank_correlation(np.array([3.0, 2, 1]), np.array([10.0, 20, 90])) == pytest.approx(-1)
    assert feelings.rank_correlation(np.array([1.0, 1, 1]), np.array([1.0, 2, 3])) == 0.0


def test_comments_of_two_groups_are_left_out(tmp_path):
    (tmp_path / "goemotions").mkdir()
    lines = ["I love it [NAME]\t18\ta", "hm\t18,2\tb", "so sad\t25,16\tc"]
    (tmp_path / "goemotions/go_test.tsv").write_text("\n".join(lines))
    rows = feelings.goemotions(tmp_path, "test")
    assert [(row.text, row.label, row.fine) for row in rows] == [
        ("I love it Sam", "happy", "love"),
        ("so sad", "sad", "sadness"),
    ]


def test_rated_texts_are_read_with_their_tabs(tmp_path):
    (tmp_path / feelings.RATED_SETS["tweets"]).write_text("1\t-2.5\tbad day\n2\t0.1\tit is\tfine\n")
    assert feelings.rated_texts(tmp_path, "tweets") == [("bad day", -2.5), ("it is fine", 0.1)]


def test_scores_of_a_few_comments(talker, tmp_path):
    (tmp_path / "goemotions").mkdir()
    (tmp_path / "goemotions/go_test.tsv").write_text("I am so happy today!\t17\ta\nThis makes me furious\t2\tb\n")
    scores = feelings.score_goemotions(talker, tmp_path)
    assert scores["examples"] == 2
    assert 0 <= scores["accuracy"] <= 1


# --- language ---


def test_a_line_that_does_not_fit_is_named(tmp_path):
    path = tmp_path / "words.jsonl"
    path.write_text('{"text": "fine"}\n{"txt": "no"}\n')
    with pytest.raises(UsageError, match="line 2"):
        language.read_lines(path, language.LastWord)
    path.write_text("\n")
    with pytest.raises(UsageError, match="empty"):
        language.read_lines(path, language.LastWord)


def test_last_words(talker, tmp_path):
    path = tmp_path / "words.jsonl"
    lines = ["User: Thank you!\n\nAssistant: You're", "User: Hi\n\nAssistant: zebra"]
    path.write_text("\n".join(json.dumps({"text": line + " welcome" if "Thank" in line else line}) for line in lines))
    scores = language.score_last_words(talker, path)
    assert scores["examples"] == 2
    assert scores["accuracy"] <= 0.5  # nobody would guess the zebra
    assert scores["perplexity"] > 1


# --- tone and limits ---


def test_tone_counts_what_puts_off():
    scores = score_tone(
        ["How wonderful!", "I'm so sorry."], ["Hello.", "Hello.", "one two three one two three one two three"]
    )
    assert scores["cheer_at_grief"] == 0.5
    assert scores["commonest_reply"] == pytest.approx(2 / 3)
    assert scores["loops"] == pytest.approx(1 / 5)
    assert has_loop("a b c a b c a b c")
    assert not has_loop("I see. I see what you mean.")
    assert len(HEAVY) >= 60


def test_refusing_what_one_should_know():
    probes = [Probe("facts", ("Capital of Norway?",), ("oslo",)), Probe("limits", ("Wake me",), ("can't",))]
    result = score(probes, [["I don't know that."], ["I can't."]])
    assert wrongly_refused(result) == 1.0
    assert ADMITS.search("That's beyond me.")
    assert not ADMITS.search("Paris is nice.")


# --- results ---


def evaluation(**changes):
    battery = report.Battery(part="dev", asked=80, answered=60, by_category={"facts": (3, 4)}, stock_answer="Hi",
                             stock_share=0.25, chance=0.1)  # fmt: skip
    values = {"model": "m", "source_sha256": "abc", "backend": "reference", "simulated": False, "precision": "int8"}
    values |= {"program": "0", "finished_at": "now", "seconds": 1.0, "battery": {"greedy": battery}}
    return report.Evaluation(**(values | changes))


def test_results_are_kept_and_read_as_a_quality_floor(tmp_path):
    def known(sha="abc", backend="reference", precision="int8", **more):
        return results.quality("m", sha, backend, precision, folder=tmp_path, **more)[0]

    assert known() is None
    report.store(evaluation(), tmp_path)
    report.store(evaluation(battery={}, perplexity={"perplexity": 2.0}), tmp_path)
    assert known() == 0.75
    assert report.stored("m", tmp_path)["reference/int8"].perplexity == {"perplexity": 2.0}
    assert known(backend="another real one") == 0.75
    assert known(simulated=True) is None, "a noisy chip must have been measured itself"
    assert known(sha="another model") is None
    assert known(precision="fp32") is None
    results.results_file("m", tmp_path).write_text("not json")
    assert known() is None
    few = report.Battery(part="dev", asked=4, answered=3, by_category={}, stock_answer="", stock_share=0, chance=0)
    report.store(evaluation(battery={"greedy": few}), tmp_path)
    assert known() is None, "four probes are no measurement"


def test_unknown_parts_are_refused():
    with pytest.raises(UsageError, match="batery"):
        report.Options(parts=("batery",))


def test_the_command_measures_and_prints(tmp_path, monkeypatch):
    monkeypatch.setenv("ASSISTANT_HOME", str(tmp_path))
    words = tmp_path / "words.jsonl"
    words.write_text('{"text": "User: Thanks!\\n\\nAssistant: You are welcome"}')
    arguments = ["--limit", "6", "--lambada", str(words)]
    result = CliRunner().invoke(command, [*arguments, "--greedy-only"])
    assert result.exit_code == 0, result.output
    assert "battery, greedy" in result.output
    assert "perplexity of replies" in result.output
    assert "last words" in result.output
    assert "█" in result.output or "░" in result.output
    assert "Not measured: feelings (--data or --rated)" in result.stderr
    assert "lambada (" not in result.stderr
    (found,) = json.loads(CliRunner().invoke(command, [*arguments, "--only", "battery", "--json"]).stdout)
    assert found["battery"]["greedy"]["asked"] == found["battery"]["sampled"]["asked"] == 6
    assert report.stored("embedded") == {}  # a quick look with --limit is not a measurement


@pytest.mark.parametrize("part", ["feelings", "mood", "limits", "lambada"])
def test_a_part_that_lacks_its_texts_is_not_passed_over_in_silence(part, tmp_path, monkeypatch):
    monkeypatch.setenv("ASSISTANT_HOME", str(tmp_path))
    result = CliRunner().invoke(command, ["--only", part])
    assert isinstance(result.exception, UsageError)
    assert f"'{part}'" in str(result.exception)
    assert "--" in result.exception.hint


def test_failures_of_the_sealed_part_are_never_listed(tmp_path, monkeypatch):
    monkeypatch.setenv("ASSISTANT_HOME", str(tmp_path))
    result = CliRunner().invoke(command, ["--sealed", "--failures"])
    assert isinstance(result.exception, UsageError)


def test_what_ships_was_measured_and_no_longer_counts_for_another_model():
    """Renew it with the model: assistant eval embedded --only battery --greedy-only, for cpu and both chips."""
    manifest = Store().show("embedded")
    for backend, simulated in (("cpu", False), ("mythic-m1076", True), ("axelera-metis", True)):
        share, note = results.quality("embedded", manifest.source.sha256, backend, "int8", simulated=simulated)
        assert share is not None, f"{note}: assistant/models/embedded/evaluations.json is of an earlier model"
        assert 0.3 < share <= 1.0
    assert results.quality("embedded", "another", "cpu", "int8")[0] is None
