"""Conversions between units; Pint knows what they are, the names that people use for them are here."""

from __future__ import annotations

import re
from fractions import Fraction
from functools import cache
from typing import Any

from assistant import wire
from assistant.errors import SkillError
from assistant.skills import arithmetic
from assistant.skills.base import Context
from assistant.skills.language import DIGITS, NUMBER, Rules, number, said

# kind -> Pint's name -> (how it is shown, names it goes by). Where a name is ambiguous the customary US unit is meant,
# as in Pint, and the answer says so.
_NAMES: dict[str, dict[str, tuple[str, str]]] = {
    "length": {
        "millimeter": ("mm", "mm millimeter millimetre"), "centimeter": ("cm", "cm centimeter centimetre"),
        "meter": ("m", "m meter metre"), "kilometer": ("km", "km kilometer kilometre"),
        "inch": ("in", "in inch inches"),
        "foot": ("ft", "ft foot feet"), "yard": ("yd", "yd yard"), "mile": ("miles", "mi mile"),
        "nautical_mile": ("nautical miles", "nmi nautical_mile"),
        "light_year": ("light years", "ly light_year lightyear"),
        "micrometer": ("µm", "µm um micrometer micron"), "nanometer": ("nm", "nm nanometer"),
        "astronomical_unit": ("au", "au astronomical_unit"),
    },
    "mass": {
        "milligram": ("mg", "mg milligram"), "gram": ("g", "g gram gramme"),
        "kilogram": ("kg", "kg kilo kilogram kilogramme"), "metric_ton": ("t", "t tonne metric_ton"),
        "ounce": ("oz", "oz ounce"), "pound": ("lb", "lb pound"), "stone": ("st", "st stone stones"),
        "short_ton": ("US tons", "ton us_ton short_ton"), "long_ton": ("long tons", "long_ton imperial_ton"),
        "carat": ("carats", "carat"), "microgram": ("µg", "µg ug microgram"),
    },
    "temperature": {
        "degC": ("°C", "°c c celsius centigrade degree_celsius degree_c degree_centigrade"),
        "degF": ("°F", "°f f fahrenheit degree_fahrenheit degree_f"), "kelvin": ("K", "k kelvin"),
    },
    "volume": {
        "milliliter": ("ml", "ml milliliter millilitre cc"), "centiliter": ("cl", "cl centiliter centilitre"),
        "deciliter": ("dl", "dl deciliter decilitre"), "liter": ("l", "l liter litre"),
        "cubic_meter": ("m³", "m3 m^3 m³ cubic_meter cubic_metre"), "gallon": ("US gallons", "gal gallon us_gallon"),
        "imperial_gallon": ("imperial gallons", "imperial_gallon uk_gallon"), "quart": ("US quarts", "qt quart"),
        "pint": ("US pints", "pint us_pint"), "imperial_pint": ("imperial pints", "imperial_pint uk_pint"),
        "cup": ("US cups", "cup us_cup"), "fluid_ounce": ("US fl oz", "fl_oz fluid_ounce floz"),
        "tablespoon": ("US tablespoons", "tbsp tablespoon"), "teaspoon": ("US teaspoons", "tsp teaspoon"),
        "cubic_foot": ("ft³", "ft3 ft^3 cubic_foot cubic_feet"), "cubic_inch": ("in³", "cubic_inch cubic_inches"),
    },
    "area": {
        "meter**2": ("m²", "m2 m^2 m² sqm square_meter square_metre"),
        "kilometer**2": ("km²", "km2 km^2 km² square_kilometer square_kilometre"), "hectare": ("ha", "ha hectare"),
        "acre": ("acres", "acre"), "foot**2": ("ft²", "ft2 ft^2 ft² sqft sq_ft square_foot square_feet"),
        "mile**2": ("square miles", "square_mile sq_mi"), "centimeter**2": ("cm²", "cm2 cm^2 cm² square_centimeter"),
        "inch**2": ("in²", "in2 in^2 sq_in square_inch square_inches"), "yard**2": ("yd²", "square_yard"),
    },
    "speed": {
        "kilometer/hour": ("km/h", "km/h kmh kph kmph kilometer_per_hour kilometers_per_hour kilometre_per_hour"),
        "mile/hour": ("mph", "mph mile_per_hour miles_per_hour"), "foot/second": ("ft/s", "ft/s feet_per_second"),
        "meter/second": ("m/s", "m/s meter_per_second meters_per_second metres_per_second"), "knot": ("kn", "kn knot"),
    },
    "time": {
        "millisecond": ("ms", "ms millisecond"), "microsecond": ("µs", "µs us microsecond"),
        "nanosecond": ("ns", "ns nanosecond"), "second": ("s", "s sec second"), "minute": ("min", "min minute"),
        "hour": ("h", "h hr hour"), "day": ("days", "day"), "week": ("weeks", "week"), "month": ("months", "month"),
        "year": ("years", "year"), "fortnight": ("fortnights", "fortnight"), "decade": ("decades", "decade"),
        "century": ("centuries", "century centuries"),
    },
    "data": {
        "bit": ("bits", "bit"), "byte": ("bytes", "byte"), "kilobyte": ("kB", "kB KB kilobyte"),
        "megabyte": ("MB", "MB megabyte"), "gigabyte": ("GB", "GB gigabyte gig"), "terabyte": ("TB", "TB terabyte"),
        "petabyte": ("PB", "PB petabyte"), "kibibyte": ("KiB", "KiB kibibyte"), "mebibyte": ("MiB", "MiB mebibyte"),
        "gibibyte": ("GiB", "GiB gibibyte"), "tebibyte": ("TiB", "TiB tebibyte"),
        "kilobit": ("kbit", "kbit kb kilobit"),
        "megabit": ("Mbit", "Mbit Mb megabit"), "gigabit": ("Gbit", "Gbit Gb gigabit"),
    },
    "energy": {
        "joule": ("J", "J joule"), "kilojoule": ("kJ", "kJ kilojoule"), "calorie": ("cal", "cal"),
        "kilocalorie": ("kcal", "kcal kilocalorie"), "watt_hour": ("Wh", "Wh watt_hour"),
        "kilowatt_hour": ("kWh", "kWh kilowatt_hour"), "megajoule": ("MJ", "MJ megajoule"),
        "Btu": ("BTU", "btu"), "electron_volt": ("eV", "eV electron_volt"),
    },
    "power": {
        "milliwatt": ("mW", "mW milliwatt"), "watt": ("W", "W watt"), "kilowatt": ("kW", "kW kilowatt"),
        "megawatt": ("MW", "MW megawatt"), "horsepower": ("hp", "hp horsepower"),
        "metric_horsepower": ("metric hp", "metric_horsepower ps"),
    },
    "pressure": {
        "pascal": ("Pa", "Pa pascal"), "hectopascal": ("hPa", "hPa hectopascal"),
        "kilopascal": ("kPa", "kPa kilopascal"),
        "bar": ("bar", "bar"), "millibar": ("mbar", "mbar millibar"), "psi": ("psi", "psi"),
        "atmosphere": ("atm", "atm atmosphere"), "mmHg": ("mmHg", "mmHg"),
    },
    "angle": {"degree": ("degrees", "degree"), "radian": ("radians", "rad radian")},
}  # fmt: skip


