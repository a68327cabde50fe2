"""Arithmetic, exactly: 0.1 + 0.2 is 0.3."""

from __future__ import annotations

import re

from assistant import wire
from assistant.skills import arithmetic
from assistant.skills.arithmetic import NotArithmetic
from assistant.skills.base import Context
from assistant.skills.language import NUMBER, said

_LEAD = re.compile(
    r"(?P<strong>(?:please )?(?:calculate|compute|evaluate|work out|how much is|how much are|what does)(?= |:):? +)"
    r"|(?P<weak>(?:what(?:'s| is| are)|how many is|what(?=.* is$)) +(?:the (?:result|value|answer) (?:of|to) +)?)",
    re.I,
)  # fmt: skip
_END = re.compile(r" *(?:=|equals?|make|is)$", re.I)
_STARTS = re.compile(r"(?:the )?(?:remainder|sum|product|difference|add|subtract|multiply|divide|what|square|cube|sine"
                     r"|cosine|tangent|factorial|[a-z]{2,9} ?\(|[\d.(+√∛π-]|half|third|quarter|a |an |one[ -](?:half"
                     r"|third)"
                     rf"|{NUMBER}\b|pi\b|minus |sqrt|cbrt|log|ln|sin|cos|tan|exp|abs|e\b)", re.I)  # fmt: skip
_N = rf"-?{NUMBER}"
_SHARE_OF = re.compile(rf"what (?:percent|percentage) of (?P<whole>{_N}) is (?P<part>{_N})", re.I)
_IS_SHARE = re.compile(rf"(?P<part>{_N}) is what (?:percent|percentage) of (?P<whole>{_N})", re.I)
_PHRASES = [  # said in another order than it is written
    (rf"the remainder of ({_N}) (?:divided by|/) ({_N})", r"(\1) mod (\2)"),
    (rf"(?:the )?sum of ({_N}),? and ({_N})", r"(\1) + (\2)"),
    (rf"(?:the )?product of ({_N}),? and ({_N})", r"(\1) * (\2)"),
    (rf"(?:the )?difference (?:between|of) ({_N}) and ({_N})", r"(\1) - (\2)"),
    (rf"add ({_N}) (?:and|to) ({_N})", r"(\2) + (\1)"),
    (rf"subtract ({_N}) from ({_N})", r"(\2) - (\1)"),
    (rf"multiply ({_N}) (?:by|with|and) ({_N})", r"(\1) * (\2)"),
    (rf"divide ({_N}) by ({_N})", r"(\1) / (\2)"),
    (_SHARE_OF.pattern, r"100 * (\g<part>) / (\g<whole>)"),
    (_IS_SHARE.pattern, r"100 * (\g<part>) / (\g<whole>)"),
]
_PHRASES = [(re.compile(pattern, re.I), order) for pattern, order in _PHRASES]
_COMPACT = re.compile(r"\+?\w+(?:[/x:.-]\w+)+", re.I)
"""A score, a date, a telephone number, a size: 24/7, 9/11, 555-1234, 4x4, 7-eleven."""
_BARE_BANG = re.compile(r"\d+!")


class Calculator:
    """Sums in figures and in words."""

    name = "calculator"
    help = "arithmetic in figures or words: percent, powers, roots, sines, fractions"
    examples = ("what is 15 % of 80", "twelve times seven", "0.1 + 0.2")

    def answer(self, text: str, context: Context) -> wire.SkillAnswer | None:
        spoken = said(text)
        expression = re.sub(r"\$ ?(?=\d)|(?<=\d) (?:dollars|euros)\b", "", spoken.text)
        lead = _LEAD.match(expression)
        strong = bool(lead and lead["strong"])
        # "what percentage of 60 is 12" begins like a question word and is a phrase of ours
        expression = expression[lead.end() :] if lead else expression
        ended = _END.search(expression)
        if ended:
            if not lead and ended[0].strip() != "=":
                return None
            expression = expression[: ended.start()]
            strong = strong or ended[0].strip().lower() != "is"
        if not expression or not _STARTS.match(expression):
            return None
        if not strong and (_is_a_name(expression, bool(lead)) or (not lead and _BARE_BANG.fullmatch(expression))):
            return None
        written = expression
        for pattern, order in _PHRASES:
            if pattern.fullmatch(expression):
                written = pattern.sub(order, expression)
                break
        try:
            value, operations = arithmetic.evaluate(written)
        except NotArithmetic:
            return None
        if not operations:
            return None
        result, shown = arithmetic.show(value), re.sub(r"^the ", "", expression, flags=re.I)
        if (share := _SHARE_OF.fullmatch(shown)) or (share := _IS_SHARE.fullmatch(shown)):
            text = f"{share['part']} is {result.removeprefix('= ')} % of {share['whole']}"
        else:
            text = f"{shown[:1].upper() + shown[1:] if re.match('[a-z]+ ', shown) else shown} {result}"
        return wire.SkillAnswer(skill=self.name, text=text)


def _is_a_name(expression: str, asked: bool) -> bool:
    """Whether it is more likely the name of something than a sum. Asked for as a sum, a quotient is one all the same if
    it can be no date, no season and no division of a hundred."""
    if not _COMPACT.fullmatch(expression):
        return False
    quotient = re.fullmatch(r"(\d+)/(\d+)", expression)
    if not asked or not quotient:
        return True
    a, b = int(quotient[1]), int(quotient[2])
    return max(a, b) <= 31 or a + b == 100 or 1900 <= a <= 2100
