"""Spelling and definitions, by the programs that this machine has: hunspell or aspell, WordNet or dict."""

from __future__ import annotations

import re
import shutil
import subprocess

from assistant import wire
from assistant.errors import SkillError
from assistant.skills.base import Context
from assistant.skills.language import Rules, plural, said

LIMIT_S = 3.0
LONGEST_DEFINITION = 1200
_WORD = r"[\"']?(?P<word>[a-z][a-z'-]{0,40})[\"']?"
_NOT_WORDS = {"me", "yourself", "it", "that", "this", "you", "us", "them", "her", "him", "myself", "out"}
RULES = Rules(
    letters=r"how many (?P<letter>[a-z])'?s (?:are|is)(?: there)? in (?:the word )?[\"']?(?P<among>[a-z]{1,40})[\"']?",
    spell=rf"(?:how (?:do|would|should|can) (?:you|i|we) (?:correctly |properly )?spell(?: out)?"
    rf"|spell(?: out)?(?: the word)?"
    rf"|(?:i (?:don't know|forget|forgot) )?how to (?:correctly |properly )?spell|the (?:right|proper) way to spell"
    rf"|what(?:'s| is) the (?:right|proper|correct) way to spell"
    rf"|(?:what(?:'s| is) )?the (?:correct|right) spelling of|what(?:'s| is) the spelling of|spelling of"
    rf"|check the spelling of)(?: the word)? {_WORD}",
    spelled=rf"how is (?:the word )?{_WORD} spell(?:ed|t)|is (?:the word )?[\"']?(?P<check>[a-z][a-z'-]{{0,40}})[\"']?"
    r" (?:spell(?:ed|t) (?:correctly|right)|correctly spell(?:ed|t)|the (?:right|correct) spelling)",
    define=rf"define(?: the word)? {_WORD}|(?:what(?:'s| is) )?the (?:dictionary )?definition of(?: the word)?"
    r" [\"']?(?P<of>[a-z][a-z'-]{0,40})[\"']?|definition of [\"']?(?P<of2>[a-z][a-z'-]{0,40})[\"']?"
    r"|what does the word [\"']?(?P<does>[a-z][a-z'-]{0,40})[\"']? mean"
    r"|look up (?:the word )?[\"']?(?P<up>[a-z][a-z'-]{0,40})[\"']? in (?:the|a|your) dictionary",
)  # fmt: skip


class Dictionary:
    """Asks the installed programs; nothing is sent anywhere."""

    name = "dictionary"
    help = "spelling (hunspell, aspell) and definitions (WordNet, dict), where they are installed"
    examples = ("how do you spell accomodate", "define serendipity")

    def answer(self, text: str, context: Context) -> wire.SkillAnswer | None:
        body = re.sub(r",? (?:please|thanks|for me)$", "", said(text).body.rstrip("?!. "), flags=re.I)
        found = RULES.match(body)  # as it was written: slips are what it is asked about
        if not found:
            return None
        rule, groups = found
        if rule == "letters":
            among, letter = groups["among"], groups["letter"].lower()
            text = f'"{among}" has {plural(among.lower().count(letter), "letter")} {letter}.'
            return wire.SkillAnswer(skill=self.name, text=text)
        word = next(value for value in groups.values() if value)
        if word.lower() in _NOT_WORDS:
            return None
        answer = _define(word) if rule == "define" else _spelling(word)
        return wire.SkillAnswer(skill=self.name, text=answer)


def _spelling(word: str) -> str:
    """By the ispell protocol that both programs speak: `*` is right, `&` is wrong with suggestions, `#` without."""
    for command in (["hunspell", "-a"], ["aspell", "-a"]):
        if shutil.which(command[0]):
            break
    else:
        hint = "install hunspell with hunspell-en-us, or aspell with aspell-en, from your distribution"
        raise SkillError("no spelling dictionary is installed here", hint=hint)
    lines = _run(command, f"^{word}\n").splitlines()[1:]  # the first tells the version; ^: the line is no command
    line = next((line for line in lines if line), "")
    if line[:1] in ("*", "+", "-"):
        return f'"{word}" is spelled correctly.'
    if line[:1] == "&":
        guesses = line.partition(": ")[2].split(", ")[:5]
        return f'"{guesses[0]}".' + (f" It could also be {', '.join(guesses[1:])}." if guesses[1:] else "") + (
            f' ("{word}" is not in the dictionary.)')  # fmt: skip
    if line[:1] == "#":
        return f'"{word}" is not in the dictionary, and no word is near to it.'
    raise SkillError(f"{command[0]} has no dictionary to look in", hint="install hunspell-en-us or aspell-en")


def _define(word: str) -> str:
    if shutil.which("wn"):
        text = _run(["wn", word, "-over"], "", any_exit=True)
    elif shutil.which("dict"):
        text = _run(["dict", "--host", "localhost", word], "", any_exit=True)  # a dictd of this machine only
    else:
        raise SkillError("no dictionary of meanings is installed here",
                         hint="install wordnet (the program wn), or dict with dictd and a dictionary")  # fmt: skip
    text = re.sub(r"\n\s*\n\s*", "\n", text).strip()
    if not text:
        return f'The dictionary has no "{word}".'
    return text if len(text) <= LONGEST_DEFINITION else text[:LONGEST_DEFINITION].rsplit("\n", 1)[0] + "\n..."


def _run(command: list[str], given: str, any_exit: bool = False) -> str:
    """What a program says; it gets a word that is letters only, and no shell. Raises SkillError."""
    try:
        done = subprocess.run(command, input=given, capture_output=True, text=True, timeout=LIMIT_S, errors="replace")
    except (OSError, subprocess.TimeoutExpired) as error:
        raise SkillError(f"{command[0]} did not answer", why=error) from error
    if done.returncode and not any_exit:
        why = done.stderr.strip().splitlines()
        raise SkillError(f"{command[0]} could not look it up", why=why[0] if why else f"exit code {done.returncode}")
    return done.stdout