def _spellings(shown_by: dict[str, dict[str, tuple[str, str]]]) -> dict[str, tuple[str, str, str]]:
    """Every name and its plural -> (kind, Pint's name, how it is shown)."""
    table: dict[str, tuple[str, str, str]] = {}
    for kind, rows in shown_by.items():
        for pint_name, (shown, names) in rows.items():
            for name in names.split():
                table[name.replace("_", " ")] = (kind, pint_name, shown)
                first, _, rest = name.replace("_", " ").partition(" ")
                if len(name) > 2 or name in ("lb", "hr"):
                    table.setdefault(f"{name.replace('_', ' ')}s", (kind, pint_name, shown))
                if first == "degree":
                    table.setdefault(f"degrees {rest}".strip(), (kind, pint_name, shown))
    return table


TABLE = _spellings(_NAMES)
_LOWER = {name.lower(): found for name, found in reversed(TABLE.items())}
_U = r"[a-zµ°²³/^0-9_ ]{1,30}?"
_AMOUNT = rf"(?P<amount>-?{NUMBER}|an?|half an?|a half) ?(?P<unit>{_U})(?: (?:and )?(?P<more>{DIGITS}) ?(?P<sub>{_U}))?"
_TO = rf"(?P<to>{_U})"
RULES = Rules(
    convert=rf"(?:how (?:do|can|would) (?:you|i|we) )?(?:convert|change|turn) {_AMOUNT} (?:to|into|in) {_TO}",
    one=rf"(?:how (?:do|can|would) (?:you|i|we) |how to )?convert (?P<unit>{_U}) (?:to|into) {_TO}"
    rf"|(?:what(?:'s| is) )?the conversion (?:for|from|between|of) (?P<unit2>{_U}) (?:to|and|into) (?P<to2>{_U})",
    equal=rf"{_AMOUNT} (?:is|are|equals?)(?: equal to)? how many {_TO}",
    would=rf"what (?:would |will )?{_AMOUNT} (?:be in|is in|in) {_TO}(?: is)?",
    how_much=rf"(?:what(?:'s| is| are)|how (?:much|many|tall|long|far|heavy|hot|cold|big|fast|high|warm) (?:is|are))"
    rf" {_AMOUNT} (?:in|to|into) {_TO}",
    how_many=rf"(?:how many|what amount of) {_TO} (?:(?:(?:are|is) )?(?:there )?(?:in|make|to)|is|are) {_AMOUNT}",
    bare=rf"{_AMOUNT} (?:in|to|into|as) {_TO}",
)


