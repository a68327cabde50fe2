"""The three verdicts: from a test of this very build if there is one, else declared, else unknown; never more."""

from __future__ import annotations

import datetime
import json
import time
from pathlib import Path

import pytest
from click.testing import CliRunner

from assistant import proofs
from assistant.audit import catalog, charges, command, evidence, report, scan, usage
from assistant.audit.identity import Identity, of
from assistant.audit.run import RunReport
from assistant.audit.usage import Tokens
from assistant.audit.verdicts import chosen, declared
from assistant.audit.verdicts import tested as verdicts_of
from assistant.errors import ConfigError
from assistant.meter import prices

TODAY = datetime.date(2026, 11, 23)


def seen(**more) -> RunReport:
    base = {
        "tool": "llm",
        "identity": Identity(program="llm", version="0.30"),
        "words": "llm chat",
        "finished_at": 1.8e9,
        "seconds": 61.0,
        "silence": "silent",
        "worked": "yes",
        "worked_by": "its exit code was 0",
    }
    return RunReport(**(base | more))


def install(name: str, version: str) -> Path:
    """A Python tool where uv would put it, and its program."""
    place = Path.home() / f".local/share/uv/tools/{name}/lib/python3.12/site-packages/{name}-{version}.dist-info"
    place.mkdir(parents=True)
    program = Path.home() / ".local/bin" / name
    program.parent.mkdir(parents=True, exist_ok=True)
    program.write_text("#!/bin/sh\necho hi\n")
    program.chmod(0o755)
    return program


def audited(tool: str, **options) -> report.Audited:
    found = report.audit(catalog.load(), **options)
    assert found.tools[0].ours, "ourselves first"
    return next(one for one in found.tools if one.id == tool)


@pytest.mark.parametrize(
    ("run", "network", "leave", "word"),
    [
        (seen(), "yes", "yes", "not one packet"),
        (seen(silence="called", hosts=["a.example"]), "yes", "partly", "a.example"),
        (seen(silence="called", hosts=["a.example"], worked="no"), "no", "no", "did not work"),
        (seen(worked="no", worked_by="its exit code was 1"), "no", "no", "exit code was 1"),
        (seen(worked="no", needs_ports=[11434]), "partly", "partly", "not yet local"),
        (seen(worked="unclear", worked_by="it ran on"), "partly", "partly", "it ran on"),
    ],
)
def test_verdicts_of_a_test(run, network, leave, word):
    first, third = verdicts_of(run)
    assert (first.answer, third.answer) == (network, leave)
    assert first.evidence == third.evidence == "tested"
    assert first.date == third.date == "2027-01-15"
    assert word in third.why


def test_a_short_run_says_so_and_a_needed_port_is_named():
    first, third = verdicts_of(seen(seconds=3, short=True))
    assert "short run" in first.why
    assert "short run" in third.why
    assert "port 11434" in verdicts_of(seen(worked="no", needs_ports=[11434]))[0].why


def test_who_was_caught_once_is_not_cleared_by_a_later_silent_run():
    called, silent = seen(silence="called", hosts=["a"]), seen(finished_at=1.9e9)
    assert chosen([called, silent]) is called
    assert chosen([seen(seconds=3, short=True), silent]) is silent
    assert chosen([seen(silence="not proven")]) is None


def test_declared_or_unknown():
    verdict = declared(catalog.Said(answer="no", why="w", source="s", date="2026-11-23", confidence="H"))
    assert (verdict.answer, verdict.evidence, verdict.source) == ("no", "declared", "s")
    assert declared(catalog.Said(answer="unknown")).evidence == "unknown"


def test_a_test_counts_for_the_build_that_was_tested():
    install("llm", "0.30")
    assert audited("llm").network.evidence == "declared"
    evidence.keep(seen(silence="called", hosts=["api.openai.com"], worked="no"))
    tool = audited("llm")
    assert (tool.version, tool.network.evidence, tool.network.answer, tool.leave.answer) == (
        "0.30",
        "tested",
        "no",
        "no",
    )
    assert tool.hosts_seen == ["api.openai.com"]
    place = next((Path.home() / ".local/share/uv/tools/llm/lib/python3.12/site-packages").iterdir())
    place.rename(place.with_name("llm-0.31.dist-info"))
    tool = audited("llm")
    assert (tool.version, tool.network.evidence) == ("0.31", "declared")
    assert "not the build that is here" in " ".join(tool.notes)


def test_without_a_version_the_program_s_hash_decides():
    program = Path.home() / ".local/bin/ollama"
    program.parent.mkdir(parents=True)
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    evidence.keep(seen(tool="ollama", identity=of(str(program)), words="ollama serve"))
    assert audited("ollama").network.evidence == "tested"
    program.write_text("#!/bin/sh\n# another\n")
    assert audited("ollama").network.evidence == "declared"


