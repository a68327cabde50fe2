"""No value of a secret is ever told: planted everywhere, found nowhere, in no form and with no kind of damage."""

from __future__ import annotations

import json
import os
import sqlite3
from pathlib import Path

import pytest
from click.testing import CliRunner

from assistant.audit import command, usage
from assistant.audit.redact import Redactor, endpoint, variable
from assistant.audit.subject import name_of, words_of

PLANTED = {
    "env": "sk-proj-FAKEenv000000000000000000001",
    "plain": "correcthorsebatterystaple",  # looks like nothing
    "config": "sk-ant-FAKEcfg-0000000000000000002",
    "user": "FAKEuser:FAKEpass3",
    "query": "token=FAKEquery4",
    "path": "FAKEpath5",
    "dotenv": "hf_FAKEdotenv0000000000000006",
    "history": "ghp_FAKEhistory00000000000000007",
    "log": "AIzaFAKElog0000000000000000000008",
    "file": "gsk_FAKEfile00000000000000000009",
    "host": "sk-FAKEhost0000000000000010",
    "model": "sk-or-FAKEmodel00000000000000011",
}
MARKS = [*PLANTED.values(), "FAKE", "batterystaple"]
URL = f"https://{PLANTED['user']}@proxy.example.com:8443/{PLANTED['path']}/v1?{PLANTED['query']}"


@pytest.fixture
def full(home: Path, monkeypatch) -> Path:
    """A home with many tools, every one of them with a key where a key may be."""
    person = Path.home()
    for name in ("OPENAI_API_KEY", "ANTHROPIC_API_KEY", "OLLAMA_API_KEY", "HF_TOKEN"):
        monkeypatch.setenv(name, PLANTED["env"])
    monkeypatch.setenv("MISTRAL_API_KEY", PLANTED["plain"])
    monkeypatch.setenv("OPENAI_BASE_URL", URL)
    monkeypatch.setenv("OLLAMA_HOST", URL)
    monkeypatch.setenv(f"FAKE_{'x' * 70}_API_KEY", PLANTED["env"])  # no name that can be shown
    files = {
        ".continue/config.yaml": f"""
models:
  - name: "{PLANTED["config"]}"
    provider: openai
    model: {PLANTED["model"]}
    apiKey: {PLANTED["config"]}
    apiBase: {URL}
  - provider: ollama
    model: qwen3:480b-cloud
    apiBase: http://localhost:11434/{PLANTED["path"]}
  - apiBase: https://{PLANTED["host"]}.example.com/v1
  - apiBase: {PLANTED["plain"]}
""",
        ".continue/config.json": '{"models": [{"apiKey": "' + PLANTED["config"] + '", "apiBase": "' + URL + '"',  # torn
        ".codex/config.toml": f'model = "gpt-5"\napi_key = "{PLANTED["config"]}"\nbase_url = "{URL}"\n[broken',
        ".codex/auth.json": json.dumps({"OPENAI_API_KEY": PLANTED["config"]}),
        ".claude/settings.json": json.dumps(
            {"model": "opus", "env": {"ANTHROPIC_BASE_URL": URL, "K": PLANTED["config"]}}
        ),
        ".claude/projects/p/a.jsonl": "\n".join(
            [
                json.dumps(
                    {
                        "timestamp": "2099-01-01",
                        "message": {
                            "model": "claude-opus-5",
                            "content": PLANTED["log"],
                            "id": "1",
                            "usage": {"input_tokens": 1000, "output_tokens": 10},
                        },
                    }
                ),
                json.dumps(
                    {
                        "timestamp": "2099-01-01",
                        "message": {"model": PLANTED["log"], "id": "2", "usage": {"input_tokens": 5}},
                    }
                ),
                '{"timestamp": "2099-01-01", "message": {"usage": {"input_tokens": "' + PLANTED["log"] + '"}}}',
                '{"message": "' + PLANTED["log"],
            ]
        ),
        ".aider.conf.yml": f"model: sonnet\nopenai-api-key: {PLANTED['config']}\nopenai-api-base: {URL}\n",
        ".config/aichat/config.yaml": f"model: openai:gpt-5\nclients:\n- type: openai\n  api_key: {PLANTED['config']}",
        ".config/io.datasette.llm/keys.json": json.dumps({"openai": PLANTED["config"]}),
        ".gemini/settings.json": "\x00\xff" + PLANTED["config"],
        ".gemini/tmp/h/session-1.json": '{"messages": [{"tokens": {"input": "' + PLANTED["log"] + '"}}]}',
        f".ollama/{PLANTED['file']}": PLANTED["config"],
        f".vscode/extensions/github.copilot-1.2.3-{PLANTED['file']}/x": "",
        f".local/share/uv/tools/llm/lib/python3.12/site-packages/llm-0.30.{PLANTED['file']}.dist-info/METADATA": "",
        ".npm-global/lib/node_modules/@openai/codex/package.json": json.dumps(
            {"version": PLANTED["config"] + "/" + URL}
        ),
        ".bashrc": f"export OPENAI_API_KEY={PLANTED['dotenv']}\n"
        f"export {PLANTED['file'].upper()}_TOKEN=1\nalias k='{PLANTED['dotenv']}'\n",
        ".env": f"GROQ_API_KEY={PLANTED['dotenv']}\nBROKEN {PLANTED['dotenv']}\n={PLANTED['dotenv']}\n",
        ".bash_history": f"curl -H 'Bearer {PLANTED['history']}' x\n",
        ".zsh_history": PLANTED["history"],
    }
    for name, text in files.items():
        path = person / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    with sqlite3.connect(person / ".config/io.datasette.llm/logs.db") as db:
        db.execute("CREATE TABLE responses (model, prompt, response, input_tokens, output_tokens, datetime_utc)")
        db.execute("INSERT INTO responses VALUES ('gpt-5', ?, ?, 2000, 100, '2099-01-01')", [PLANTED["log"]] * 2)
        db.execute("INSERT INTO responses VALUES (?, '', '', 7, 1, '2099-01-01')", [PLANTED["log"]])
    return person


