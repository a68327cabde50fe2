"""Speed of the index of documents: reading in MB/s, questions as a ratio to a plain FTS5 query on the same index."""

from __future__ import annotations

import random
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from assistant.documents import index as documents
from assistant.documents import search, update
from assistant.documents.answer import ask
from assistant.documents.question import WORD, understand
from assistant.evaluation import questions
from assistant.skills.base import Context
from assistant.skills.documents import Documents

ROUNDS = 3
ASKED = [q.text for q in questions.read_set() if q.part == questions.DEV][::3]


def library(folder: Path, passages: int, seed: int = 3) -> Path:
    """Files of some 300 passages each: sentences of the household's words, frequent ones as often as there (so that
    questions find something everywhere), and rare ones of their own."""
    rng = random.Random(seed)
    words = [w for f in sorted(questions.FOLDER.iterdir()) for w in f.read_text("utf-8").split()]
    made = 0
    while made < passages:
        sections = []
        for number in range(min(300, passages - made)):
            pool = [*rng.choices(words, k=80), *(f"x{rng.randrange(200_000)}" for _ in range(20))]
            rng.shuffle(pool)
            lines = [" ".join(pool[i : i + 10]).capitalize() + "." for i in range(0, 100, 10)]
            sections.append(f"## Section {number}\n\n" + "\n".join(lines) + "\n")
        (folder / f"{made:06}.md").write_text(f"# Volume {made}\n\n" + "\n".join(sections))
        made += len(sections)
    return folder


def times_ms(work: Callable[[str], object]) -> list[float]:
    """CPU time of each question, in ms: nothing here waits for a disk once the index is in memory."""
    times = []
    for text in ASKED:
        began = time.thread_time()
        work(text)
        times.append(1e3 * (time.thread_time() - began))
    return times


@pytest.mark.bench
@pytest.mark.parametrize("passages", [1_000, 50_000])
def test_speed(passages: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    monkeypatch.setenv("ASSISTANT_HOME", str(tmp_path / "home"))
    (tmp_path / "library").mkdir()
    library(tmp_path / "library", passages)
    with documents.writing() as index:
        began, cpu = time.perf_counter(), time.process_time()
        report = update.add(index, [tmp_path / "library", questions.FOLDER])
        wall, cpu = time.perf_counter() - began, time.process_time() - cpu
        again = time.perf_counter()
        unchanged = update.update(index)
        again = time.perf_counter() - again
    assert unchanged.read == 0
    skill, context = Documents(), Context(None, tmp_path)
    plain, careful, ours, chat = [], [], [], []
    with documents.reading() as index:
        for _ in range(ROUNDS):
            plain += times_ms(lambda text: search.best(index, search.any_of(WORD.findall(text)), 10))
            careful += times_ms(lambda text: search.best(index, search.any_of(understand(text).words), 10))
            ours += times_ms(lambda text: ask(index, text))
            chat += times_ms(lambda text: skill.answer(text, context))
    middle, high = statistics.median, lambda times: statistics.quantiles(times, n=20)[-1]
    with capsys.disabled():
        print(
            f"\n{report.passages:,} passages of {report.bytes / 1e6:.1f} MB: read in {wall:.1f} s ({cpu:.1f} s of CPU, "
            f"{report.bytes / 1e6 / cpu:.1f} MB/s of CPU), looked over again in {1e3 * again:.0f} ms"
        )
        print(f"index {documents.index_file().stat().st_size / report.bytes:.2f} times the text")
        for name, times in (
            ("plain FTS5, all words", plain),
            ("without stop words", careful),
            ("ask", ours),
            ("the skill, whole", chat),
        ):
            print(f"  {name:<22} {middle(times):7.2f} ms, 95th {high(times):7.2f}, "
                  f"{middle(times) / middle(plain):5.2f} x plain")  # fmt: skip


@pytest.mark.bench
def test_a_chat_pays_next_to_nothing_without_documents(tmp_path: Path, capsys) -> None:
    skill, context = Documents(), Context(None, tmp_path)
    times = [t for _ in range(ROUNDS) for t in times_ms(lambda text: skill.answer(text, context))]
    with capsys.disabled():
        print(f"\nno index: {1e3 * statistics.median(times):.0f} µs for each message")
