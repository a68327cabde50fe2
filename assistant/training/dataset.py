"""Assembling the data set: grammar dialogues and permissive sets into documents, a vocabulary and packed rows."""

import json
import random
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from assistant.errors import UsageError
from assistant.evaluation.battery import ProbeFilter
from assistant.evaluation.limits import out_of_scope_test
from assistant.evaluation.tone import HEAVY
from assistant.training import sources
from assistant.training.dialogues import GRAVE, DialogueWriter
from assistant.training.documents import (
    CONTEXT,
    TURN_END,
    USER,
    Document,
    Turn,
    chat_document,
    feeling_document,
    pack,
    save_rows,
)
from assistant.training.grammar import Grammar, is_held_out, load_grammar
from assistant.training.noise import as_typed
from assistant.training.reviews import valence_documents
from assistant.training.vocabulary import Tokenizer, read_vocabulary, trim, world_vocabulary_file, write_vocabulary

BLOCK_OF_FEELING = {  # which feelings block answers a GoEmotions comment of this fine label
    "sadness": "sad",
    "grief": "sad",
    "remorse": "guilty",
    "disappointment": "disappointed",
    "fear": "scared",
    "nervousness": "nervous",
    "anger": "angry",
    "annoyance": "angry",
    "joy": "happy",
    "gratitude": "grateful",
    "excitement": "excited",
    "love": "happy",
    "pride": "proud",
}


@dataclass(frozen=True)
class Amounts:
    """How many documents of each kind are written; the defaults give about 30 million tokens."""

    dialogues: int = 300_000
    written_feelings: int = 40_000
    answered_comments: int = 15_000
    comment_repeats: int = 3
    personality_repeats: int = 4
    out_of_scope_repeats: int = 4
    remarks: int = 25_000
    lexicon_repeats: int = 2
    held_out_dialogues: int = 1_500


def extra_phrasings(grammar: Grammar, data: Path) -> dict[str, list[str]]:
    """Block name -> phrasings of the permissive sets, where a block asks for them by `clinc:` or `small:` lines."""
    by_key = {"clinc": sources.clinc_phrasings(data), "small": sources.smalltalk_phrasings(data)}
    extra: dict[str, list[str]] = {}
    for blocks in grammar.blocks.values():
        for block in blocks:
            for key, table in by_key.items():
                for intent in block.all(key):
                    wanted = [text for text in table[intent] if not is_held_out(text)]
                    extra.setdefault(block.name, []).extend(text[:1].upper() + text[1:] for text in wanted)
    return extra


def _answered_comments(grammar: Grammar, data: Path, rng: random.Random, count: int) -> Iterator[Document]:
    """Real comments of a clear feeling, answered as the grammar answers that feeling."""
    writer = DialogueWriter(grammar, rng)
    blocks = {block.name.split(".")[1]: block for block in grammar.blocks["feelings"]}
    comments = sources.clear_feelings(data)
    for _ in range(count if comments else 0):
        comment = rng.choice(comments)
        reply = writer.comfort(blocks[BLOCK_OF_FEELING[comment.fine]], (), {})
        yield chat_document("answered_comments", [(as_typed(comment.text, rng), reply)])


