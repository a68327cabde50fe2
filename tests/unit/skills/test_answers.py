"""What skills say: exact values, the limits of what they do, and what they keep."""

from __future__ import annotations

import math
import os
from datetime import datetime
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assistant.errors import SkillError
from assistant.skills import arithmetic, dates, language, system, zones
from tests.unit.skills.conftest import NOW, ZONE

# --- clock ---


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        ("what time is it?", "It is 14:05 on Monday, 23 November 2026."),
        ("what date is three weeks from friday?",
         "Three weeks from Friday, 27 November 2026 is Friday, 18 December 2026."),
        ("what weekday was 4 July 1976?", "Sunday, 4 July 1976 (18,404 days ago)."),
        ("how many days until Christmas?", "It is 32 days until Friday, 25 December 2026."),
        ("how many days between 1 March 2026 and 15 April 2026?",
         "From Sunday, 1 March 2026 to Wednesday, 15 April 2026 it is 45 days."),
        ("what is the date 90 days from now", "90 days from Monday, 23 November 2026 is Sunday, 21 February 2027."),
        ("what week is it", "It is ISO week 48 of 2026."),
        ("what calendar week is 1 January 2027", "Friday, 1 January 2027 is in ISO week 53 of 2026."),
        ("was 1900 a leap year", "1900 is not a leap year: February has 28 days."),
        ("how many days until 29 february", "It is 463 days until Tuesday, 29 February 2028."),
        ("what day is 30 february", "There is no day '30 february'. Say it like 24 December 2026 or 2026-12-24."),
        ("when is easter 2027", "Sunday, 28 March 2027 (in 125 days)."),
    ],
)  # fmt: skip
def test_clock(say, question, answer):
    assert say(question) == answer


@pytest.mark.parametrize(
    ("now", "place", "clock"),
    [
        (datetime(2026, 7, 1, 12, tzinfo=ZONE), "Tokyo", "19:00"),  # summer here, none there
        (datetime(2026, 1, 1, 12, tzinfo=ZONE), "Tokyo", "20:00"),
        (datetime(2026, 3, 20, 12, tzinfo=ZONE), "New York", "07:00"),  # their summer time has begun, ours has not
        (datetime(2026, 7, 1, 12, tzinfo=ZONE), "Mumbai", "15:30"),
        (datetime(2026, 1, 1, 12, tzinfo=ZONE), "utc", "11:00"),
    ],
)
def test_other_zones(say, now, place, clock):
    assert f"it is {clock} on" in say(f"what time is it in {place}?", now)


def test_hours_are_real_ones_over_a_change_of_the_clocks(say):
    evening = datetime(2026, 3, 28, 23, 0, tzinfo=ZONE)  # that night has no 2 o'clock
    assert say("what time will it be in 6 hours?", evening).startswith("In 6 hours it will be 06:00")
    assert "tomorrow at 07:00" in say("set an alarm for 7", evening)


def test_the_local_zone_has_rules(monkeypatch):
    monkeypatch.setenv("TZ", "America/New_York")
    summer = datetime(2026, 7, 1, tzinfo=zones.local_zone()).utcoffset()
    assert summer != datetime(2026, 1, 1, tzinfo=zones.local_zone()).utcoffset()
    monkeypatch.setenv("TZ", "No/Such")
    assert zones.local_zone().utcoffset(NOW) is not None


@pytest.mark.parametrize(
    ("text", "clock"),
    [("6 pm", "18:00"), ("12 am", "00:00"), ("12 pm", "12:00"), ("noon", "12:00"), ("half past six", "06:30"),
     ("quarter to nine in the evening", "20:45"), ("18:05", "18:05"), ("7 in the morning", "07:00"),
     ("6.30 p.m.", "18:30"),
     ("13 pm", None), ("25:00", None), ("6:75", None)],
)  # fmt: skip
def test_times_of_day(text, clock):
    found = dates.time_of_day(text)
    assert (found and f"{found[0]:%H:%M}") == clock


# --- numbers and sums ---


