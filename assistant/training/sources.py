"""Readers of the permissive data sets, from a folder outside the project, with their licences and hashes."""

import csv
import hashlib
import json
import random
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from assistant.evaluation.feelings import LabelledText, goemotions, valence_of
from assistant.training.documents import (
    NAMED_SPEAKER_WEIGHT,
    NO_WEIGHT,
    USER_WEIGHT,
    Document,
    Turn,
    feeling_document,
    valence_document,
)

CLEAR_NAMES = {
    "sadness",
    "grief",
    "remorse",
    "disappointment",
    "fear",
    "nervousness",
    "anger",
    "annoyance",
    "joy",
    "gratitude",
    "excitement",
    "love",
    "pride",
}

# Never in anything the model is taught to say; a text that contains one is dropped (or, for labels, not imitated).
FORBIDDEN = re.compile(
    r"f+u+c+k|\bshit|bitch|\bcunt|nigg|\bfag|\brap(e|ist)\b|\bporn|\bsex|\bdick|\bcock\b|pussy|whore|slut|retard|\bkill|suicid|"
    r"\bnazi|\bass\b|asshole|bastard|\bcum\b|\bdamn|\bhell\b|\bcrap|\bdrunk|\bgun\b|\bterroris|\bholocaust|\btrump\b|"
    r"\bwtf\b|\bstfu\b|\bdie\b|\bmurder|\bdead\b|\bhoe\b|\bnude",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Source:
    """One data set: what it is used for, and where it comes from."""

    name: str
    files: tuple[str, ...]
    licence: str
    origin: str
    use: str


CORPORA_FILES = [
    *(
        f"humans/{name}"
        for name in ("celebrities", "scientists", "britishActors", "wrestlers", "authors", "occupations")
    ),
    *(f"animals/{name}" for name in ("dog_names", "common")),
    *(f"geography/{name}" for name in ("us_cities", "english_towns_cities", "norwegian_cities")),
    *(
        f"foods/{name}"
        for name in ("fruits", "fish", "herbs_n_spices", "breads_and_pastries", "vegetables", "menuItems")
    ),
    *(f"colors/{name}" for name in ("xkcd", "crayola")),
    *(f"objects/{name}" for name in ("objects", "clothing")),
]
SOURCES = [
    Source(
        "GoEmotions",
        ("goemotions/go_train.tsv",),
        "Apache-2.0",
        "Google's GoEmotions by way of monologg/GoEmotions-pytorch",
        "feeling labels; first turns of feeling dialogues",
    ),
    Source(
        "Synthetic-Persona-Chat",
        ("spc/spc_valid.csv", "spc/spc_test.csv"),
        "CC-BY-4.0",
        "google-research-datasets/Synthetic-Persona-Chat",
        "dialogues of two named speakers",
    ),
    Source(
        "CLINC-150",
        ("clinc/clinc.json",),
        "CC-BY-3.0",
        "clinc/oos-eval",
        "user phrasings of small talk; out-of-scope phrasings answered with 'I don't know'",
    ),
    Source(
        "PersonalityChat",
        ("smalltalk/pc_Friendly.tsv", "smalltalk/pc_Professional.tsv"),
        "MIT",
        "Microsoft PersonalityChat",
        "small talk",
    ),
    Source(
        "Corpora",
        tuple(f"corpora/{file}.json" for file in CORPORA_FILES),
        "CC0-1.0",
        "dariusk/corpora",
        "names of people, places, jobs and things that users tell; capitals",
    ),
    Source(
        "VADER's lexicon",
        ("vader/vader_lexicon.txt",),
        "MIT",
        "vaderSentiment 3.3.2 (Hutto and Gilbert, 2014)",
        "words of a known valence",
    ),
    Source(
        "Small talk phrasings",
        ("smalltalk/st_kb.tsv",),
        "ISC",
        "a port of Dialogflow's small talk agent",
        "user phrasings of small talk",
    ),
]


def hashes(data: Path) -> list[dict]:
    """Every source with the sha256 of its files, for the model card."""
    return [
        {
            "name": s.name,
            "licence": s.licence,
            "origin": s.origin,
            "use": s.use,
            "files": {file: hashlib.sha256((data / file).read_bytes()).hexdigest() for file in s.files},
        }
        for s in SOURCES
    ]


def goemotions_documents(data: Path, rng: random.Random) -> Iterator[Document]:
    """`Feeling:` documents of the training split, the fine label behind ours; a foul comment is read, not imitated."""
    for row in goemotions(data, "train"):
        weight = NO_WEIGHT if FORBIDDEN.search(row.text) else USER_WEIGHT
        label = row.label if row.label == row.fine else f"{row.label}, {row.fine}"
        text = row.text if rng.random() < 0.6 else row.text.lower() if rng.random() < 0.6 else row.text.rstrip(".!?")
        yield feeling_document("goemotions", text or row.text, label, weight)


def goemotions_valence_documents(data: Path, rng: random.Random) -> Iterator[Document]:
    """The same comments by their valence; surprise may be either, so it counts as neutral, as it is measured."""
    for row in goemotions(data, "train"):
        weight = NO_WEIGHT if FORBIDDEN.search(row.text) else USER_WEIGHT
        text = row.text if rng.random() < 0.7 else row.text.lower()
        yield valence_document("goemotions_valence", text, valence_of(row.label), weight)


def clear_feelings(data: Path) -> list[LabelledText]:
    """Short, clean training comments of an unmistakable feeling in the first person, to be answered by the grammar."""
    first_person = re.compile(r"\b(I|I'm|my|me|we)\b")
    return [
        row
        for row in goemotions(data, "train")
        if row.fine in CLEAR_NAMES
        and 12 <= len(row.text) <= 110
        and first_person.search(row.text)
        and not FORBIDDEN.search(row.text)
        and "Sam" not in row.text
        and "http" not in row.text
    ]


def persona_chat_documents(data: Path, names: list[str], rng: random.Random) -> Iterator[Document]:
    """Dialogues of two named speakers, cut into pieces of at most eight turns."""
    for split in ("valid", "test"):
        with (data / f"spc/spc_{split}.csv").open(encoding="utf-8", newline="") as file:
            conversations = [row["Best Generated Conversation"] for row in csv.DictReader(file)]
        for conversation in conversations:
            first, second = rng.sample(names, 2)
            text = conversation.replace("User 1:", f"{first}:").replace("User 2:", f"{second}:")
            lines = [line.strip() for line in text.splitlines() if line.strip()]
            for start in range(0, len(lines), 8):
                piece = "".join(f"{line}\n\n" for line in lines[start : start + 8])
                if not FORBIDDEN.search(piece):
                    yield Document("persona_chat", ((piece, NAMED_SPEAKER_WEIGHT),))


UNWANTED_PERSONALITY = re.compile(
    r"Abusive|Sexual|Marry|Love|Boss|Opinion_User|Suicide|Kill|Ugly|Fired|WorldDomination", re.IGNORECASE
)


def personality_chat(data: Path) -> list[Turn]:
    """Questions and answers of the friendly and the professional voice."""
    turns = []
    for voice in ("Friendly", "Professional"):
        with (data / f"smalltalk/pc_{voice}.tsv").open(encoding="utf-8-sig", newline="") as file:
            for row in csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE):
                question, answer = row["Question"], row["Answer"]
                clean = question and answer and not FORBIDDEN.search(question + answer)
                if clean and not UNWANTED_PERSONALITY.search(row["Metadata"] or ""):
                    turns.append((question.strip(), answer.strip()))
    return turns


def clinc_phrasings(data: Path) -> dict[str, list[str]]:
    """Intent -> training phrasings; the out-of-scope ones (of every split but the test's) under `oos`."""
    sets = json.loads((data / "clinc/clinc.json").read_text())
    phrasings: dict[str, list[str]] = {}
    for part in ("train", "val", "oos_train", "oos_val"):
        for text, intent in sets[part]:
            if not FORBIDDEN.search(text):
                phrasings.setdefault(intent, []).append(text)
    return phrasings


def smalltalk_phrasings(data: Path) -> dict[str, list[str]]:
    """Small talk intent (such as `smalltalk.agent.age`) -> user phrasings."""
    phrasings: dict[str, list[str]] = {}
    for line in (data / "smalltalk/st_kb.tsv").read_text(encoding="utf-8").splitlines()[1:]:
        fields = line.split("\t")
        if len(fields) >= 2 and not FORBIDDEN.search(fields[0]):
            phrasings.setdefault(fields[1], []).append(fields[0])
    return phrasings
