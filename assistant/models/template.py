"""Chat templates: the exact text around turns that RWKV chat models were trained on.

Source: BlinkDL's `API_DEMO_CHAT.py` and the model cards of RWKV-7 World and G1.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from assistant.errors import UsageError

BLANK_LINES = re.compile(r"\n\s*\n")
THOUGHT_END = "</think>"


@dataclass(frozen=True, slots=True)
class Template:
    """`System: ...`, `User: ...`, `Assistant:`, with blank lines between; a reply starts with a space.

    `stops`: what ends a reply. `thinks`: the model knows think mode. `calls_tools`: it was trained on tool calls,
    in the format of `tool_calls`. `bos`: every context begins with it.
    """

    name: str
    stops: tuple[str, ...]
    thinks: bool = False
    calls_tools: bool = False
    separator: str = "\n\n"  # between the end of a reply and the next `User:`
    bos: tuple[int, ...] = (0,)

    def opening(self, system: str) -> str:
        """The text before the first turn; empty without a system prompt."""
        system = one_paragraph(system)
        return f"System: {system}{self.separator}" if system else ""

    def user_turn(self, text: str, think: bool | None = None) -> str:
        """A question, up to where the model's reply begins.

        think True opens a thought, False writes an empty one so that the answer comes at once; None leaves
        the choice to the model. Ignored by models that know no think mode.
        """
        turn = f"User: {one_paragraph(text)}{self.separator}Assistant:"
        if think is None or not self.thinks:
            return turn
        return turn + (" <think" if think else " <think>\n</think")

    def split_reply(self, text: str, think: bool | None = None) -> tuple[str, str]:
        """Generated text -> (thought, answer); `think` as it was given to `user_turn`.

        The prefix leaves out the tag's last `>`, so that text begins with it.
        """
        if think is not None and self.thinks:
            text = text.removeprefix(">")
        body = text.lstrip()
        opened = think is True and self.thinks
        if not opened and body.startswith("<think>"):
            body, opened = body.removeprefix("<think>"), True
        if not opened:
            return "", body.rstrip()
        thought, _, answer = body.partition(THOUGHT_END)
        return thought.strip(), answer.strip()

    def clean_reply(self, text: str, think: bool | None = None) -> str:
        """The answer alone, without the leading space of a reply and without a thought."""
        return self.split_reply(text, think)[1]


def one_paragraph(text: str) -> str:
    """Unix line ends, no blank lines: a blank line ends a turn, so with one a user could forge turns."""
    return BLANK_LINES.sub("\n", text.replace("\r\n", "\n").replace("\r", "\n")).strip()


NEXT_TURN = ("\n\nUser:", "\n\nSystem:")
TEMPLATES = {
    template.name: template
    for template in (
        Template("embedded", stops=("\n\n",)),
        Template("world", stops=NEXT_TURN),
        Template("g1", stops=NEXT_TURN, thinks=True, calls_tools=True),
    )
}


def template_named(name: str) -> Template:
    """Raises UsageError for a name that is not in TEMPLATES."""
    try:
        return TEMPLATES[name]
    except KeyError:
        hint = f"Choose from {', '.join(TEMPLATES)}"
        raise UsageError(f"unknown chat template {name!a}", hint=hint) from None


def guess_template(file_name: str) -> str:
    """The G1 series carries its name in the file name; other published chat models follow World."""
    return "g1" if re.search(r"(?i)(?<![a-z0-9])g1[a-z]?(?![a-z0-9])", file_name) else "world"