@pytest.mark.parametrize(
    ("text", "value"),
    [("one hundred and twenty", 120), ("1,250.5", Fraction(2501, 2)),
     ("two million three hundred thousand and one", 2300001),
     ("twenty-five", 25), ("a hundred", 100), ("two point five", Fraction(5, 2)), ("a dozen", 12), ("two three", None),
     ("hundred", None), ("twenty ten", None), ("", None), ("and", None)],
)  # fmt: skip
def test_numbers_in_words(text, value):
    assert language.number(text) == value


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        ("0.1 + 0.2", "0.1 + 0.2 = 0.3"),
        ("what is 15 % of 80?", "15 % of 80 = 12"),
        ("80 + 15%", "80 + 15% = 92"),
        ("twelve times seven", "Twelve times seven = 84"),
        ("2^-2", "2^-2 = 0.25"),
        ("-2^2 + 1", "-2^2 + 1 = -3"),
        ("2^3^2", "2^3^2 = 512"),
        ("1/3 + 1/3", "1/3 + 1/3 = 2/3 ≈ 0.666666666667"),
        ("sqrt(2)", "sqrt(2) ≈ 1.41421356237"),
        ("sqrt(9/16)", "sqrt(9/16) = 0.75"),
        ("cos(60 degrees)", "cos(60 degrees) = 0.5"),
        ("what is 2^200", "2^200 ≈ 1.60694 × 10^60 (61 digits)"),
        ("12 is what percent of 60", "12 is 20 % of 60"),
        ("subtract 4 from 10", "Subtract 4 from 10 = 6"),
        ("1 / 0", "A division by zero has no result."),
        ("sqrt(-4)", "The square root of a negative number is not a real number."),
        ("tan(90 degrees)", "The tangent of 90 degrees has no value."),
    ],
)
def test_calculator(say, question, answer):
    assert say(question) == answer


@pytest.mark.parametrize("bomb", ["9**9**9", "9^9^9^9", "(((2^5000)^5000)^5000)", "5000!", "10^-99999", "(1/3)^40000",
                                  "exp(100000)", "2^2^2^2^2^2", "1.0000001^99999", "(999!)!"])  # fmt: skip
def test_no_sum_takes_long(say, bomb):
    """The size of a result is told before it is computed: no number of more than 12,000 bits is ever made."""
    assert "too large" in say(f"calculate {bomb}")


@settings(max_examples=60, deadline=None)
@given(st.recursive(st.integers(0, 99).map(str), lambda inner: st.tuples(inner, st.sampled_from("+-*"), inner).map(
    lambda t: f"({t[0]} {t[1]} {t[2]})"), max_leaves=8))  # fmt: skip
def test_sums_are_what_python_says(text):
    assert arithmetic.evaluate(text)[0] == eval(text)  # noqa: S307 - made above of numbers and signs only


def test_rounded_and_exact_look_different():
    assert arithmetic.show(Fraction(1, 8)) == "= 0.125"
    assert arithmetic.show(math.pi).startswith("≈ ")


# --- units ---


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        ("convert 5 miles to km", "5 miles = 8.04672 km"),
        ("what is 72 °F in °C?", "72 °F ≈ 22.2222 °C"),
        ("-40 C to F", "-40 °C = -40 °F"),
        ("what is 5 feet 11 inches in cm", "5 ft 11 in = 180.34 cm"),
        ("how many ounces in a pound?", "1 lb = 16 oz"),
        ("1 GB in MiB", "1 GB ≈ 953.674 MiB"),
        ("convert 5 miles to kilograms",
         "Miles measure length and kg measure mass. Units of one kind can be converted."),
        ("convert -300 celsius to kelvin",
         "There is no such temperature: it is below the absolute zero, -273.15 °C."),
    ],
)  # fmt: skip
def test_units(say, question, answer):
    assert say(question) == answer


# --- notes ---


