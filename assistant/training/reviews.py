"""Short texts of a known valence: words of VADER's lexicon, and remarks about products, films, days and news.

They teach the `Valence:` interface what GoEmotions' comments do not: how people rate things. The lexicon (Hutto and
Gilbert, 2014; MIT) gives the words their mean rating; the sentences around them are ours.
"""

import random
from collections.abc import Iterator
from pathlib import Path

from assistant.training.documents import NO_WEIGHT, USER_WEIGHT, Document, valence_document
from assistant.training.noise import as_typed
from assistant.training.sources import FORBIDDEN

LEXICON_FILE = "vader/vader_lexicon.txt"
CLEAR_RATING = 0.8  # |mean rating| (-4..4) from which a word counts as positive or negative
POSITIVE, NEGATIVE, NEUTRAL = "positive", "negative", "neutral"
OPPOSITE = {POSITIVE: NEGATIVE, NEGATIVE: POSITIVE}

_THINGS = """battery|screen|camera|sound|keyboard|strap|zipper|manual|software|price|case|remote|charger|lens|display|fan|
picture quality|router|player|phone|printer|design|button|menu|support|delivery|packaging|film|movie|plot|cast|ending|
script|acting|dialogue|soundtrack|first half|second half|director|story|humor|pacing|romance|thriller|comedy|documentary|
book|song|album|concert|game|service|hotel|room|food|coffee|staff|weather|traffic|weekend|party|team|match|city|plan|
idea|speech|law|budget|economy|deal|report|decision|new model|old version|update|website|app|interface|warranty"""
_GOOD = """great|excellent|superb|lovely|wonderful|brilliant|solid|sturdy|reliable|crisp|sharp|easy to use|fast|quiet|
comfortable|well made|worth every cent|a joy|a pleasure|delightful|charming|funny|moving|gripping|clever|fresh|honest|
beautiful|impressive|perfect|fine|nice|better than expected|flawless|smooth|a bargain|a winner|top notch|warm|touching|
inspired|fascinating|first-rate|a masterpiece|enjoyable|helpful|friendly|generous|tasty|clean|thoughtful|bright"""
_BAD = """awful|terrible|poor|cheap|flimsy|useless|unreliable|slow|noisy|blurry|a waste of money|a disappointment|broken|
defective|overpriced|confusing|clumsy|boring|dull|tedious|predictable|pointless|shallow|a mess|a letdown|annoying|ugly|
disappointing|horrible|bad|worse than expected|flawed|weak|lame|sloppy|stale|pretentious|lifeless|overlong|a joke|
mediocre|frustrating|rude|dirty|cold|tasteless|unfair|harmful|dangerous|a scam|not worth it|a failure|sad|hollow"""
_GOOD_REMARKS = """I love it|I would buy it again|works like a charm|highly recommended|five stars|no complaints at all|
I couldn't put it down|made me laugh out loud|I can't wait for the next one|it exceeded my hopes|best one I ever had|
it does everything I need|it lasts for days|setup took two minutes|everyone in the family likes it|one of the best this year|
you won't regret it|it brought tears of joy to my eyes|I'm very pleased with it|a feast for the eyes|so proud of them|
had the best time tonight|finally some good news|what a win|thanks to everyone who came|the sun is out|new job tomorrow, yay|
they kept their promise|jobs are coming back|a step forward for all of us|peace at last|the patients recovered|
hope returns to the valley|worth seeing twice|sharp writing and fine performances|a warm and witty tale"""
_BAD_REMARKS = """I hate it|I want my money back|it broke after a week|stopped working the second day|do not buy this|
one star|save your money|I returned it|it never worked|the worst I ever had|it keeps crashing|it drops every call|
support never answered|I fell asleep halfway|I walked out|two hours of my life I won't get back|not funny at all|
it falls apart in the last act|it goes nowhere|the jokes fall flat|I regret buying it|it scratches easily|it overheats|
missed my bus, great|worst day ever|my head hurts|so tired of this|lost again|why does this always happen to me|
prices keep rising|people lost their homes|the talks failed|hundreds were injured|a blow to the poor|
the fire destroyed the village|trust is gone|all style and no heart|a wasted cast|nobody cares"""
_NEUTRAL_REMARKS = """it comes with a cable and a bag|I bought it in May|the film runs for two hours|it is made of plastic|
the box holds three of them|it has four buttons|the story is set in Norway|the second part comes out in autumn|
the meeting is on Tuesday|they met in Geneva|it replaces the older model|the report has forty pages|I use it at work|
my brother has the same one|the train leaves at nine|on my way home|what time is the game|reading the paper|
the vote is next week|he was born in Ohio|the store is on Main Street|there are two versions|it uses four batteries|
it was filmed in black and white|the director also wrote the script|it weighs about a pound|he lives in the capital"""
_MORE = ["", "", "", "very ", "really ", "so ", "extremely ", "pretty ", "absolutely ", "simply ", "just "]