def test_ourselves_by_the_same_rules(home):
    ours = audited("rwkv-assistant")
    assert ours.network.evidence == ours.leave.evidence == "unknown"
    assert "NOT PROVEN" in ours.network.why
    summary = {
        "verdict": "PASS",
        "finished_at": 1.8e9,
        "seconds": 70,
        "rungs": {},
        "hosts": [],
        "why": "it worked",
        "sha256": "a" * 64,
    }
    proofs.keep(json.dumps(summary | {"versions": {"rwkv-assistant": "0.0.1"}}).encode())
    assert audited("rwkv-assistant").network.answer == "unknown", "a proof of another version proves nothing"
    proofs.keep(json.dumps(summary).encode())
    ours = audited("rwkv-assistant")
    assert (ours.network.answer, ours.leave.answer, ours.leave.evidence, ours.leave.date) == (
        "yes",
        "yes",
        "tested",
        "2027-01-15",
    )
    proofs.keep(json.dumps(summary | {"verdict": "FAIL", "hosts": ["a.example"], "why": "called"}).encode())
    ours = audited("rwkv-assistant")
    assert (ours.leave.answer, ours.hosts_seen) == ("no", ["a.example"])


def test_price_times_ten():
    table = prices.load()
    tools = {tool.id: tool for tool in catalog.load()}

    def verdict(tool: str, used: list[Tokens] = [], budget: float | None = None):  # noqa: B006
        cost = charges.cost_of(tools[tool], used, table)
        return cost, charges.verdict(tools[tool], cost, budget)

    assert verdict("llama-cpp")[1].answer == "yes"
    cost, said = verdict("copilot")
    assert (cost.now_low, cost.now_high, cost.times(10)) == (0, 10, (0, 100))
    assert (said.answer, said.evidence) == ("your call", "declared")
    assert said.source
    assert said.date
    assert [verdict("copilot", budget=b)[1].answer for b in (50, 100)] == ["partly", "yes"]
    cost, said = verdict("claude-code", [Tokens("claude-opus-5", input=1_000_000, cached=2_000_000, output=100_000)])
    assert cost.now_low == cost.now_high == pytest.approx(5 + 2 * 0.5 + 2.5)
    assert verdict("claude-code", [Tokens("claude-opus-5", input=1_000_000)], budget=20)[1].answer == "no"
    cost, _ = verdict("claude-code", [Tokens("unheard-of", input=1_000_000)])
    assert (cost.now_low, cost.now_high) == table.cloud_input_per_mtok.band
    assert "unheard-of" in cost.basis
    assert verdict("claude-code")[1].answer == "unknown", "no log, no figure"
    assert verdict("lm-studio")[1].answer == "unknown"


def test_tokens_of_logs():
    person = Path.home()
    claude = {
        "message": {
            "id": "m",
            "model": "claude-opus-5",
            "usage": {
                "input_tokens": 10,
                "output_tokens": 2,
                "cache_read_input_tokens": 100,
                "cache_creation_input_tokens": 5,
            },
        },
        "timestamp": "2026-11-20T10:00:00Z",
    }
    old = claude | {"timestamp": "2026-09-01T10:00:00Z", "message": claude["message"] | {"id": "old"}}
    codex = [
        {"timestamp": "2026-11-20", "type": "turn_context", "payload": {"model": "gpt-5.4"}},
        {
            "timestamp": "2026-11-20",
            "payload": {
                "type": "token_count",
                "info": {"last_token_usage": {"input_tokens": 50, "cached_input_tokens": 30, "output_tokens": 7}},
            },
        },
        {"timestamp": "2026-11-20", "payload": {"type": "token_count", "info": None}},
    ]
    files = {
        ".claude/projects/p/s.jsonl": "\n".join(map(json.dumps, [claude, claude, old])) + "\nbroken",
        ".codex/sessions/2026/11/20/rollout-1.jsonl": "\n".join(map(json.dumps, codex)),
        ".local/share/opencode/storage/message/s/m.json": json.dumps(
            {"modelID": "qwen3", "tokens": {"input": 4, "output": 3, "reasoning": 1, "cache": {"read": 9, "write": 2}}}
        ),
        ".gemini/tmp/h/chats/session-1.json": json.dumps(
            {
                "messages": [
                    {
                        "timestamp": "2026-11-20",
                        "model": "gemini-2.5-pro",
                        "tokens": {"input": 20, "output": 5, "cached": 8, "thoughts": 1},
                    }
                ]
            }
        ),
    }
    for name, text in files.items():
        (person / name).parent.mkdir(parents=True)
        (person / name).write_text(text)
    found = {
        reader: [(t.model, t.input, t.cached, t.output, t.requests) for t in usage.read(reader, TODAY)]
        for reader in usage.READERS
    }
    assert found == {
        "llm": [],
        "claude": [("claude-opus-5", 15, 100, 2, 1)],
        "codex": [("gpt-5.4", 20, 30, 7, 1)],
        "opencode": [("qwen3", 6, 9, 4, 1)],
        "gemini": [("gemini-2.5-pro", 12, 8, 6, 1)],
    }


