"""Dialogues written from the grammar: exchanges, follow-ups, facts recalled later, feelings and their causes."""

import random

from assistant.training.documents import Turn
from assistant.training.grammar import Bindings, Block, Grammar, count_expansions, phrasings
from assistant.training.noise import as_typed

FEELINGS_FILE = "feelings"
MEMORY_FILE = "memory"
TALKS_FILE = "talks"
SHARES = {  # of the exchanges; a file that is not named here gets nothing
    "smalltalk": 0.14,
    "self": 0.09,
    "daily": 0.09,
    "facts": 0.18,
    "limits": 0.13,
    MEMORY_FILE: 0.20,
    FEELINGS_FILE: 0.17,
    TALKS_FILE: 0.07,
}
BARE_SHARE = 0.2  # of the feelings with causes: said without one
MISREAD_SHARE = 0.04
MISREAD = [
    "I'm not {heard}, I'm {meant}",
    "I didn't say I'm {heard}, I said {meant}",
    "No, not {heard}. I feel {meant}",
    "You got me wrong, I'm {meant}, not {heard}",
    "No no, I meant {meant}",
    "{heard}? No, {meant}",
    "Did I say {heard}? I'm {meant}",
]
GOES_ON_SHARE = 0.2  # of the feelings: a second cause follows in a turn of its own
FIX_SHARE = 0.3  # of the things told that are corrected right away
UNKNOWN_SHARE = 0.12  # of the memory exchanges that ask for what was never told
FACTS_DAMPING = 0.8  # a table of 300 rows is not asked 300 times as often as a single fact
GRAVE = {
    f"limits.{name}" for name in ("crisis", "emergency", "harm", "harm_more", "violence", "abuse_of_user", "medical")
}
GRAVE_WEIGHT = 6.0  # rare in a dialogue, and the worst to answer wrongly
GRAVE_FEELINGS = {f"feelings.{name}" for name in ("diagnosis", "sudden_death", "violence", "everything_lost")}
GRAVE_FEELINGS_WEIGHT = 3.0  # many events in one block, and a cheerful word for any of them is the worst there is
EXCHANGES_PER_DIALOGUE = [1, 1, 1, 2, 2, 2, 3, 3, 4]
LABEL_QUESTIONS = [
    "How do I sound?",
    "What do you think I feel?",
    "How do I feel?",
    "Can you tell how I feel?",
    "What am I feeling?",
    "Which emotion is that?",
    "Guess my mood",
    "What is my mood?",
]
NAMED_LABELS = ["You sound {} to me.", "I think you feel {}.", "It seems to me you feel {}."]


