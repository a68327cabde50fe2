"""Words of crisis get a fixed answer, whatever the model would say: it is far too small to be trusted with them.

A grammar of plain statements in the first person, or about somebody close. It is meant to be right where it speaks,
because an answer like this to a joke about homework teaches people to read past it; it cannot find everything. The
answer knows no telephone number: which one is right depends on where the person is, and a wrong one is worse than none.
"""

from __future__ import annotations

import re

from assistant import wire
from assistant.skills.base import Context

FOR_YOU = (
    "I'm really sorry it hurts this much, and I'm glad you said it. I'm only a small program on this computer and "
    "can't help in an emergency, so please turn to a person now. If you might act on this, call your local emergency "
    "services or go to someone near you and ask them not to leave you alone. A doctor or a crisis line where you "
    "live is there for this too. If there is something within reach that you could hurt yourself with, move away "
    "from it. You don't have to carry this by yourself."
)
AT_ONCE = (
    "This is an emergency, even if you feel all right at the moment: please call your local emergency services now "
    "and tell them what you took and how much. Tell someone near you as well, unlock the door, and don't stay alone. "
    "I'm only a small program and can't call for you. Please do it now."
)
FOR_ANOTHER = (
    "That is serious, and it is good that you take it so. Stay with them if you safely can, or get someone there who "
    "can. If the danger is near, call your local emergency services now. You may ask them openly whether they think "
    "of suicide: asking does not put it into their mind, and listening helps. Bring in other people: family, a "
    "doctor, a crisis line where you live. I'm only a small program and can't do that for you, and you need not "
    "carry it alone."
)

_OFTEN = r"(?:(?:really|just|do|still|sometimes|honestly|only|so|truly|seriously|actually|kinda|badly|often|always) )*"
_HOW = r"(?: (?:right )?now| today| tonight| so (?:bad|badly|much)| anymore| already| too)*"
_MYSELF = r"(?:kill|hurt|harm|hang|shoot|drown|cut|poison|stab) myself"
_MYSELF_ING = r"(?:killing|hurting|harming|hanging|shooting|drowning|cutting|poisoning) myself"
_LIFE = (
    r"(?:end (?:it all|everything|my (?:own )?life)|take my (?:own )?life|commit suicide|jump in front of a (?:train|"
    r"car))"
)
_LIFE_ING = r"(?:ending (?:it all|my (?:own )?life)|taking my (?:own )?life|committing suicide|suicide)"
_THOUGHTS = (
    r"(?:suicidal (?:thoughts|ideation|feelings|urges)|thoughts of (?:suicide|killing myself|ending it)|urges? to "
    r"(?:kill|hurt|harm|cut) myself)"
)
_DIE = r"(?:die|be dead|be gone forever|disappear forever|stop living|never wake up(?: again)?)"
_I = r"\bi(?:'?m| am)?"
_END = r"(?=$|[.!?,;:…)]| (?:and|but|because|cause|since|so|if|when|please|help|i)\b)"
_WHO = (
    r"my (?:(?:best|close|little|older|younger|big|ex) ?)*(?:friend|brother|sister|mother|mom|mum|father|dad|son|"
    r"daughter|wife|husband|girlfriend|boyfriend|partner|cousin|roommate|flatmate|neighbou?r|classmate|colleague|"
    r"coworker|child|kid|student|uncle|aunt|grand(?:ma|pa|mother|father)|ex)"
)
_THEMSELVES = r"(?:kill|hurt|harm|hang) (?:himself|herself|themsel(?:f|ves))"