def _out_of_scope(grammar: Grammar, data: Path, rng: random.Random, repeats: int) -> Iterator[Document]:
    """Requests nobody should expect this model to fulfil, answered by saying so."""
    by_name = {block.name.split(".", 1)[1]: block for block in grammar.blocks["limits"]}
    writer = DialogueWriter(grammar, rng)
    test = out_of_scope_test(data)
    requests = [text for text in test[: len(test) // 2] if not sources.FORBIDDEN.search(text)]
    requests += sources.clinc_phrasings(data).get("oos", [])
    for _ in range(repeats):
        for text in rng.sample(requests, len(requests)):
            reply = writer.reply(by_name["unknown"].all("reply"), {})
            yield chat_document("out_of_scope", [(as_typed(text[:1].upper() + text[1:], rng), reply)])


def _personality(turns: list[Turn], rng: random.Random, repeats: int) -> Iterator[Document]:
    for _ in range(repeats):
        order = rng.sample(turns, len(turns))
        while order:
            taken, order = order[:2], order[2:]
            yield chat_document("personality_chat", [(as_typed(user, rng), reply) for user, reply in taken])


def training_documents(grammar: Grammar, data: Path | None, seed: int, amounts: Amounts) -> Iterator[Document]:
    """All training documents; without a data folder only those of the grammar."""
    rng = random.Random(seed)
    extra = extra_phrasings(grammar, data) if data else {}
    writer = DialogueWriter(grammar, rng, extra_phrasings=extra)
    for _ in range(amounts.dialogues):
        yield chat_document("grammar", writer.dialogue())
    for _ in range(amounts.written_feelings):
        yield feeling_document("written_feelings", *writer.feeling_sentence())
    for _ in range(amounts.written_feelings // 4):
        file = rng.choice(["smalltalk", "facts", "limits"])
        # Who asks for help in need, or is beaten, feels something: not a word of that is neutral.
        turns, _ = writer.exchange(rng.choice([block for block in grammar.blocks[file] if block.name not in GRAVE]))
        yield feeling_document("written_feelings", turns[0][0], "neutral")
    if data is None:
        return
    for _ in range(amounts.comment_repeats):
        yield from sources.goemotions_documents(data, rng)
    yield from sources.goemotions_valence_documents(data, rng)
    yield from valence_documents(grammar, data, rng, amounts.remarks, amounts.lexicon_repeats)
    yield from _answered_comments(grammar, data, rng, amounts.answered_comments)
    yield from _out_of_scope(grammar, data, rng, amounts.out_of_scope_repeats)
    yield from _personality(sources.personality_chat(data), rng, amounts.personality_repeats)
    names = [row[0] for row in grammar.tables["first_name"]]
    yield from sources.persona_chat_documents(data, names, rng)


def held_out_documents(grammar: Grammar, seed: int, amounts: Amounts) -> Iterator[Document]:
    """Dialogues by another seed that use only phrasings the training set never saw."""
    writer = DialogueWriter(grammar, random.Random(seed + 1_000_003), held_out=True)
    for _ in range(amounts.held_out_dialogues):
        yield chat_document("held_out", writer.dialogue())


def without_probes(documents: Iterator[Document]) -> Iterator[Document]:
    """Leave out every document in which the user says what the probe battery says, or nearly so."""
    probes, known = ProbeFilter(also=HEAVY), {}
    for document in documents:
        said = [text.split(TURN_END)[0].removeprefix(USER) for text, _ in document.segments if text.startswith(USER)]
        for text in said:
            if text not in known:
                known[text] = probes.resembles(text)
        if not any(known[text] for text in said):
            yield document


def deduplicated(documents: Iterator[Document], most: int = 3) -> list[Document]:
    """Every text at most `most` times: short exchanges would otherwise crowd out the rest."""
    seen: Counter[str] = Counter()
    kept = []
    for document in documents:
        text = document.text
        seen[text] += 1
        if seen[text] <= most:
            kept.append(document)
    return kept


def build(
    out: Path,
    data: Path | None,
    seed: int = 0,
    vocabulary_size: int = 4096,
    amounts: Amounts | None = None,
    context: int = CONTEXT,
    vocabulary_file: Path | None = None,
) -> dict:
    """Write vocabulary, training and held-out rows and `data.json` into `out`; return the contents of the latter.

    Raises UsageError unless `out` is new or empty: rows that a run has mapped must not change under it.
    """
    amounts = amounts or Amounts()
    if out.exists() and any(out.iterdir()):
        raise UsageError(f"{out} is not empty", why="a run may be reading rows from it", hint="Name a new folder")
    out.mkdir(parents=True, exist_ok=True)
    grammar = load_grammar(data=data)
    documents = deduplicated(without_probes(training_documents(grammar, data, seed, amounts)))
    held_out = deduplicated(held_out_documents(grammar, seed, amounts), most=1)
    rng = random.Random(seed)
    if vocabulary_file:
        tokens = read_vocabulary(vocabulary_file)
    else:
        sample = rng.sample(documents, min(len(documents), 60_000))
        tokens = trim(
            read_vocabulary(world_vocabulary_file()), (text for d in sample for text, _ in d.segments), vocabulary_size
        )
    write_vocabulary(out / "vocab.txt", tokens)
    tokenizer = Tokenizer(tokens)
    train, test = pack(documents, tokenizer, rng, context), pack(held_out, tokenizer, rng, context)
    save_rows(out, "train", train)
    save_rows(out, "held_out", test)
    per_source: Counter[str] = Counter()
    count, characters = Counter(d.source for d in documents), 0
    for document in documents:
        per_source[document.source] += sum(len(tokenizer.encode(text)) for text, _ in document.segments)
        characters += len(document.text.encode())
    summary = {
        "seed": seed,
        "vocabulary": len(tokens) + 1,
        "context": context,
        "rows": len(train.tokens),
        "held_out_rows": len(test.tokens),
        "tokens": sum(per_source.values()),
        "bytes_per_token": round(characters / sum(per_source.values()), 3),
        "filled": round(sum(per_source.values()) / train.tokens.size, 3),
        "documents_by_source": dict(count),
        "tokens_by_source": dict(per_source),
        "sources": sources.hashes(data) if data else [],
    }
    (out / "data.json").write_text(json.dumps(summary, indent=1))
    return summary
