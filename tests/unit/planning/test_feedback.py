"""Replies correct predictions; errors are those of the corrected ones; what is learnt outlives a restart."""

from __future__ import annotations

import pytest

from assistant.planning.feedback import Feedback


def test_a_steady_bias_is_learnt_and_the_error_vanishes(tmp_path):
    feedback = Feedback(tmp_path / "p.json")
    for _ in range(40):
        track = feedback.add("k", predicted_s=1e-3, measured_s=1.5e-3, tokens=30)
    assert track.ratio == pytest.approx(1.5)
    assert track.error < 0.01
    assert track.replies == 40


def test_the_first_reply_counts_whole_and_one_outlier_later_does_not(tmp_path):
    feedback = Feedback(tmp_path / "p.json")
    feedback.add("k", 1e-3, 2e-3, 30)
    assert feedback.ratio("k") == pytest.approx(2.0)
    feedback.add("k", 1e-3, 20e-3, 30)
    assert feedback.ratio("k") < 3.5


def test_short_replies_and_nonsense_teach_nothing(tmp_path):
    feedback = Feedback(tmp_path / "p.json")
    for predicted_s, measured_s, tokens in ((1e-3, 9e-3, 2), (0.0, 1e-3, 30), (1e-3, 0.0, 30), (float("nan"), 1, 30)):
        feedback.add("k", predicted_s, measured_s, tokens)
    assert feedback.track("k").replies == 0


def test_what_was_never_measured_takes_the_newest_ratio(tmp_path):
    """A machine that has become slow has become slow for every option, not only for the one that runs."""
    feedback = Feedback(tmp_path / "p.json")
    assert feedback.ratio("other") == 1.0
    feedback.add("k", 1e-3, 2e-3, 30)
    assert feedback.ratio("other") == pytest.approx(2.0)


def test_it_is_kept_and_a_damaged_file_is_nothing(tmp_path):
    file = tmp_path / "deep" / "p.json"
    feedback = Feedback(file)
    feedback.add("k", 1e-3, 2e-3, 30)
    feedback.save()
    assert Feedback(file).ratio("k") == pytest.approx(2.0)
    file.write_text("[]")
    assert Feedback(file).track("k").replies == 0
