"""What a tool is set up to talk to: names of variables, allowed keys of its configuration files. Never a secret.

The files are not parsed: a search for the allowed keys, and only for values that look like the name of a model or
the address of a server, finds them in JSON, TOML, YAML and shell alike, and has no error that could quote the file.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from assistant.audit.catalog import Tool
from assistant.audit.places import matching
from assistant.audit.redact import MASK, PLAIN, endpoint, variable

LARGEST_B = 2_000_000
PROFILES = ("~/.profile", "~/.bash_profile", "~/.bashrc", "~/.zshenv", "~/.zprofile", "~/.zshrc",
            "~/.config/fish/config.fish", "~/.config/environment.d/*.conf", "~/.env", "./.env", "./.envrc")  # fmt: skip
VENDORS = ("OPENAI", "ANTHROPIC", "CLAUDE", "GEMINI", "GOOGLE_AI", "GOOGLE_GENAI", "MISTRAL", "CODESTRAL", "GROQ",
           "COHERE", "CO", "HF", "HUGGINGFACE", "HUGGING_FACE", "HUGGINGFACEHUB", "REPLICATE",
           "OPENROUTER", "TOGETHER", "FIREWORKS", "DEEPSEEK", "XAI", "PERPLEXITY",
           "AZURE_OPENAI", "COPILOT", "CURSOR", "ELEVENLABS", "ELEVEN", "DEEPGRAM",
           "ASSEMBLYAI", "STABILITY", "LMSTUDIO", "LM", "LITELLM", "CEREBRAS", "NVIDIA", "VOYAGE", "JINA", "LANGSMITH",
           "LANGCHAIN", "OLLAMA", "LLM", "WANDB", "TAVILY", "DASHSCOPE", "MOONSHOT", "ZAI", "AI")  # fmt: skip
_NAME = re.compile(r"^\s*(?:export\s+|setenv\s+|set\s+(?:-\S+\s+)*)?([A-Z][A-Z0-9_]{1,59})(?==|\s)", re.MULTILINE)
_PLAIN_VALUE = re.compile(r"[A-Za-z][\w.:/@+-]{0,79}")
_ADDRESS = re.compile(r"url|base|host|endpoint", re.IGNORECASE)


@dataclass
class Settings:
    """Of one tool: where it would call, and with which models."""

    files: list[str] = field(default_factory=list)
    hosts: list[str] = field(default_factory=list)
    models: list[str] = field(default_factory=list)
    unreadable: list[str] = field(default_factory=list)


def variables(names: Iterable[str]) -> list[str]:
    """Names of variables that have to do with AI."""
    return sorted({shown for name in names if is_of_ai(name) and (shown := variable(name))})


def is_of_ai(name: str) -> bool:
    if name.startswith("OLLAMA_") or name.endswith("_API_KEY"):
        return True
    stem = next(
        (name.removesuffix(end) for end in ("_BASE_URL", "_API_BASE", "_TOKEN", "_HOST") if name.endswith(end)), None
    )
    return stem is not None and any(stem == vendor or stem.startswith(vendor + "_") for vendor in VENDORS)


def profile_variables() -> dict[str, list[str]]:
    """Names by file, of the shell's profiles and of .env. Only at the person's wish."""
    found = {}
    for pattern in PROFILES:
        for path in matching(pattern):
            text = _text(path)
            if text and (names := variables(_NAME.findall(text))):
                found[pattern] = names
    return found


def read(tool: Tool) -> Settings:
    found = Settings()
    for config in tool.configs:
        for path in matching(config.path):
            if (text := _text(path)) is None:
                found.unreadable.append(config.path)
                continue
            found.files.append(config.path)
            for key in config.keys:
                values = _values(text, key)
                if _ADDRESS.search(key):
                    found.hosts += [host for value in values if (host := endpoint(value))]
                else:
                    found.models += [value for value in values if is_harmless(value)]
    for path in (path for pattern in tool.model_files for path in matching(pattern)):
        if is_harmless(name := f"{path.parent.name}:{path.name}") and is_cloud(name):
            found.models.append(name)
    for name in ("files", "hosts", "models", "unreadable"):
        setattr(found, name, sorted(set(getattr(found, name))))
    return found


def is_harmless(value: str) -> bool:
    """The name of a model or a provider, and nothing that could be more."""
    return bool(_PLAIN_VALUE.fullmatch(value)) and "://" not in value and MASK not in PLAIN.clean(value)


def is_cloud(model: str) -> bool:
    """Ollama's way to say that a model is run by its maker: gpt-oss:120b-cloud, qwen3-coder:cloud."""
    return model.endswith(("-cloud", ":cloud"))


def is_local(host: str) -> bool:
    name = host.rpartition(":")[0] if not host.endswith("]") and ":" in host else host
    return name in ("localhost", "127.0.0.1", "[::1]", "0.0.0.0", "host.docker.internal") or name.startswith("127.")


def _values(text: str, key: str) -> list[str]:
    """Of `key: v`, `"key": "v"`, `key = 'v'`, as far as they are one word."""
    pattern = rf"""(?<![\w-])["']?{re.escape(key)}["']?\s*[:=]\s*(?:"([^"\s]*)"|'([^'\s]*)'|([^\s"'#,\[\]{{}}]+))"""
    return [next(filter(None, groups), "") for groups in re.findall(pattern, text)]


def _text(file: Path) -> str | None:
    try:
        if not file.is_file() or file.stat().st_size > LARGEST_B:
            return None
        return file.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
