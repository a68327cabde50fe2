"""How people really type: lower case, missing marks, contractions, small openers and typos."""

import random
import re

OPENERS = [
    "Hey, ",
    "Well, ",
    "So, ",
    "Um, ",
    "Okay, ",
    "Hmm, ",
    "Please, ",
    "By the way, ",
    "Hi, ",
    "Oh, ",
    "And ",
    "But ",
    "Also, ",
    "Honestly, ",
    "Actually, ",
    "Quick question: ",
    "I was wondering, ",
    "Just curious, ",
    "One more thing: ",
    "You know, ",
]
CLOSERS = [", please", " please", ", thanks", " lol", "...", "!!", ", you know", " haha", " :)", "??", " btw"]
CONTRACTIONS = [
    ("I am ", "I'm "),
    ("I have ", "I've "),
    (" do not ", " don't "),
    (" did not ", " didn't "),
    (" cannot ", " can't "),
    ("What is ", "What's "),
    ("Who is ", "Who's "),
    (" it is ", " it's "),
    ("It is ", "It's "),
    (" is not ", " isn't "),
    ("You are ", "You're "),
    (" will not ", " won't "),
    ("I will ", "I'll "),
    (" does not ", " doesn't "),
]
KEEPS_CAPITAL = re.compile(r"^(I|I'm|I've|I'll|[A-Z]{2,})\b")


def _swap_contractions(text: str, rng: random.Random) -> str:
    for long_form, short_form in CONTRACTIONS:
        if long_form in text:
            return text.replace(long_form, short_form)
        # "I've a dog" style errors are avoided: only safe forms are written out again.
        if short_form in text and rng.random() < 0.3:
            return text.replace(short_form, long_form)
    return text


def _typo(text: str, rng: random.Random) -> str:
    if len(text) < 8:
        return text
    at = rng.randrange(1, len(text) - 2)
    kind = rng.randrange(3)
    if kind == 0:
        return text[:at] + text[at + 1] + text[at] + text[at + 2 :]
    if kind == 1:
        return text[:at] + text[at + 1 :]
    return text[:at] + text[at] + text[at:]


def as_typed(text: str, rng: random.Random) -> str:
    """A user's sentence as somebody might have typed it; about a third stay as written."""
    if rng.random() < 0.3:
        text = _swap_contractions(text, rng)
    if rng.random() < 0.10:
        opener = rng.choice(OPENERS)
        text = opener + (text if KEEPS_CAPITAL.match(text) else text[:1].lower() + text[1:])
    if rng.random() < 0.35:
        text = text.rstrip(".!?") or text
    if rng.random() < 0.05:
        text = text.rstrip(".!?") + rng.choice(CLOSERS)
    if rng.random() < 0.35:
        text = text.lower()
    if rng.random() < 0.08:
        text = text.replace("'", "")
    if rng.random() < 0.06:
        text = _typo(text, rng)
    if rng.random() < 0.01:
        text = text.upper()
    return text
