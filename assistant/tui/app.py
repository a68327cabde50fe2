"""The Textual application: one chat screen, a help screen, and a palette of all actions."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from time import monotonic
from typing import ClassVar

from textual.app import App, SystemCommand
from textual.binding import Binding, BindingType
from textual.events import Event, Key
from textual.screen import ModalScreen, Screen
from textual.theme import Theme

from assistant.tui.connection import Launcher
from assistant.tui.screens.chat import ChatScreen


class ChatApp(App[None]):
    TITLE = "assistant"
    CSS_PATH = "app.tcss"
    BINDING_GROUP_TITLE = "Everywhere"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("f1", "help", "Help", tooltip="Show all keys and what the figures mean", priority=True),
        Binding(
            "ctrl+p",
            "command_palette",
            "Commands",
            tooltip="Find any action by name",
            priority=True,
        ),
        Binding(
            "f3", "page('costs')", "Costs", tooltip="What all answers have cost, as plots and a table", priority=True
        ),
        Binding("f4", "page('plan')", "Plan", tooltip="Why this backend, and what if: move the limits", priority=True),
        Binding("f5", "page('offline')", "Offline report", tooltip="Whether anything can leave", priority=True),
        Binding("ctrl+q", "quit", "Quit", tooltip="Leave; the daemon keeps all chats", priority=True),
    ]

    def __init__(
        self,
        chat_id: str | None = None,
        *,
        theme: str | None = None,
        launcher: Launcher | None = None,
    ) -> None:
        super().__init__()
        self._chat_id = chat_id
        self._launcher = launcher
        self.key_at_s = 0.0  # when the newest key was pressed; who has much to draw lets its echo go first
        if theme in self.available_themes:
            self.theme = theme

    def get_default_screen(self) -> Screen[None]:
        return ChatScreen(self._chat_id, self._launcher)

    async def on_event(self, event: Event) -> None:
        if isinstance(event, Key):
            self.key_at_s = monotonic()
        await super().on_event(event)

    def on_mount(self) -> None:
        self.theme_changed_signal.subscribe(self, self._keep_theme)

    def _keep_theme(self, theme: Theme) -> None:
        """The next start looks the same; whatever else is in the file stays as it is."""
        from assistant import config_file
        from assistant.errors import AssistantError

        try:
            config_file.put("tui", "theme", theme.name)
        except AssistantError as error:
            self.notify(str(error), severity="warning", markup=False)

    @property
    def chat(self) -> ChatScreen:
        screen = self.screen_stack[0]
        assert isinstance(screen, ChatScreen)
        return screen

    async def action_page(self, name: str) -> None:
        """Show a page over the chat, in place of another one; the key that opened it closes it again."""
        from assistant.tui.screens import pages

        page, kind = self.screen, pages.KINDS[name]
        if isinstance(page, ModalScreen):
            return
        if isinstance(page, pages.Page):
            await self.pop_screen()
        if not isinstance(page, kind):
            self.push_screen(pages.make(kind, self.chat))

    def action_help(self) -> None:
        from assistant.tui.screens.help import HelpScreen

        if isinstance(self.screen, HelpScreen):
            self.pop_screen()
        elif not isinstance(self.screen, ModalScreen):
            widgets = [w for w in self.screen.walk_children() if type(w).__module__.startswith("assistant.")]
            unique = {type(node): node for node in reversed([self, self.screen, *widgets])}
            self.push_screen(HelpScreen(list(reversed(unique.values()))))

    def get_system_commands(self, screen: Screen[object]) -> Iterable[SystemCommand]:
        for node in (screen, self):
            for binding in type(node).__dict__.get("BINDINGS", []):
                if binding.description and binding.action != "command_palette":
                    yield SystemCommand(
                        binding.description,
                        binding.tooltip,
                        partial(node.run_action, binding.action),
                    )
        yield SystemCommand("Theme", "Change the colours", self.action_change_theme)