_ONES = {"a": Fraction(1), "an": Fraction(1), "half a": Fraction(1, 2), "half an": Fraction(1, 2),
         "a half": Fraction(1, 2)}  # fmt: skip


class Units:
    """Lengths, weights, temperatures and the rest."""

    name = "units"
    help = "conversions between units of length, weight, temperature, volume, area, speed, time, data, energy ..."
    examples = ("convert 5 miles to km", "what is 72 °F in °C?", "how many ounces in a pound?")

    def answer(self, text: str, context: Context) -> wire.SkillAnswer | None:
        found = RULES.match(said(text).text)
        if not found:
            return None
        rule, g = found[0], {"sub": None, "unit2": None, "to2": None, "amount": None} | found[1]
        source, target = unit(g["unit"] or g["unit2"]), unit(g["to"] or g["to2"])
        sub = unit(g["sub"]) if g["sub"] else None
        if not source or not target or (g["sub"] and not sub):
            return None
        value = _ONES.get((g["amount"] or "a").lower()) or _signed(g["amount"])
        if value is None:
            return None
        if source[0] != target[0] or (sub and sub[0] != source[0]):
            if rule == "bare":  # "5 miles in a minute": more likely about something else
                return None
            raise SkillError(f"{source[2]} measure {source[0]} and {target[2]} measure {target[0]}",
                             hint="units of one kind can be converted")  # fmt: skip
        shown = _with(value, source[2])
        result = convert(value, source[1], target[1])
        if sub:
            result += convert(_signed(g["more"]), sub[1], target[1])
            shown += " " + _with(_signed(g["more"]), sub[2])
        return wire.SkillAnswer(skill=self.name, text=f"{shown} {_shown(result)} {_singular(target[2], result)}")


def unit(name: str) -> tuple[str, str, str] | None:
    """(kind, Pint's name, how it is shown). Case counts where it makes a difference (MB, Mb)."""
    name = " ".join(name.split())
    return TABLE.get(name) or _LOWER.get(name.lower())


def convert(amount: Fraction, source: str, target: str) -> Fraction:
    """Exact, as the definitions of the units are. Raises SkillError below the absolute zero."""
    quantity = _registry().Quantity(amount, source).to(target).magnitude
    result = quantity if isinstance(quantity, Fraction) else Fraction(quantity).limit_denominator(10**12)
    if source in _NAMES["temperature"] and _registry().Quantity(amount, source).to("kelvin").magnitude < 0:
        raise SkillError("there is no such temperature", why="it is below the absolute zero, -273.15 °C")
    return result


@cache
def _registry() -> Any:
    """Loaded with the first conversion: half a second that nobody else should pay. No cache on disk: it is a pickle."""
    import pint

    return pint.UnitRegistry(non_int_type=Fraction, cache_folder=None)


def _signed(text: str) -> Fraction | None:
    value = number(text.lstrip("-"))
    return -value if value is not None and text.startswith("-") else value


def _with(value: Fraction, shown: str) -> str:
    return f"{arithmetic.show(value).removeprefix('= ').removeprefix('≈ ')} {_singular(shown, value)}"


def _singular(shown: str, value: Fraction) -> str:
    """ "1 acre"; abbreviations have no plural."""
    return re.sub(r"(?<=[a-z]{2})s$", "", shown.replace("centuries", "centurys")) if value == 1 else shown


def _shown(value: Fraction) -> str:
    """Exact if it is short, else six digits."""
    exact = arithmetic.show(value)
    if exact.startswith("=") and "/" not in exact and len(exact) <= 16:
        return exact
    number_ = float(value)
    return f"≈ {number_:,.6g}" if 1e-4 <= abs(number_) < 1e6 else f"≈ {arithmetic.show(number_).removeprefix('≈ ')}"