def audit(*words: str):
    return CliRunner().invoke(command.audit, list(words), catch_exceptions=True)


@pytest.mark.parametrize("form", [[], ["--json"], ["--markdown"], ["--short"]])
def test_no_form_of_the_report_tells_a_key(full, form):
    done = audit("--verbose", "--read-profiles", *form)
    assert done.exit_code == 0, done.output
    text = done.output + done.stderr
    assert [mark for mark in MARKS if mark.lower() in text.lower()] == []
    assert "OPENAI_API_KEY" in text or form == ["--short"] or "variables" not in text
    for file in (full / "assistant").rglob("*"):
        if file.is_file():
            assert not [mark for mark in MARKS if mark.encode() in file.read_bytes()]


def test_what_may_be_told_is_told(full):
    """Or the test above would pass with an empty report."""
    report = json.loads(audit("--json", "--read-profiles").stdout)
    tools = {tool["id"]: tool for tool in report["tools"]}
    assert {"continue", "codex", "claude-code", "aider", "aichat", "llm", "ollama", "copilot", "gemini-cli"} <= set(
        tools
    )
    assert {"OPENAI_API_KEY", "OPENAI_BASE_URL", "OLLAMA_HOST", "HF_TOKEN", "MISTRAL_API_KEY"} <= set(
        report["variables"]
    )
    assert report["profile_variables"]["~/.bashrc"] == ["OPENAI_API_KEY"]
    assert "GROQ_API_KEY" in report["profile_variables"]["~/.env"]
    assert set(tools["continue"]["hosts_configured"]) == {
        "proxy.example.com:8443",
        "localhost:11434",
        "***.example.com",
    }
    assert "qwen3:480b-cloud" in tools["continue"]["models_configured"]
    assert any("cloud model behind a local port" in note for note in tools["continue"]["notes"])
    assert tools["copilot"]["version"] == "1.2.3"
    assert tools["claude-code"]["cost"]["input_tokens"] == 1005
    assert tools["llm"]["cost"]["output_tokens"] == 101


def test_profiles_are_read_at_the_person_s_wish_only(full):
    report = json.loads(audit("--json").stdout)
    assert report["profile_variables"] == {}
    assert "GROQ_API_KEY" not in report["variables"]


def test_an_error_quotes_nothing(full, monkeypatch):
    """Also one that nobody foresaw, and one in the person's own table."""

    def fail(*_args, **_more):
        raise ValueError(f"cannot parse {PLANTED['config']}")

    monkeypatch.setattr(usage, "read", fail)
    done = audit("--verbose")
    assert done.exit_code == 1
    text = done.output + str(done.exception)
    assert "ValueError" in text
    assert [mark for mark in MARKS if mark in text] == []


@pytest.mark.parametrize("key", PLANTED)
def test_masks(key):
    value = PLANTED[key]
    redactor = Redactor([value, *value.split(":")])
    for text in (value, f"/tmp/{value}/x", f"node {value}", f"{value.upper()}.example", f"a{value}b"):
        assert value.lower() not in redactor.clean(text).lower()
    assert variable(value) is None


@pytest.mark.parametrize(
    "name",
    [
        "api.openai.com",
        "ec2-3-12-9-1.compute.amazonaws.com",
        "qwen3:480b-cloud",
        "python3 llm",
        "mobile.events.data.microsoft.com",
        "~/.cache/Microsoft/DeveloperTools/.onnxruntime/deviceid",
        "Meta-Llama-3.1-8B-Instruct-Q4_K_M",
        "api-inference.huggingface.co",
        "hf-mirror.com",
    ],
)
def test_masks_leave_names_alone(name):
    assert Redactor().clean(name) == name


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        (URL, "proxy.example.com:8443"),
        ("http://localhost:11434/v1", "localhost:11434"),
        ("127.0.0.1:8080", "127.0.0.1:8080"),
        ("http://[::1]:1234/", "[::1]:1234"),
        ("correcthorsebatterystaple", None),
        ("https://exa mple", None),
        ("http://host:port", None),
        ("", None),
    ],
)
def test_of_an_address_only_host_and_port(url, shown):
    assert endpoint(url) == shown


def test_of_a_command_only_its_name_and_subcommands():
    assert words_of(["/usr/bin/llm", "chat", "-m", "x", "a question of mine"]) == "llm chat (+3 arguments)"
    assert words_of(["llm", "a question of mine"]) == "llm (+1 arguments)"
    assert words_of(["llm", PLANTED["env"]]) == "llm (+1 arguments)"
    assert name_of(["python3", "-P", "-m", "gptme.cli", "x"]) == "gptme"
    assert name_of(["uvx", "--from", "llm"]) == "llm"
    assert name_of(["python3", "-c", "x" * 5000]) == "python3"
    assert PLANTED["file"] not in name_of([f"/opt/{PLANTED['file']}"])
    assert os.sep not in name_of(["/a/b/c"])
