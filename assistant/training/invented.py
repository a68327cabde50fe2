"""Slots whose values are drawn rather than listed: numbers, and names of things that do not exist."""

import random

_ONSETS = [
    "b",
    "br",
    "c",
    "ch",
    "d",
    "dr",
    "f",
    "fl",
    "g",
    "gl",
    "gr",
    "h",
    "j",
    "k",
    "kl",
    "kr",
    "l",
    "m",
    "n",
    "p",
    "pr",
    "qu",
    "r",
    "s",
    "sh",
    "sk",
    "st",
    "t",
    "th",
    "tr",
    "v",
    "w",
    "x",
    "y",
    "z",
    "zh",
]
_VOWELS = ["a", "e", "i", "o", "u", "ai", "ea", "ee", "oo", "ou", "y"]
_CODAS = ["", "", "", "l", "m", "n", "r", "s", "x", "th", "nd", "rk", "ck", "zz"]
_PLACE_ENDINGS = ["ia", "land", "stan", "burg", "ville", "ora", "mar", "grad", "ton", "esh"]
_THING_ENDINGS = ["ium", "or", "ix", "oid", "tron", "meter", "ism", "ase", "ite", "el", "ology"]


def _syllables(rng: random.Random, count: int) -> str:
    parts = (rng.choice(_ONSETS) + rng.choice(_VOWELS) + rng.choice(_CODAS) for _ in range(count))
    return "".join(parts)


def invented_word(rng: random.Random) -> tuple[str]:
    """A pronounceable word that means nothing, such as `brealix`."""
    return (_syllables(rng, rng.choice([1, 1, 2])) + rng.choice(_THING_ENDINGS),)


def invented_place(rng: random.Random) -> tuple[str]:
    """A country or city that does not exist, such as `Shoumarland`."""
    return ((_syllables(rng, rng.choice([1, 2])) + rng.choice(_PLACE_ENDINGS)).capitalize(),)


def invented_name(rng: random.Random) -> tuple[str]:
    """A first name the model cannot have learnt by heart, so that it learns to copy names."""
    return (_syllables(rng, rng.choice([1, 2, 2])).capitalize(),)


def invented_person(rng: random.Random) -> tuple[str]:
    """A first and a last name of nobody in particular."""
    return (f"{invented_name(rng)[0]} {_syllables(rng, 2).capitalize()}",)


def small_number(rng: random.Random) -> tuple[str]:
    """A number of one to three digits, small ones more often."""
    return (str(rng.randint(0, rng.choice([12, 12, 99, 99, 999]))),)


def year(rng: random.Random) -> tuple[str]:
    """A year people ask about."""
    return (str(rng.randint(1100, 2030)),)


DRAWN_TABLES = {
    "invented_word": invented_word,
    "invented_place": invented_place,
    "invented_name": invented_name,
    "invented_person": invented_person,
    "number": small_number,
    "year": year,
}
