"""A small parser of arithmetic in signs and words, exact wherever the result is rational, bounded whatever is typed.

sum     = product { ("+" | "-") product }            a + 15 % is a with 15 % of itself
product = sign { ("*" | "/" | "mod" | "of" | "off") sign }
sign    = "-" sign | power
power   = postfix [ "^" sign ]
postfix = atom { "!" | "%" | "degrees" | "squared" | "cubed" }
atom    = number | constant | function atom | "(" sum ")"
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, replace
from fractions import Fraction

from assistant.errors import SkillError
from assistant.skills.language import DIGITS, NUMBER, number

MAX_BITS = 12_000  # of a result: 3,600 digits, written in microseconds
MAX_TOKENS, MAX_DEPTH, MAX_FACTORIAL = 200, 40, 1000
EXACT_DIGITS = 40  # longer whole numbers are rounded when shown
FUNCTIONS = {"sqrt", "cbrt", "sin", "cos", "tan", "asin", "acos", "atan", "ln", "log", "log2", "exp", "abs",
             "factorial", "round", "floor", "ceil"}  # fmt: skip
CONSTANTS = {"pi": math.pi, "π": math.pi, "tau": math.tau, "e": math.e}
PORTIONS = {"half": 2, "third": 3, "quarter": 4, "fifth": 5, "tenth": 10}
_WORDS = [  # (pattern, token); longer ones first
    (r"(?:the )?square root(?: of)?|√", "sqrt"), (r"(?:the )?cube root(?: of)?|∛", "cbrt"),
    (r"(?:the )?factorial of", "factorial"), (r"(?:the )?(?:sine|cosine|tangent) of", None),
    (r"(?:raised )?to the power(?: of)?|\*\*|\^", "^"), (r"divided by|÷|/", "/"),
    (r"multiplied by|times|×|·|\*|x(?= ?[\d(.])", "*"), (r"plus|\+", "+"), (r"minus|-", "-"),
    (r"modulo|mod\b", "mod"), (r"percent|per cent|%", "%"), (r"factorial\b", "!"),
    (r"degrees?|°", "degrees"), (r"squared|²", "squared"),
    (r"cubed|³", "cubed"), (r"off\b", "off"), (r"of\b", "of"), (r"!", "!"), (r"\(", "("), (r"\)", ")"),
]  # fmt: skip
_TOKEN = re.compile(
    rf" *(?:(?P<portion>(?:an? |one[ -]|the )?(?:half|third|quarter|fifth|tenth)(?= of\b))|(?P<number>{NUMBER})(?![\w])"
    rf"|(?P<digits>{DIGITS})|(?P<function>(?:{'|'.join(sorted(FUNCTIONS, key=len, reverse=True))})(?= ?\(| [\d(.]))"
    rf"|(?P<constant>(?:pi|tau|π|e)\b)|{'|'.join(f'(?P<w{i}>{p})' for i, (p, _) in enumerate(_WORDS))})", re.I,
)  # fmt: skip


class NotArithmetic(Exception):
    """The text is something else."""


@dataclass(frozen=True, slots=True)
class Value:
    """A Fraction is exact, a float is rounded; the marks last until the next operation."""

    n: Fraction | float
    percent: bool = False
    degrees: bool = False
    portion: bool = False


def tokens(text: str) -> list[tuple[str, object]]:
    """[(kind, value)]. Raises NotArithmetic at the first thing that does not belong there."""
    found: list[tuple[str, object]] = []
    at, text = 0, text.rstrip()
    while at < len(text):
        part = _TOKEN.match(text, at)
        if not part or len(found) >= MAX_TOKENS or part.end() == at:
            raise NotArithmetic
        at, kind, word = part.end(), part.lastgroup, part[part.lastgroup]
        if kind in ("number", "digits"):
            value = number(word)
            if value is None:
                raise NotArithmetic
            found.append(("number", Value(value)))
        elif kind == "portion":
            found.append(("number", Value(Fraction(1, PORTIONS[re.split("[ -]", word.lower())[-1]]), portion=True)))
        elif kind == "constant":
            found.append(("constant", Value(CONSTANTS[word.lower()])))
        elif kind == "function":
            found.append(("function", word.lower()))
        else:
            token = (
                _WORDS[int(kind[1:])][1] or {"s": "sin", "c": "cos", "t": "tan"}[word.lower().replace("the ", "")[0]]
            )
            found.append(("function", token) if token in FUNCTIONS else (token, None))
    return found


def evaluate(text: str) -> tuple[Fraction | float, int]:
    """(the result, how many operations). Raises NotArithmetic, and SkillError for what has no result or too large a
    one."""
    parser = _Parser(tokens(text))
    value = parser.sum(0)
    if parser.left:
        raise NotArithmetic
    return value.n, parser.operations


class _Parser:
    def __init__(self, found: list[tuple[str, object]]):
        self.left = found[::-1]
        self.operations = 0

    def _next(self, *kinds: str) -> str | None:
        if self.left and self.left[-1][0] in kinds:
            return self.left.pop()[0]
        return None

    def sum(self, depth: int) -> Value:
        value = self.product(depth)
        while sign := self._next("+", "-"):
            self.operations += 1
            right = self.product(depth)
            amount = multiply(value.n, right.n) if right.percent and not value.percent else right.n
            value = Value(add(value.n, amount if sign == "+" else -amount), percent=value.percent and right.percent)
        return value

    def product(self, depth: int) -> Value:
        value = self.sign(depth)
        while True:
            kind = self._next("*", "/", "mod", "of", "off")
            if kind is None and value.percent and self.left and self.left[-1][0] in ("number", "("):
                kind, value = "mod", Value(multiply(value.n, Fraction(100)))  # 17 % 5
            if kind is None and self.left and self.left[-1][0] in ("(", "constant"):
                kind = "*"  # 2 (3 + 4), 2 pi
            if kind is None:
                return value
            if (kind == "of" and not (value.percent or value.portion)) or (kind == "off" and not value.percent):
                raise NotArithmetic
            self.operations += 1
            right = self.sign(depth)
            if kind in ("*", "of"):
                value = Value(multiply(value.n, right.n))
            elif kind == "off":
                value = Value(multiply(add(Fraction(1), -value.n), right.n))
            else:
                value = Value((divide if kind == "/" else modulo)(value.n, right.n))

    def sign(self, depth: int) -> Value:
        if depth > MAX_DEPTH:
            raise NotArithmetic
        if self._next("-"):
            value = self.sign(depth + 1)
            return replace(value, n=-value.n)
        return self.power(depth)

    def power(self, depth: int) -> Value:
        value = self.postfix(depth)
        if self._next("^"):
            self.operations += 1
            return Value(power(value.n, self.sign(depth + 1).n))
        return value

    def postfix(self, depth: int) -> Value:
        value = self.atom(depth)
        while kind := self._next("!", "%", "degrees", "squared", "cubed"):
            if kind == "%":
                value = Value(divide(value.n, Fraction(100)), percent=True)
            elif kind == "degrees":
                value = replace(value, degrees=True)
            else:
                self.operations += 1
                exponent = {"squared": 2, "cubed": 3}.get(kind)
                value = Value(power(value.n, Fraction(exponent)) if exponent else factorial(value.n))
        return value

    def atom(self, depth: int) -> Value:
        if depth > MAX_DEPTH or not self.left:
            raise NotArithmetic
        kind, token = self.left.pop()
        if kind in ("number", "constant"):
            return token
        if kind == "(":
            value = self.sum(depth + 1)
            if not self._next(")"):
                raise NotArithmetic
            return value
        if kind == "function":
            self.operations += 1
            self._next("of")
            return Value(function(token, self.postfix(depth + 1)))
        raise NotArithmetic


# --- operations on exact and rounded numbers ---


def add(a: Fraction | float, b: Fraction | float) -> Fraction | float:
    return _bounded(a + b)


def multiply(a: Fraction | float, b: Fraction | float) -> Fraction | float:
    return _bounded(a * b)


def divide(a: Fraction | float, b: Fraction | float) -> Fraction | float:
    if b == 0:
        raise SkillError("a division by zero has no result")
    return _bounded(a / b)


def modulo(a: Fraction | float, b: Fraction | float) -> Fraction | float:
    if b == 0:
        raise SkillError("a division by zero has no remainder")
    return _bounded(a % b)


def power(base: Fraction | float, exponent: Fraction | float) -> Fraction | float:
    if base == 0 and exponent < 0:
        raise SkillError("a division by zero has no result")
    if isinstance(base, Fraction) and isinstance(exponent, Fraction):
        if exponent.denominator == 1:
            size = max(base.numerator.bit_length(), base.denominator.bit_length())
            if abs(base.numerator) != base.denominator and base and (size - 1) * abs(exponent.numerator) > MAX_BITS:
                raise _too_large()
            return Fraction(base) ** exponent.numerator if base else Fraction(int(exponent == 0))
        if exponent.denominator in (2, 3) and abs(exponent.numerator) == 1 and base >= 0:
            root = _root(base, exponent.denominator)
            return root if exponent > 0 else divide(Fraction(1), root)
    if base < 0 and exponent != int(exponent):
        raise SkillError("that power is not a real number", why="its base is negative and its exponent is broken")
    return _float(lambda: math.pow(base, exponent))


def factorial(n: Fraction | float) -> Fraction:
    if not isinstance(n, Fraction) or n.denominator != 1 or n < 0:
        raise SkillError("a factorial is of a whole number from 0 on")
    if n > MAX_FACTORIAL:
        raise _too_large()
    return Fraction(math.factorial(n.numerator))


def function(name: str, value: Value) -> Fraction | float:
    n = value.n
    if name in ("sqrt", "cbrt"):
        if n < 0 and name == "sqrt":
            raise SkillError("the square root of a negative number is not a real number")
        return -_root(-n, 3) if n < 0 else _root(n, 2 if name == "sqrt" else 3)
    if name == "factorial":
        return factorial(n)
    if name == "abs":
        return abs(n)
    if name in ("round", "floor", "ceil"):
        return Fraction({"round": lambda x: math.floor(x + Fraction(1, 2)), "floor": math.floor,
                         "ceil": math.ceil}[name](n))  # fmt: skip
    if value.degrees and name in ("sin", "cos", "tan"):
        if (exact := _of_degrees(name, n)) is not None:
            return exact
        n = math.radians(n)
    if n <= 0 and name in ("ln", "log", "log2"):
        raise SkillError("a logarithm is of a number above zero")
    if abs(n) > 1 and name in ("asin", "acos"):
        raise SkillError(f"{name} is of a number from -1 to 1")
    if name == "log" and isinstance(n, Fraction) and n.denominator == 1:
        digits = len(str(n.numerator)) - 1
        if n == 10**digits:
            return Fraction(digits)
    return _float(lambda: {"ln": math.log, "log": math.log10}.get(name, getattr(math, name, None))(n))


def _of_degrees(name: str, n: Fraction | float) -> Fraction | None:
    """Sine, cosine and tangent where they are rational (Niven's theorem). Raises SkillError for tan 90°."""
    if not isinstance(n, Fraction):
        return None
    if name == "tan":
        if n % 180 == 90:
            raise SkillError("the tangent of 90 degrees has no value")
        return {0: Fraction(0), 45: Fraction(1), 135: Fraction(-1)}.get(n % 180)
    n = (n + 90 if name == "cos" else n) % 360
    half = Fraction(1, 2)
    return {0: Fraction(0), 30: half, 90: Fraction(1), 150: half, 180: Fraction(0), 210: -half, 270: Fraction(-1),
            330: -half}.get(n)  # fmt: skip


def _root(n: Fraction | float, degree: int) -> Fraction | float:
    """Exact if numerator and denominator are whole powers."""
    if isinstance(n, Fraction):
        parts = [_whole_root(part, degree) for part in (n.numerator, n.denominator)]
        if None not in parts:
            return Fraction(*parts)
    return _float(lambda: math.sqrt(n) if degree == 2 else math.pow(n, 1 / 3))


def _whole_root(n: int, degree: int) -> int | None:
    root = math.isqrt(n) if degree == 2 else round(math.pow(n, 1 / 3)) if n.bit_length() < 150 else 0
    return root if root**degree == n else None


def _float(make) -> float:
    try:
        value = make()
    except (OverflowError, ValueError):
        raise _too_large() from None
    if math.isinf(value) or math.isnan(value):
        raise _too_large()
    return value


def _bounded(value: Fraction | float) -> Fraction | float:
    if isinstance(value, Fraction):
        if max(value.numerator.bit_length(), value.denominator.bit_length()) > MAX_BITS:
            raise _too_large()
        return value
    return _float(lambda: value)


def _too_large() -> SkillError:
    return SkillError("that number is too large to be written", why=f"it has more than {MAX_BITS * 3 // 10:,} digits")


# --- showing ---


def show(value: Fraction | float) -> str:
    """ "= 12", "= 1/3 ≈ 0.333333333333", "≈ 1.41421356237": exact and rounded do not look alike."""
    if isinstance(value, float):
        return f"≈ {_rounded(value)}"
    n, d = value.numerator, value.denominator
    if d == 1:
        digits = len(str(abs(n)))
        return f"= {n:,}" if digits <= EXACT_DIGITS else f"≈ {_scientific(value)} ({digits:,} digits)"
    places = next((k for k in range(1, 16) if 10**k % d == 0), None)
    if places:
        whole, rest = divmod(abs(n) * 10**places // d, 10**places)
        return f"= {'-' if n < 0 else ''}{whole:,}.{rest:0{places}}"
    ratio = f"{n:,}/{d:,}"
    about = _rounded(value)
    return f"= {ratio} ≈ {about}" if len(ratio) <= EXACT_DIGITS else f"≈ {about}"


def _rounded(value: Fraction | float) -> str:
    try:
        number_ = float(value)
    except OverflowError:
        return _scientific(value)
    if number_ == 0 and value:
        return _scientific(value)
    if isinstance(value, float) and abs(number_) < 1e-15:
        return "0"  # sin(pi)
    text = f"{number_:.12g}"
    return f"{float(text):,.12g}" if "e" not in text else text.replace("e+", " × 10^").replace("e-", " × 10^-")


def _scientific(value: Fraction) -> str:
    """Six digits and an exponent, for what no float holds."""
    sign, value = "-" if value < 0 else "", abs(value)
    exponent = len(str(value.numerator)) - len(str(value.denominator))
    if value < Fraction(10) ** exponent:
        exponent -= 1
    digits = round(value / Fraction(10) ** exponent * 100000)
    return f"{sign}{digits / 100000:g} × 10^{exponent}"
