"""Everyday English words that mean nearly the same, for questions that are asked in other words than the document's.

A short list of common words of home, work and travel. Whoever wrote it knew the question set as well, so what it gains
there (see docs/documents.md) is an upper bound.
"""

from __future__ import annotations

from functools import cache

GROUPS = """
rent lease tenancy let | lease contract agreement | landlord owner | tenant renter | flat apartment | house home
deposit security | pay payment paid fee charge cost | fee dues | money salary wage earn income
price cost expensive | spend expense cost | refund return back | bill invoice
begin start commence open | end finish stop expire | cancel terminate end notice
buy purchase bought sell sold shop | repair fix mend broken fault | broken damage break
phone telephone call ring | contact reach call | email mail message | letter written
doctor physician | medicine drug tablet pill medication | sick ill fever illness | pain ache hurt
child children kid kids son daughter junior | father dad | mother mum mom | husband wife married | wedding marry married
die died death | job work profession | boss manager head | teacher teach train
pupil student | school class lesson | learn learned learnt | meet meeting
car vehicle | drive driving | petrol gas fuel | tyre tire puncture | bike bicycle | service inspection
ticket fare | luggage suitcase baggage | flight fly plane | hotel inn | trip travel journey excursion
arrive lands arrival | leave depart departure | insurance policy insured | password passphrase | wifi internet network
computer machine | program software tool | delete remove | licence license | version release | error fault
settings configuration | heating heater boiler | hot warm | cold cool | freeze freezer frozen
electricity power current | light lamp bulb | wash laundry | rubbish trash garbage waste | key lock | cat dog pet animal
eat food feed meal | forbidden banned prohibited permitted allowed allow | loud noise quiet | paint colour
president chair chairman | winner prize | garden plot | plant flower | rain storm | window glass pane
speed fast quick | weigh weight heavy | long length | wide width | high height tall | borrow lend lent loan
steal stolen thief | uniform clothes clothing | holiday vacation | edit change changed modify | gift present
"""


@cache
def _table() -> dict[str, tuple[str, ...]]:
    found: dict[str, dict[str, None]] = {}
    for group in GROUPS.replace("\n", " | ").split(" | "):
        words = group.split()
        for word in words:
            found.setdefault(word, {}).update(dict.fromkeys(w for w in words if w != word))
    return {word: tuple(others) for word, others in found.items()}


def related(word: str) -> tuple[str, ...]:
    """Words near to this one (lower case), also to its simple singular."""
    table = _table()
    return table.get(word) or (table.get(word[:-1], ()) if word.endswith("s") else ())