def test_notes_are_a_markdown_file_that_a_person_may_edit(say, tmp_path):
    file = tmp_path / "skills" / "notes" / "notes.md"
    assert say("note: buy milk!") == "Noted as number 1: buy milk!"
    assert say("make a note that the key is under the mat") == "Noted as number 2: the key is under the mat"
    assert file.read_text() == "- buy milk!\n- the key is under the mat\n"
    file.write_text("# Mine\n\n- buy milk!\n  and bread\n* the key\n\nno item\n- third\n")
    assert say("show my notes").endswith("1. buy milk! and bread\n2. the key\n3. third")
    assert say("find note bread") == "1 note with bread:\n1. buy milk! and bread"
    assert say("delete note 1").startswith("Deleted note 1: buy milk! and bread")
    assert "bread" not in file.read_text()
    assert "no item" in file.read_text()
    assert say("restore note") == "Restored: buy milk! and bread"
    assert file.read_text().startswith("# Mine\n\n- buy milk!\n  and bread\n* the key")
    assert "no deleted note" in say("undo delete note")
    assert say("delete note 9") == 'There is no note 9: there are 3 notes. "show my notes" lists them.'


def test_what_cannot_be_kept_is_told(say, tmp_path, monkeypatch):
    def full(*_args):
        raise OSError(28, "No space left on device")

    say("note: first")
    monkeypatch.setattr("os.fsync", full)
    assert "No space left" in say("note: second")
    assert say("show my notes").endswith("1. first")
    assert [f.name for f in (tmp_path / "skills" / "notes").iterdir() if f.name.startswith(".notes")] == []


# --- system ---


def test_battery_and_heat_as_the_kernel_tells_them(say, tmp_path, monkeypatch):
    monkeypatch.setattr(system, "SYS", tmp_path)
    assert "no battery" in say("battery status")
    assert "no sensor" in say("how hot is the cpu?").lower()
    for name, value in {"class/power_supply/BAT0/type": "Battery", "class/power_supply/BAT0/capacity": "81",
                        "class/power_supply/BAT0/status": "Discharging", "class/power_supply/mouse/type": "Battery",
                        "class/power_supply/mouse/scope": "Device", "class/power_supply/mouse/capacity": "5",
                        "class/thermal/thermal_zone0/temp": "47500",
                        "class/thermal/thermal_zone0/type": "x86_pkg_temp"}.items():  # fmt: skip
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(value + "\n")
    assert say("battery status") == "The battery is at 81 %, discharging."
    assert say("how hot is the cpu?") == "The hottest sensor (x86_pkg_temp) reads 48 °C."


def test_system_figures_have_units(say):
    assert say("how much memory is free?").endswith("memory are available.")
    assert " GB" in say("system status") or " TB" in say("system status")
    assert say("uptime").startswith("This machine has been running for ")


# --- dictionary ---


def _program(folder, name: str, script: str) -> None:
    file = folder / name
    file.write_text(f"#!/bin/sh\n{script}\n")
    file.chmod(0o755)


def test_dictionary_says_what_is_missing(say, monkeypatch):
    monkeypatch.setenv("PATH", "/nonexistent")
    assert "hunspell" in say("how do you spell accomodate")
    assert "wordnet" in say("define serendipity")


def test_dictionary_asks_programs_and_no_shell(say, tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    _program(tmp_path, "hunspell", 'read word; echo "@(#) version"; case $word in ^necessary) echo "*";;'
             ' ^qqq) echo "# qqq 0";; *) echo "& accomodate 2 0: accommodate, commode";; esac')  # fmt: skip
    _program(tmp_path, "wn", 'echo "$1: $2"')
    assert say("how do you spell accomodate") == (
        '"accommodate". It could also be commode. ("accomodate" is not in the dictionary.)')  # fmt: skip
    assert say('How do you spell "necessary"?') == '"necessary" is spelled correctly.'
    assert "no word is near" in say("spell qqq")
    assert say("define serendipity") == "serendipity: -over"
    assert say("define -x") is None


def test_a_slow_dictionary_is_not_waited_for(say, tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setattr("assistant.skills.dictionary.LIMIT_S", 0.05)
    _program(tmp_path, "hunspell", "exec sleep 5")
    assert "did not answer" in say("spell rhythm")


def test_skill_errors_are_sentences():
    from assistant.skills.registry import sentence

    assert sentence(SkillError("it is so", why="because", hint="do that")) == "It is so: because. Do that."