def test_tools_are_found_by_what_they_leave():
    person = Path.home()
    install("parllama", "0.8.1")
    for folder in (
        ".vscode/extensions/github.copilot-1.300.0",
        ".cursor/extensions/continue.continue-1.2.3-linux-x64",
        ".npm-global/lib/node_modules/@openai/codex",
        ".local/share/applications",
        ".gemini",
    ):
        (person / folder).mkdir(parents=True)
    (person / ".npm-global/lib/node_modules/@openai/codex/package.json").write_text('{"version": "0.99.0"}')
    (person / ".local/share/applications/cursor.desktop").write_text("[Desktop Entry]")
    found = {one.tool.id: one for one in scan.scan(catalog.load(), ["GEMINI_API_KEY", "OTHER"])}
    assert {"parllama", "copilot", "continue", "codex", "cursor", "gemini-cli"} <= set(found)
    assert found["parllama"].version == "0.8.1"
    assert found["continue"].version == "1.2.3"
    assert found["codex"].version == "0.99.0"
    assert found["gemini-cli"].variables == ["GEMINI_API_KEY"]
    assert "aider" not in found
    assert "onnxruntime" in found, "that of this very environment"


def test_cloud_models_behind_a_local_port_are_named():
    for name in ("gpt-oss/120b-cloud", "llama3/latest"):
        manifest = Path.home() / ".ollama/models/manifests/registry.ollama.ai/library" / name
        manifest.parent.mkdir(parents=True)
        manifest.write_text("{}")
    tool = audited("ollama")
    assert tool.models_configured == ["gpt-oss:120b-cloud"]
    assert "its prompts leave" in " ".join(tool.notes)


def test_the_table():
    tools = catalog.load()
    assert len(tools) >= 40
    assert len({tool.id for tool in tools}) == len(tools)
    for tool in tools:
        assert tool.executables or tool.distributions or tool.npm or tool.extensions or tool.apps or tool.paths, tool.id
        for said in (tool.network, tool.leave):
            if said.answer != "unknown":
                assert said.why, tool.id
                assert said.source, tool.id
                assert said.confidence, tool.id
                datetime.date.fromisoformat(said.date)
        assert catalog.substitute(tool)
        assert tool.usage == "" or tool.usage in usage.READERS
    assert charges.model_prices()


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ('[x]\nname = "X"\nkind = "chat"\nexecutabels = ["x"]', "executables"),
        ('[x]\nname = "X"\nkind = "chat"\nnetwork = { answer = "yes" }', "no source"),
        ('[x]\nname = "X"\nkind = "robot"', "kind"),
        ("[x", "not valid TOML"),
    ],
)
def test_a_wrong_table_of_one_s_own_is_refused_with_the_remedy(text, word):
    catalog.own_folder().mkdir(parents=True)
    (catalog.own_folder() / "mine.toml").write_text(text)
    with pytest.raises(ConfigError, match=word):
        catalog.load()


def test_one_s_own_table_adds_and_replaces():
    catalog.own_folder().mkdir(parents=True)
    (catalog.own_folder() / "mine.toml").write_text(
        '[ollama]\nname = "Mine"\nkind = "server"\n[new]\nname = "N"\nkind = "app"\n'
    )
    tools = {tool.id: tool for tool in catalog.load()}
    assert tools["ollama"].name == "Mine"
    assert tools["new"].network.answer == "unknown"


def test_text_fits_80_columns_and_has_no_colour_without_a_terminal(monkeypatch):
    install("llm", "0.30")
    evidence.keep(seen(silence="called", hosts=[f"host-{i}.example.com" for i in range(9)]))
    evidence.keep(seen(tool="my-own-tool"))
    done = CliRunner().invoke(command.audit, ["--budget", "5"])
    assert done.exit_code == 0, done.output
    assert not [line for line in done.stdout.splitlines() if len(line) > 80 and "https://" not in line]
    assert "\x1b" not in done.stdout
    assert done.stdout.index("rwkv-assistant") < done.stdout.index("llm 0.30")
    for question in ("does it work?", "would I keep it?", "does it function?"):
        assert question in done.stdout
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b" not in CliRunner().invoke(command.audit, ["--short"], color=True).stdout


def test_json_has_a_stable_schema():
    found = json.loads(CliRunner().invoke(command.audit, ["--json"]).stdout)
    assert found["schema"] == "assistant-audit/1"
    assert set(found) == {
        "schema",
        "made_at",
        "questions",
        "tools",
        "variables",
        "profile_variables",
        "catalog",
        "budget",
    }
    assert {
        "id",
        "name",
        "kind",
        "version",
        "ours",
        "found_by",
        "network",
        "price",
        "leave",
        "cost",
        "cost_x10",
        "hosts_seen",
        "hosts_declared",
        "hosts_configured",
        "models_configured",
        "substitute",
        "notes",
    } <= set(found["tools"][0])
    assert set(found["tools"][0]["network"]) == {"answer", "evidence", "why", "date", "source", "confidence"}
    assert abs(found["made_at"] - time.time()) < 60


def test_unknown_tools_get_a_suggestion():
    done = CliRunner().invoke(command.audit, ["--tool", "olama"])
    assert "Did you mean 'ollama'" in str(done.exception)
    known = CliRunner().invoke(command.audit, ["tools"]).stdout
    assert "https://" in known
    assert "ollama" in known