def _list(text: str) -> list[str]:
    return [part.strip() for part in text.replace("\n", " ").split("|")]


THINGS, GOOD, BAD = _list(_THINGS), _list(_GOOD), _list(_BAD)
WORDS = {POSITIVE: GOOD, NEGATIVE: BAD}
REMARKS = {POSITIVE: _list(_GOOD_REMARKS), NEGATIVE: _list(_BAD_REMARKS), NEUTRAL: _list(_NEUTRAL_REMARKS)}


def lexicon(data: Path) -> list[tuple[str, float]]:
    """Word (or emoticon) and mean rating of VADER's lexicon; empty where the data folder lacks it."""
    path = data / LEXICON_FILE
    if not path.exists():
        return []
    rows = (line.split("\t") for line in path.read_text(encoding="utf-8").splitlines())
    return [(row[0], float(row[1])) for row in rows if len(row) > 1]


def valence_of_rating(rating: float) -> str | None:
    """positive, negative, or None for a word that is neither clearly."""
    return POSITIVE if rating >= CLEAR_RATING else NEGATIVE if rating <= -CLEAR_RATING else None


def remark(rng: random.Random) -> tuple[str, str]:
    """One remark and its valence: of two halves with `but` between them the second counts, and `not` turns it."""
    sign = rng.choice([POSITIVE, NEGATIVE])
    thing, other = rng.sample(THINGS, 2)
    word, against = rng.choice(WORDS[sign]), rng.choice(WORDS[OPPOSITE[sign]])
    more = "" if word.startswith(("a ", "not ", "worth", "better", "worse")) else rng.choice(_MORE)
    kind = rng.random()
    if kind < 0.30:
        text = f"{rng.choice(['The', 'This', 'Their', 'My'])} {thing} is {more}{word}."
    elif kind < 0.42:
        text = f"The {thing} {rng.choice(['is not', 'was never', 'isn’t exactly', 'is anything but'])} {against}."
    elif kind < 0.55:
        text = f"The {thing} is {against}, but {rng.choice(['the ' + other, 'in the end it'])} is {more}{word}."
    elif kind < 0.65:
        text = f"The {thing} is {word} and {rng.choice(REMARKS[sign])}."
    elif kind < 0.85:
        text = f"{rng.choice(REMARKS[sign])}{rng.choice(['.', '!', ''])}"
    else:
        sign, text = NEUTRAL, f"{rng.choice(REMARKS[NEUTRAL])}."
        if rng.random() < 0.5:
            text = f"About the {thing}: {text}"
    return text[:1].upper() + text[1:].replace("’", "'"), sign


def valence_documents(data: Path, rng: random.Random, remarks: int, word_repeats: int) -> Iterator[Document]:
    """Words of the lexicon, alone and in a sentence, and composed remarks, each with its valence."""
    for _ in range(remarks):
        text, sign = remark(rng)
        yield valence_document("remarks", as_typed(text, rng), sign)
    for _ in range(word_repeats):
        for word, rating in lexicon(data):
            sign = valence_of_rating(rating)
            if sign:
                frame = rng.choice(["{}", "{}", "That's {}", "so {}", "{} and more {}", "It felt {} to me", "just {}"])
                weight = NO_WEIGHT if FORBIDDEN.search(word) else USER_WEIGHT
                yield valence_document("lexicon", frame.format(word, word), sign, weight)
