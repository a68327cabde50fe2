"""Published and assumed numbers of devices, each with its unit, source and confidence, from `profiles/**/*.toml`."""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass, fields
from functools import cache
from pathlib import Path
from typing import Any

CONFIDENCES = {"H": "primary source", "M": "secondary source", "L": "weak or assumed", "D": "derived"}


class UnknownProfile(KeyError):
    """There is no such profile, or no such number in it; the message suggests the nearest name."""

    def __str__(self) -> str:
        return self.args[0]


class BadProfile(ValueError):
    """A profile file is wrong; the message names file and key, and what to do."""


@dataclass(frozen=True, slots=True)
class Band:
    """A number known only between two ends; `low` is the end that costs less, whatever its size."""

    low: float
    mid: float
    high: float

    @staticmethod
    def of(value: float | Band) -> Band:
        return value if isinstance(value, Band) else Band(value, value, value)

    def __add__(self, other: float | Band) -> Band:
        o = Band.of(other)
        return Band(self.low + o.low, self.mid + o.mid, self.high + o.high)

    def __mul__(self, other: float | Band) -> Band:
        o = Band.of(other)
        return Band(self.low * o.low, self.mid * o.mid, self.high * o.high)

    def __truediv__(self, other: float | Band) -> Band:
        o = Band.of(other)
        return Band(self.low / o.low, self.mid / o.mid, self.high / o.high)

    def __rtruediv__(self, other: float) -> Band:
        return Band.of(other) / self

    __radd__, __rmul__ = __add__, __mul__

    def larger(self, other: Band) -> Band:
        """The larger of the two, end by end."""
        return Band(max(self.low, other.low), max(self.mid, other.mid), max(self.high, other.high))


@dataclass(frozen=True, slots=True)
class Quantity:
    """One number and how it is known."""

    value: float
    unit: str
    source: str
    confidence: str  # a key of CONFIDENCES
    low: float | None = None
    high: float | None = None

    @property
    def band(self) -> Band:
        return Band(self.value if self.low is None else self.low, self.value,
                    self.value if self.high is None else self.high)  # fmt: skip

    @property
    def assumed(self) -> bool:
        return "assumed" in self.source.lower()


class Profile:
    """The numbers of one device: `profile["chip.tiles"]` is a Quantity; other tables are read with `table`."""

    def __init__(self, data: dict[str, Any]):
        self.name, self.title = data["name"], data["title"]
        self.kind: str = data.get("kind", "chip")  # chip (simulated) | reference | cloud | host
        self._data = data

    def __getitem__(self, key: str) -> Quantity:
        """Raises UnknownProfile."""
        section, _, name = key.partition(".")
        try:
            return Quantity(**self._data[section][name])
        except (KeyError, TypeError):
            raise UnknownProfile(
                f"profile '{self.name}' has no number '{key}'{_near(key, dict(self.items()))}"
            ) from None

    def value(self, key: str) -> float:
        return self[key].value

    def band(self, key: str) -> Band:
        return self[key].band

    def table(self, key: str) -> dict[str, Any]:
        """A section as it is written, for tables that are not single numbers."""
        return self._data[key]

    def items(self) -> Iterator[tuple[str, Quantity]]:
        for section, table in self._data.items():
            if isinstance(table, dict):
                for name, entry in table.items():
                    if isinstance(entry, dict) and "value" in entry:
                        yield f"{section}.{name}", Quantity(**entry)

    def replaced(self, **values: float) -> Profile:
        """A copy with other values, `chip__tiles=108`, for what-if questions; they are marked as assumed."""
        data = {k: dict(v) if isinstance(v, dict) else v for k, v in self._data.items()}
        for key, value in values.items():
            section, _, name = key.partition("__")
            unit = self[f"{section}.{name}"].unit
            data[section][name] = {"value": value, "unit": unit, "source": "assumed: asked for", "confidence": "L"}
        return Profile(data)


@cache
def profile(name: str) -> Profile:
    """profiles/hardware/<name>.toml. Raises UnknownProfile."""
    known = [p.stem for p in (root() / "hardware").glob("*.toml")]
    if name not in known:
        raise UnknownProfile(f"there is no hardware profile '{name}'{_near(name, known)}")
    return Profile(read(f"hardware/{name}.toml"))


def names(kind: str) -> list[str]:
    """The hardware profiles of a kind, sorted."""
    return sorted(p.stem for p in (root() / "hardware").glob("*.toml") if profile(p.stem).kind == kind)


def check(file: Path) -> None:
    """Every number of a profile has a value, a unit, a source and a confidence. Raises BadProfile."""
    try:
        data = tomllib.loads(file.read_text("utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise BadProfile(f"the profile cannot be read ({file}): {error}") from error
    for key in ("name", "title"):
        if not isinstance(data.get(key), str):
            raise BadProfile(f"the profile has no '{key}' ({file}). Write {key} = \"...\" at the top")
    for section, table in data.items():
        for name, entry in table.items() if isinstance(table, dict) else ():
            if isinstance(entry, dict):
                _check_quantity(f"{section}.{name}", entry, file)


def _check_quantity(key: str, entry: dict[str, Any], file: Path) -> None:
    known = [f.name for f in fields(Quantity)]
    for part in entry:
        if part not in known:
            raise BadProfile(f"unknown part '{part}' of '{key}' ({file}){_near(part, known)}")
    for part in ("value", "unit", "source", "confidence"):
        if part not in entry:
            raise BadProfile(f"'{key}' has no {part} ({file}): no number without where it comes from")
    for part in ("value", "low", "high"):
        if part in entry and (isinstance(entry[part], bool) or not isinstance(entry[part], int | float)):
            raise BadProfile(f"'{part}' of '{key}' is no number ({file}): it says {entry[part]!r}")
    if entry["confidence"] not in CONFIDENCES:
        words = ", ".join(f"{k} {v}" for k, v in CONFIDENCES.items())
        raise BadProfile(f"confidence of '{key}' is {entry['confidence']!r} ({file}): choose from {words}")


@cache
def read(path: str) -> dict[str, Any]:
    """One TOML file under `profiles/`. Shared and cached: do not change it."""
    return tomllib.loads((root() / path).read_text("utf-8"))


@cache
def root() -> Path:
    """The folder `profiles`: in the wheel, or beside the packages in a checkout."""
    top = Path(__file__).resolve().parent.parent
    installed = top / "assistant" / "_data" / "profiles"
    return installed if installed.is_dir() else top / "profiles"


def _near(word: str, known: Any) -> str:
    near = difflib.get_close_matches(word, known, 1, 0.5)
    return f": did you mean '{near[0]}'?" if near else f"; there are: {', '.join(sorted(known))}"
