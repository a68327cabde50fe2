"""The `{some_...}` slots: wide pools of names, places, jobs and things, so that copying is learnt and not the words.

With the data folder they hold thousands of real words from dariusk/corpora (CC0); without it those of the grammar's own
tables. A share of the draws is invented, so that no pool can be learnt by heart.
"""

import json
import random
import re
from collections.abc import Callable
from pathlib import Path

from assistant.training.invented import invented_name, invented_place, invented_word
from assistant.training.sources import FORBIDDEN

Draw = Callable[[random.Random], tuple[str, ...]]
PLAIN = re.compile(r"[A-Za-z][a-z]+(?:[ '-][A-Za-z][a-z]+){0,2}")
LONGEST = 24
PLACES = ["under", "behind", "next to", "on", "in", "inside", "below", "near", "on top of", "in front of"]
NUMBERS = "one two three four five six seven eight nine ten eleven twelve".split()  # noqa: SIM905


def _strings(value: object) -> list[str]:
    if isinstance(value, str):
        return [value]
    values = value.values() if isinstance(value, dict) else value if isinstance(value, list) else []
    return [text for item in values for text in _strings(item)]


def _words(data: Path, file: str, key: str | None = None) -> list[str]:
    """The usable short entries of one corpora file; `key` picks a field of its records."""
    content = json.loads((data / "corpora" / f"{file}.json").read_text(encoding="utf-8"))
    lists = [value for value in content.values() if isinstance(value, list)] if isinstance(content, dict) else [content]
    records = max(lists, key=len, default=[])
    texts = [record[key] for record in records if isinstance(record, dict)] if key else _strings(records)
    return [text for text in texts if PLAIN.fullmatch(text) and len(text) <= LONGEST and not FORBIDDEN.search(text)]


def _firsts(tables: dict, name: str) -> list[str]:
    return [row[0] for row in tables.get(name, []) if "{" not in row[0]]


def _drawing(words: list[str], invented: Draw | None = None, share: float = 0.0) -> Draw:
    words = sorted(set(words))

    def draw(rng: random.Random) -> tuple[str, ...]:
        return invented(rng) if invented and rng.random() < share else (rng.choice(words),)

    return draw


def _placing(things: list[str]) -> Draw:
    return lambda rng: (f"{rng.choice(PLACES)} {rng.choice(things)}",)


def _clock(rng: random.Random) -> tuple[str]:
    hour = rng.randint(1, 12)
    word = NUMBERS[hour - 1]
    forms = [
        f"{hour}",
        f"{hour} o'clock",
        word,
        f"half past {word}",
        f"{hour}:{rng.randint(1, 5)}0",
    ]
    return (rng.choice([*forms, f"quarter to {word}", f"{hour} in the morning", f"{hour} pm"]),)


def pools(tables: dict, data: Path | None) -> dict[str, Draw]:
    """The drawn tables, by slot name."""
    names, pets, cities = (_firsts(tables, name) for name in ("first_name", "pet_name", "city"))
    cities += [row[1] for row in tables.get("capital", [])]
    last_names, jobs = ["Miller", "Weber", "Rossi", "Novak", "Tanaka", "Okafor"], _firsts(tables, "job")
    foods, colors, things, animals = (
        _firsts(tables, "food"),
        _firsts(tables, "color"),
        _firsts(tables, "thing_name"),
        _firsts(tables, "animal_name"),
    )
    if data:
        people = ["humans/celebrities", "humans/scientists", "humans/britishActors", "humans/wrestlers"]
        names += [text.split()[0] for file in people for text in _words(data, file) if " " in text]
        names = [name for name in names if len(name) > 2 and name not in ("The", "Van", "Sir", "Abu", "Big", "Dr")]
        last_names += _words(data, "humans/authors")
        pets += _words(data, "animals/dog_names")
        cities += _words(data, "geography/us_cities", "city") + _words(data, "geography/english_towns_cities")
        cities += _words(data, "geography/norwegian_cities")
        jobs += [job for job in _words(data, "humans/occupations") if job.count(" ") <= 1]
        for file in ("fruits", "fish", "herbs_n_spices", "breads_and_pastries", "vegetables", "menuItems"):
            foods += [food.lower() for food in _words(data, f"foods/{file}") if food.count(" ") <= 1]
        colors += [
            color.lower() for color in _words(data, "colors/xkcd", "color") + _words(data, "colors/crayola", "color")
        ]
        things += _words(data, "objects/objects") + _words(data, "objects/clothing")
        animals += _words(data, "animals/common")
    return {
        "some_name": _drawing(names, invented_name, 0.4),
        "some_last_name": _drawing(last_names, invented_name, 0.3),
        "some_pet_name": _drawing(pets, invented_name, 0.3),
        "some_city": _drawing(cities, invented_place, 0.25),
        "some_job": _drawing(jobs),
        "some_food": _drawing(foods),
        "some_color": _drawing(colors),
        "some_thing": _drawing([thing for thing in things if not thing.endswith("s")], invented_word, 0.1),
        "some_hobby": _drawing(_firsts(tables, "wide_hobby")),
        "some_animal": _drawing(animals),
        "some_instrument": _drawing(_firsts(tables, "wide_instrument")),
        "some_where": _placing(_firsts(tables, "room_thing")),
        "some_age": lambda rng: (str(rng.randint(5, 99)),),
        "some_year": lambda rng: (str(rng.randint(1925, 2026)),),
        "some_number": lambda rng: (str(rng.randint(1, rng.choice([20, 99, 999, 9999]))),),
        "team": _drawing(_firsts(tables, "team_name")),
        "clock": _clock,
    }