PILLS = re.compile(
    r"\bi(?:'ve| have)? (?:just )?(?:took|taken|swallowed) (?:all (?:of )?(?:my|the)|a (?:whole )?(?:bottle|box|"
    r"pack) of|way too many|too many|an overdose)\b(?:.{0,30}\b(?:pills|tablets|medication|painkillers|medicine)\b)?|"
    r"\bi(?:'ve| have)? (?:just )?(?:overdosed|cut my wrists|slit my wrists)\b"
)
PILLS_OBJECT = re.compile(r"overdose|pills|tablets|medication|painkillers|medicine|wrists")
SELF = [
    re.compile(pattern)
    for pattern in (
        rf"\bi {_OFTEN}(?:want|wanna|need|plan|intend|wish|have decided|would like) (?:to )?{_OFTEN}(?:{_MYSELF}|"
        rf"{_LIFE})",
        rf"\bi'd like to (?:{_MYSELF}|{_LIFE})",
        rf"\bi {_OFTEN}(?:want|wanna|wish) (?:to )?{_OFTEN}{_DIE}{_HOW}{_END}",
        rf"{_I} {_OFTEN}(?:going to|gonna|about to|planning to|ready to|trying to) (?:{_MYSELF}|{_LIFE})",
        rf"\b(?:i'll|i will|i might|i may) {_OFTEN}(?:{_MYSELF}|{_LIFE})(?! if (?:he|she|they|you|it|this|that) )",
        rf"\bi {_OFTEN}(?:feel like|think about|think of|keep thinking (?:about|of)|consider|fantasi[sz]e about|"
        rf"dream of|can't stop thinking (?:about|of)) (?:{_MYSELF_ING}|{_LIFE_ING}|dying{_END})",
        rf"{_I} {_OFTEN}(?:thinking (?:about|of)|considering|planning) (?:{_MYSELF_ING}|{_LIFE_ING})",
        rf"\bi(?:'ve| have) {_OFTEN}(?:been )?(?:thinking (?:about|of)|considering) (?:{_MYSELF_ING}|{_LIFE_ING})",
        r"\bi (?:just |have )?tried to (?:kill|hang) myself",
        r"\bi(?:'ve| have) been (?:cutting|harming) myself|\bi (?:self[- ]harm|cut myself (?:on purpose|to feel))",
        rf"{_I} {_OFTEN}(?:feel(?:ing)? )?(?:very )?suicidal",
        rf"\bi(?:'ve|'m)?(?: \w+){{0,2}}? (?:have|had|having|get|getting) (?:\w+ ){{0,3}}?{_THOUGHTS}",
        rf"\bi {_OFTEN}(?:don't|do not|no longer) {_OFTEN}(?:want|wanna) (?:to )?(?:live|be alive|exist|be on this "
        rf"earth|be in this world)(?: anymore| any more| any longer| at all)?{_END}",
        rf"\bi {_OFTEN}(?:don't|do not) {_OFTEN}(?:want|wanna) (?:to )?wake up (?:anymore|any more|ever again|"
        rf"tomorrow)",
        r"\bi (?:can't|cannot) (?:go on living|live (?:anymore|any more|any longer|like this any(?:more| longer)))",
        rf"\bi {_OFTEN}(?:have|see|find) (?:no|nothing|not any) (?:reason|point|will)? ?(?:to live|in living|to go "
        rf"on living)",
        r"\bi have nothing (?:left )?to live for|\bi've (?:got )?nothing (?:left )?to live for|\bthere(?:'s| is) "
        r"(?:no|nothing) (?:reason|point|left)? ?(?:to live for|for me to live|in living|to live)\b",
        r"\b(?:my )?life (?:is not|isn't|is no longer|not) worth living",
        r"\b(?:everyone|everybody|they|the world|my (?:family|kids|parents|wife|husband|friends)|people|you "
        r"all)(?:'d| would| will|'ll)(?: all)? be better off (?:without me|if i (?:was|were) (?:dead|gone))",
        r"\bi(?:'d| would)(?: be)? better off dead|\bi(?:'m| am) better off dead",
        rf"\bi wish i (?:was|were) (?:dead|never born)\b{_HOW}{_END}|\bi wish i (?:wasn't|weren't) alive",
        r"\b(?:nobody|no one|noone) would (?:even )?(?:miss me|care|notice) if i (?:was gone|were gone|died|was "
        r"dead|were dead|killed myself)",
        rf"\bhow (?:do|can|could|should|would) i (?:{_MYSELF}|commit suicide|end my life)|\b(?:way|ways|method|"
        rf"methods) to (?:{_MYSELF}|commit suicide|end my life|die painlessly)|"
        r"\bhow many (?:\w+ )?(?:pills|tablets|\w+ pills) (?:to|would|does it take to|do i need to) (?:kill me|die|"
        r"kill myself|overdose)",
        r"\b(?:wrote|writing|written|finished) (?:my|a) suicide note|\bmy suicide note\b",
    )
]
OTHER = re.compile(
    rf"\b{_WHO} (?:(?:just |keeps |has |always )?(?:says|said|saying|told me|texted me|wrote me|threatens|"
    rf"threatened)(?: that)? ?(?:he|she|they)? ?)?(?:really |still )?(?:wants?|wanted|is going|'s going|plans?|is "
    rf"planning|threatens|threatened|tried|is trying|is about|was going|are going) to (?:{_THEMSELVES}|commit "
    rf"suicide|end (?:his|her|their) (?:own )?life|take (?:his|her|their) (?:own )?life|die{_END})|\b{_WHO} (?:is|"
    rf"feels|seems|has been|is feeling|might be|may be) (?:very )?suicidal"
)

