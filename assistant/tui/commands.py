"""The slash commands: their names, words and arguments, and which of them a few letters mean."""

from __future__ import annotations

from dataclasses import dataclass

from assistant.config import did_you_mean
from assistant.errors import UsageError


@dataclass(frozen=True)
class Command:
    """`action` is one of the chat screen's, or a method of the library if `library` is set."""

    name: str
    words: str
    action: str = ""
    argument: str = ""
    library: bool = False


def _library(name: str, words: str, argument: str = "") -> Command:
    return Command(name, words, name, argument, library=True)


COMMANDS = (
    Command("new", "Begin a new chat", "new_chat"),
    Command("retry", "Have the last message answered again", "regenerate"),
    Command("undo", "Take back the last turn, and edit it", "undo"),
    Command("redo", "Bring back what was taken back", "redo"),
    Command("copy", "Read and copy by keys: arrows choose, Y copies", "read"),
    _library("fork", "Go on in a new chat that shares everything so far", "[TITLE]"),
    _library("tree", "All branches of this chat"),
    _library("search", "Search in this chat and in all", "[WORDS]"),
    Command("chats", "Show the chats and resume one", "toggle_chats"),
    _library("rename", "Give this chat another title", "[TITLE]"),
    _library("pin", "Keep this chat at the top of the list, or no longer"),
    _library("delete", "Delete this chat; ten seconds to bring it back"),
    _library("undelete", "Bring back the chat that was just deleted"),
    _library("persona", "Begin a chat with a persona", "[NAME]"),
    _library("system", "Begin a chat with a system prompt of your own", "[TEXT]"),
    _library("editor", "Write the message in your $EDITOR"),
    _library("export", "Write this chat to a file", "[markdown|json] [FILE]"),
    Command("costs", "What all answers have cost", "app.page('costs')"),
    Command("plan", "Why this backend, and what if", "app.page('plan')"),
    _library("policy", "Follow another policy from now on", "[NAME]"),
    Command("offline", "Whether anything can leave this machine", "app.page('offline')"),
    _library("theme", "Change the colours", "[NAME]"),
    Command("help", "All keys, and what the figures mean", "app.help"),
    Command("quit", "Leave; the daemon keeps all chats", "app.quit"),
)
BY_NAME = {command.name: command for command in COMMANDS}


def is_command(text: str) -> bool:
    """`/word ...` on the first line; two slashes send one."""
    return text.startswith("/") and text[1:2].isalpha()


def parse(text: str) -> tuple[Command, str]:
    """The command and what follows it. Raises UsageError, which suggests another."""
    name, _, argument = text[1:].partition(" ")
    if name not in BY_NAME:
        raise UsageError(f"there is no command '/{name}'",
                         hint=f"{did_you_mean(name, list(BY_NAME))} Two slashes send a text that begins with one"
                         .strip())  # fmt: skip
    return BY_NAME[name], argument.strip()


def matching(letters: str) -> list[Command]:
    """Those that the letters may mean, the likeliest first; all for none."""
    if not letters:
        return list(COMMANDS)
    from textual.fuzzy import Matcher

    matcher = Matcher(letters)
    scored = [(c.name.startswith(letters), matcher.match(c.name), matcher.match(c.words) / 4, c) for c in COMMANDS]
    found = [(starts, max(name, words), c) for starts, name, words, c in scored if name or words > 0.2]
    return [c for _, _, c in sorted(found, key=lambda row: (-row[0], -row[1]))]