class DialogueWriter:
    """Writes dialogues from one grammar and one random generator; `held_out`: only phrasings kept from training."""

    def __init__(
        self,
        grammar: Grammar,
        rng: random.Random,
        held_out: bool = False,
        extra_phrasings: dict[str, list[str]] | None = None,
    ):
        self.grammar, self.rng, self.held_out = grammar, rng, held_out
        self.extra_phrasings = extra_phrasings or {}
        self.files = [name for name in SHARES if grammar.blocks.get(name)]
        self.weights = [SHARES[name] for name in self.files]
        self.block_weights = {
            name: [self._weight(name, block) for block in grammar.blocks[name]] for name in self.files
        }

    def _weight(self, file: str, block: Block) -> float:
        """How often a block is drawn beside the others of its file: by its causes, or by the tables of a fact."""
        if file == FEELINGS_FILE:
            return max(1.0, len(block.pairs("cause", "care")) / 2)
        if file == MEMORY_FILE:
            return 3.0 if len(block.pairs("fix", "fixed")) else 1.0
        if block.name in GRAVE:
            return GRAVE_WEIGHT
        if block.name in GRAVE_FEELINGS:
            return GRAVE_FEELINGS_WEIGHT
        return self.grammar.block_weight(block) ** FACTS_DAMPING if file == "facts" else 1.0

    def user(self, templates: tuple[str, ...], bindings: Bindings, exact: bool = False) -> str:
        """A user's sentence from one of the phrasings, as typed; `exact`: no word of it may change."""
        choices = phrasings(templates, self.held_out)
        template = self.rng.choices(choices, [count_expansions(text) ** 0.5 for text in choices])[0]
        return as_typed(self.grammar.expand(template, self.rng, bindings), self.rng, exact)

    def reply(self, templates: tuple[str, ...], bindings: Bindings) -> str:
        return self.grammar.expand(self.rng.choice(templates), self.rng, bindings)

    def exchange(self, block: Block) -> tuple[list[Turn], list[Turn]]:
        """The turns of a plain block, and the turns that may come later in the dialogue."""
        rng, bindings = self.rng, {}
        extra = self.extra_phrasings.get(block.name, [])
        recalls = block.pairs("later", "recall")
        talk = block.pairs("turn", "back")
        exact = bool(recalls) or (bool(talk) and any("{" in text for text in block.all("user")))
        if extra and not self.held_out and rng.random() < 0.4:
            user = as_typed(rng.choice(extra), rng)
        else:
            user = self.user(block.all("user"), bindings, exact)
        turns = [(user, self.reply(block.all("reply"), bindings))]
        # A talk is one dialogue from its first turn to its last; `next` lines may come in any order or not at all.
        turns += [(self.user(said, bindings, exact), self.reply(back, bindings)) for said, back in talk]
        fixes = block.pairs("fix", "fixed")
        if fixes and rng.random() < FIX_SHARE:
            said, answered = rng.choice(fixes)
            turns.append((self.user(said, bindings, exact=True), self.reply(answered, bindings)))
            recalls = block.pairs("after", "aftered")
        else:
            follow_ups = block.pairs("next", "answer")
            while follow_ups and rng.random() < 0.55:
                said, answered = follow_ups.pop(rng.randrange(len(follow_ups)))
                turns.append((self.user(said, bindings), self.reply(answered, bindings)))
                if len(turns) > 2 or block.name.startswith("facts"):
                    break
        later = []
        while recalls and rng.random() < 0.85 and len(later) < 2:
            asked, recalled = recalls.pop(rng.randrange(len(recalls)))
            later.append((self.user(asked, bindings), self.reply(recalled, bindings)))
        return turns, later

    def never_told(self, block: Block) -> list[Turn]:
        """A question for something a memory block tells, when it was not told."""
        unknown = next(b for b in self.grammar.blocks[MEMORY_FILE] if b.all("about") == ("nothing",))
        asked, _ = self.rng.choice(block.pairs("later", "recall"))
        return [(self.user(asked, {}), self.reply(unknown.all("reply"), {}))]

    def feeling(self, block: Block) -> tuple[list[Turn], str]:
        """One to three turns about a feeling, and the feeling's label."""
        rng, bindings = self.rng, {}
        label = block.all("label")[0]
        said, cares = self._told(block, bindings)
        turns = [(as_typed(said, rng), self.comfort(block, cares, bindings))]
        if block.pairs("cause", "care") and rng.random() < GOES_ON_SHARE:
            again: Bindings = {}
            more, cares = self._told(block, again, rng.choice(["And {}", "{}", "{}", "On top of that, {}", "Also, {}"]))
            turns.append((as_typed(more, rng), self.comfort(block, cares, again)))
        if rng.random() < MISREAD_SHARE:
            turns.append(self._misread(block))
        follow_ups = block.pairs("next", "answer")
        if follow_ups and rng.random() < 0.45:
            user, answer = rng.choice(follow_ups)
            turns.append((self.user(user, bindings), self.reply(answer, bindings)))
        if block.all("emotion") != ("no",) and rng.random() < 0.06:
            named = rng.choice(NAMED_LABELS).format(label)
            turns.append((as_typed(rng.choice(LABEL_QUESTIONS), rng), named))
        return turns, label

    def _told(self, block: Block, bindings: Bindings, frame: str = "") -> tuple[str, tuple[str, ...]]:
        """What somebody with this feeling says, and the answers to the cause in it; `frame`: only a cause, in `{}`."""
        rng = self.rng
        causes, cares = rng.choice(block.pairs("cause", "care") or [((), ())])
        if causes and (frame or rng.random() >= BARE_SHARE):
            cause = rng.choice(phrasings(causes, self.held_out))
            said = frame.format("<cause>") or rng.choice(block.all("say"))
        else:
            cause, said = "", rng.choice(phrasings(block.all("bare"), self.held_out))
        said = self.grammar.expand(said, rng, bindings)
        has_cause = "<cause>" in said or "<Cause>" in said
        cause = self.grammar.expand(cause, rng, bindings)
        inner = cause if cause.startswith(("I ", "I'")) else cause[:1].lower() + cause[1:]
        said = said.replace("<cause>", inner).replace("<Cause>", cause)
        said = said.replace("<feel>", rng.choice(block.all("feel")))
        return said[:1].upper() + said[1:], cares if has_cause else ()

    def _misread(self, block: Block) -> Turn:
        """A user who feels something else than what was heard, and the apology."""
        other = self.rng.choice([b for b in self.grammar.blocks[FEELINGS_FILE] if b.all("label") != block.all("label")])
        heard, meant = (self.rng.choice(b.all("feel")) for b in (block, other))
        said = self.rng.choice(MISREAD).format(heard=heard, meant=meant)
        return as_typed(said, self.rng), f"Sorry, I misunderstood. {self.reply(other.all('ack'), {})}"

    def comfort(self, block: Block, cares: tuple[str, ...], bindings: Bindings) -> str:
        """An acknowledgement (of the cause where one was named), then a comforting word, a question, or both."""
        rng = self.rng
        first = cares if cares and rng.random() < 0.85 else block.all("ack")
        parts = [rng.choice(first)]
        shape = rng.random()
        if shape < 0.60:
            parts.append(rng.choice(block.all("comfort")))
        if shape > 0.40:
            parts.append(rng.choice(block.all("ask")))
        return " ".join(self.grammar.expand(part, rng, bindings) for part in parts)

    def feeling_sentence(self) -> tuple[str, str]:
        """A user's sentence and its label, for the `Feeling:` format."""
        blocks = [block for block in self.grammar.blocks[FEELINGS_FILE] if block.all("emotion") != ("no",)]
        turns, label = self.feeling(self.rng.choice(blocks))
        return turns[0][0], label

    def dialogue(self) -> list[Turn]:
        """A dialogue of one to about ten turns."""
        rng = self.rng
        turns: list[Turn] = []
        pending: list[Turn] = []
        told: set[str] = set()
        for _ in range(rng.choice(EXCHANGES_PER_DIALOGUE)):
            file = rng.choices(self.files, self.weights)[0]
            block = rng.choices(self.grammar.blocks[file], self.block_weights[file])[0]
            if file == FEELINGS_FILE:
                turns += self.feeling(block)[0]
                continue
            about = next(iter(block.all("about")), "")
            if about:
                # The same thing told twice, or asked for when it was told, would contradict itself.
                if about in told or (about == "nothing" and told):
                    continue
                told.add(about)
            if file == MEMORY_FILE and block.pairs("later", "recall") and rng.random() < UNKNOWN_SHARE:
                turns += self.never_told(block)
                continue
            exchange, later = self.exchange(block)
            turns += exchange
            pending += later
            if pending and rng.random() < 0.5:
                turns.append(pending.pop(rng.randrange(len(pending))))
        rng.shuffle(pending)
        return turns + pending or self.dialogue()