# What takes such words back: a figure of speech, a game, something quoted.
FIGURE = re.compile(
    r"\b(?:die|dying|dead|kill(?:ing)? myself|hurt(?:ing)? myself) (?:of|from|with) (?:laugh|embarrass|shame|cringe|"
    r"boredom|cuteness|happiness|joy|hunger|thirst|heat|cold|curiosity|envy|old age)|\bmyself laughing|\bdie "
    r"(?:laughing|happy|old|my)|\blife insurance|\bin (?:my )?old age|\bwhen i(?:'m| am) (?:old|a hundred|\d+)|\bmy "
    r"(?:own )?life in(?:to)? |\b(?:in|on|at) (?:the|this|that|a|my|every) (?:\w+ )?(?:game|level|boss|match|round|"
    r"map|server|raid|simulation)\b|\b(?:in|playing) (?:minecraft|fortnite|zelda|mario|skyrim|roblox|tetris|dark "
    r"souls|elden ring)\b|\brespawn|\b(?:cut|hurt) myself (?:some slack|off|shaving|a (?:slice|piece|break|deal))|"
    r"\bhurt myself (?:at|in|during|lifting|by|doing|playing|training|while|when|if)|\bcut myself (?:a|some|while|"
    r"when|if|with)\b|\b(?:just kidding|jk|lol)\b"
)
REPORTED = re.compile(
    r"(?:\b(?:he|she|they|character|singer|hero|poem|song|line|lyric|lyrics|title|book|film|movie|quote|sentence|"
    r"phrase|word|words|called|titled|named|goes|translate|spell|define|says|said|sings|sang)(?: is| are| says| said|"
    r" goes)?[:,]? ?(?:that )?[\"'“‘«]?|[\"“«])$"
)
MEANING = re.compile(r"\b(?:what (?:does|do)|translate|spell|define|meaning of|how do you say)\b.*$")
_SHORT = {r"\bi m\b": "i'm", r"\bim\b": "i'm", r"\bive\b": "i've", r"\bdont\b": "don't", r"\bcant\b": "can't",
          r"\bisnt\b": "isn't", r"\bwanna\b": "want to", r"\bgonna\b": "going to", r"\bkms\b": "kill myself",
          r"\bunalive\b": "kill", r"\bmy self\b": "myself", r"\bit's (?=not worth living)": "life is "}  # fmt: skip


class Care:
    """Asked before every other skill and before the model."""

    name = "care"
    help = "Words of crisis get a careful fixed answer that leads to people who can help."
    examples = ("I want to kill myself", "I don't want to live anymore", "My friend wants to hurt herself")

    def answer(self, text: str, context: Context) -> wire.SkillAnswer | None:
        found = crisis(text)
        return wire.SkillAnswer(skill=self.name, text=found) if found else None


def crisis(text: str) -> str | None:
    """The answer to words of crisis; None for any other text."""
    said = _plain(text)
    for sentence in re.split(r"(?<=[.!?\n])\s+", said):
        if FIGURE.search(sentence):
            continue
        pills = PILLS.search(sentence)
        if pills and PILLS_OBJECT.search(pills[0]) and _meant(sentence, pills.start()):
            return AT_ONCE
        for pattern in SELF:
            hit = pattern.search(sentence)
            if hit and _meant(sentence, hit.start()):
                return FOR_YOU
        if (hit := OTHER.search(sentence)) and _meant(sentence, hit.start()):
            return FOR_ANOTHER
    return None


def _meant(sentence: str, at: int) -> bool:
    """Whether words are the person's own: not quoted, not asked about as words."""
    before = sentence[:at].rstrip()
    return not REPORTED.search(before) and not MEANING.search(before)


def _plain(text: str) -> str:
    text = re.sub(r"[’‘`´]", "'", text.lower())
    text = re.sub(r"\s+", " ", re.sub(r"[*_~]", "", text)).strip()
    for short, long in _SHORT.items():
        text = re.sub(short, long, text)
    return text
