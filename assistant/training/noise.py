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
SYNONYMS = [  # a word, and what may stand for it wherever it stands
    "big|large|huge",
    "little|small|tiny",
    "tell me|let me know|say",
    "favorite|favourite",
    "color|colour",
    "mother|mum|mom",
    "mom|mum",
    "dad|father",
    "movie|film",
    "kids|children",
    "angry|mad|furious",
    "scared|afraid|frightened",
    "happy|glad",
    "sad|unhappy",
    "tired|exhausted|worn out",
    "nice|lovely|pleasant",
    "great|wonderful|fantastic",
    "awful|terrible|horrible",
    "really|truly|so",
    "very|really",
    "maybe|perhaps",
    "friend|mate|pal|buddy",
    "apartment|flat",
    "flat|apartment",
    "vacation|holiday",
    "store|shop",
    "boss|manager|supervisor",
    "exam|test",
    "yelled|shouted|screamed",
    "fight|argument|row",
    "begin|start",
    "finished|done",
    "fast|quick",
    "smart|clever|bright",
    "stupid|dumb|silly",
    "speak|talk",
    "chat|talk",
    "answer|reply",
    "help|assist",
    "can you|could you|are you able to",
    "please|kindly",
    "thanks|thank you|cheers",
    "bye|goodbye",
    "hi|hello|hey",
    "internet|web|net",
    "computer|machine|PC",
    "phone|mobile",
    "car|vehicle",
    "sick|ill|unwell",
    "doctor|physician",
    "street|road",
    "city|town|place",
    "remember|recall",
    "called|named",
    "know|happen to know",
    "think|believe|reckon",
    "worried|anxious",
    "nervous|anxious|on edge",
    "annoying|irritating",
    "broke|smashed",
    "trash|garbage|rubbish",
    "gross|disgusting|nasty",
    "tonight|this evening",
    "house|home",
    "girlfriend|partner",
    "boyfriend|partner",
    "grandma|grandmother|granny|nan",
    "grandpa|grandfather|grandad",
    "roommate|flatmate",
    "neighbor|neighbour",
    "cannot|can't",
    "going to|gonna",
    "want to|wanna",
    "because|cause|since|as",
    "what is|what's|whats",
    "how about|what about",
    "a lot|much|loads",
    "often|frequently",
    "right now|at the moment|just now",
    "died|passed away",
    "crying|weeping",
    "funny|amusing",
    "weird|strange|odd",
    "beautiful|pretty",
    "money|cash",
    "soccer|football",
    "cookie|biscuit",
    "candy|sweets",
    "mailbox|letterbox",
    "sidewalk|pavement",
    "couch|sofa",
    "TV|telly|television",
    "photo|picture",
    "surgery|operation",
    "hospital|clinic",
    "marvelous|splendid",
    "guy|man|bloke",
    "woman|lady",
    "exhausting|tiring",
    "moved|relocated",
    "explain|describe",
    "easy|simple",
    "everyone|everybody",
    "nobody|no one",
    "someone|somebody",
]
_EQUALS = {group.split("|")[0]: group.split("|")[1:] for group in SYNONYMS}
_KNOWN_WORD = re.compile(r"\b(" + "|".join(sorted(map(re.escape, _EQUALS), key=len, reverse=True)) + r")\b")
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


def _reworded(text: str, rng: random.Random) -> str:
    """Some words for others that mean the same."""
    return _KNOWN_WORD.sub(lambda word: rng.choice(_EQUALS[word[0]]) if rng.random() < 0.4 else word[0], text)


def as_typed(text: str, rng: random.Random, exact: bool = False) -> str:
    """A user's sentence as somebody might have typed it; about a third stay as written.

    `exact`: it tells something that will be repeated, so no word of it is changed or misspelt.
    """
    if not exact and rng.random() < 0.35:
        text = _reworded(text, rng)
    if rng.random() < 0.3:
        text = _swap_contractions(text, rng)
    if rng.random() < 0.10:
        opener = rng.choice(OPENERS)
        text = opener + (text if KEEPS_CAPITAL.match(text) else text[:1].lower() + text[1:])
    if rng.random() < 0.35:
        text = text.rstrip(".!?") or text
    if rng.random() < 0.05:
        text = text.rstrip(".!?") + rng.choice(CLOSERS)
    if rng.random() < (0.1 if exact else 0.25):
        text = text.lower()
    if not exact and rng.random() < 0.08:
        text = text.replace("'", "")
    if not exact and rng.random() < 0.08:
        text = _typo(text, rng)
    if not exact and rng.random() < 0.01:
        text = text.upper()
    return text
