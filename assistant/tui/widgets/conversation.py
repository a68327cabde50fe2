"""The messages of a chat: follows the newest words, draws only what is near the screen, can be read by keys."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, ClassVar

from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.widget import Widget
from textual.widgets import Static

from assistant import wire
from assistant.tui.messages import MessageAction
from assistant.tui.widgets.message import AssistantMessage, UserMessage
from assistant.tui.widgets.quote_line import QuoteLine
from assistant.tui.widgets.welcome import Welcome

if TYPE_CHECKING:
    from assistant.tui.markdown import Code
    from assistant.tui.widgets.voice_bar import VoiceBar

FIRST, MORE = 8, 4
"""Messages that are drawn at once, and those that join as long as less than a screen waits beyond an end of it: few,
because a message costs 5 ms, and a key that is pressed meanwhile comes between."""
NEAR_ROWS = 4
FAR = 40
"""A jump over more messages than this leaves those between undrawn."""
KEPT = 40
"""Drawn at once, if more are not needed for a screen on either side: what is added at one end goes at the other, so
that the last page scrolls like the first."""


class Conversation(VerticalScroll, can_focus=True):
    HELP = (
        "The conversation. It follows the newest words; scroll up and it stays where you are, scroll to the end and it "
        "follows again. F8 reads it by keys: the arrows choose a message or a block of code in it, Y copies."
    )
    BINDING_GROUP_TITLE = "Conversation"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up", "scroll_up", "Up", tooltip="One line up", show=False),
        Binding("down", "scroll_down", "Down", tooltip="One line down", show=False),
        Binding("home", "first", "Start", tooltip="To the first message", show=False),
        Binding("end", "last", "End", tooltip="To the newest words", show=False),
        Binding("up,k", "choose(-1)", "Message above", tooltip="While reading: the message above"),
        Binding("down,j", "choose(1)", "Message below", tooltip="While reading: the message below"),
        Binding("left,right,b", "block", "Code block", tooltip="While reading: the next block of code in it"),
        Binding("y,c,enter", "act('copy')", "Copy", tooltip="While reading: copy the message or the block"),
        Binding("f", "act('fork')", "Fork here", tooltip="While reading: a new chat up to this message"),
        Binding("e", "act('edit')", "Edit", tooltip="While reading: edit this message of yours"),
        Binding("r", "act('retry')", "Answer again", tooltip="While reading: answer this message again"),
        Binding("o", "open", "Open quote", tooltip="While reading: open the quoted file; again: the next quote"),
    ]
    READING: ClassVar[set[str]] = {"choose", "block", "act", "open"}

    def __init__(self) -> None:
        super().__init__()
        self._stored: Sequence[wire.Message] = []  # the branch; whoever appends to it has drawn it already
        self._first = 0  # of those that are drawn
        self._end: int | None = None  # after those that are drawn; None: all to the newest
        self._moving = False  # what is drawn is about to change, or the place in it
        self._jumps = 0
        self.chosen: Widget | None = None
        self.aloud: VoiceBar | None = None  # reads the reply while it is written
        self._block: Code | None = None
        self._opened = 0  # quotes of the chosen message

    def compose(self):
        yield Welcome()

    def on_mount(self) -> None:
        self.anchor()

    # --- what is drawn ---

    async def show(self, messages: Sequence[wire.Message]) -> None:
        """Show a branch of a chat; what is on the screen already is left as it is."""
        self.stop_reading()
        same = self._stored is not messages and self._end is None and self._same(messages)
        self._stored = messages
        if not same:
            self._jumps, self._moving = self._jumps + 1, False
        with self.app.batch_update():
            if same:
                await self.remove_children(list(self.children)[same:])
                await self.mount_all(map(widget_for, messages[self._first + same - self._gap :]))
                return
            self._first, self._end = max(len(messages) - FIRST, 0), None
            await self.remove_children()
            widgets = [*map(widget_for, messages[self._first :])]
            await self.mount_all([*self._earlier(), *(widgets or [Welcome()])])
        self.anchor()
        if self._first:
            self.call_after_refresh(self._near_end)

    @property
    def _gap(self) -> int:
        return int(bool(self.query_children("#earlier")))

    def _same(self, messages: Sequence[wire.Message]) -> int:
        """How many of the drawn widgets show these messages as well; 0 if another chat begins."""
        count = self._gap
        for widget, message in zip(list(self.children)[count:], messages[self._first :], strict=False):
            if not (isinstance(widget, UserMessage | AssistantMessage) and widget.shows(message)):
                break
            count += 1
        return count if count > self._gap else 0

    def _earlier(self) -> list[Widget]:
        text = f"▲ {self._first:,} earlier messages · scroll up, or Home"
        return [Static(text, id="earlier", classes="more")] if self._first else []

    async def add(self, widget: Widget) -> None:
        """Append, and go there: the person has just caused it."""
        await self.to_end()
        await self.query("#welcome").remove()
        await self.mount(widget)
        self.anchor()

    def feel(self, message_id: str, mood: wire.Mood) -> None:
        """A message of the person's was read for its mood."""
        for message in self._stored:
            if message.id == message_id:
                message.mood = mood
        for widget in self._messages():
            if isinstance(widget, UserMessage) and widget.message_id == message_id:
                widget.feel(mood)

    async def add_reply(self, reply: Widget, message: Widget | None) -> None:
        """Put a reply below its message, above others that may already wait; scroll nowhere."""
        await self.to_end()
        below = message if message and message.parent is self else None
        await self.mount(reply, after=below)

    async def cut_after(self, message_id: str | None) -> None:
        """Remove what follows a message; None removes everything."""
        await self.to_end()
        children = list(self.children)
        ids = [getattr(child, "message_id", None) for child in children]
        if message_id is None:
            self._first = 0
            await self.remove_children()
        elif message_id in ids:
            await self.remove_children(children[ids.index(message_id) + 1 :])
        elif message_id in {m.id for m in self._stored}:
            await self._redraw()

    async def to_end(self) -> None:
        if self._end is not None:
            await self._redraw()

    async def _redraw(self) -> None:
        messages, self._stored = self._stored, []
        self._first, self._end = 0, len(messages)  # nothing of it may stay
        await self.show(messages)

    # --- what is near the screen ---

    def watch_scroll_y(self, old: float, new: float) -> None:
        super().watch_scroll_y(old, new)
        if new != old:
            self._near_end()

    def _near_end(self) -> None:
        if self._moving or (self._follows and NEAR_ROWS < self.max_scroll_y != self.scroll_y):
            return  # on its way to the newest words
        if self._first and self.scroll_y <= self._near:
            self._moving = True
            self.call_next(self._draw_earlier)
        elif self._end is not None and self.scroll_y >= self.max_scroll_y - self._near:
            self._moving = True
            self.call_next(self._draw_later)
        elif self._end is None and not self.is_anchored and self.scroll_y >= self.max_scroll_y:
            self.anchor()  # follows the newest words again

    @property
    def _near(self) -> int:
        return max(self.size.height, NEAR_ROWS)

    async def _draw_earlier(self, number: int = 0) -> None:
        self._moving, place = True, self._place()
        first = max(self._first - (number or MORE), 0)
        widgets = [*map(widget_for, self._stored[first : self._first])]
        self._first = first
        with self.app.batch_update():
            await self.query_children("#earlier").remove()
            if place[0] != self._jumps:
                return
            await self.mount_all([*self._earlier(), *widgets], before=0)
            if place[0] != self._jumps:
                return
            end = len(self._stored) if self._end is None else self._end
            drawn = self._messages()
            if first + len(drawn) == end and len(drawn) > KEPT and not self._follows:  # nothing waits below the branch
                far = self.scroll_y + self.size.height + self._near
                if beyond := [w for w in drawn[KEPT:] if w.virtual_region.y > far]:
                    self._end = end - len(beyond)
                    self.anchor(False)  # the end of what is drawn is not the end
                    await self._drop(beyond)
        self.call_after_refresh(self._stay, *place)

    async def _draw_later(self) -> None:
        self._moving, place = True, self._place()
        begin = len(self._stored) if self._end is None else self._end
        end = min(begin + MORE, len(self._stored))
        self._end = end if end < len(self._stored) else None
        with self.app.batch_update():
            await self.mount_all(map(widget_for, self._stored[begin:end]))
            if place[0] != self._jumps:
                return
            far = self.scroll_y - self._near
            if beyond := [w for w in self._messages()[:-KEPT] if w.virtual_region.bottom < far]:
                self._first += len(beyond)
                await self._drop(beyond)
                await self.query_children("#earlier").remove()
                if place[0] != self._jumps:
                    return
                await self.mount_all(self._earlier(), before=0)
        self.call_after_refresh(self._stay, *place)

    async def _drop(self, widgets: Sequence[Widget]) -> None:
        if self.chosen in widgets:
            self.stop_reading()
        await self.remove_children(widgets)

    def _place(self) -> tuple[int, Widget | None, float]:
        """The uppermost message on the screen, and how far from its upper edge it begins; valid until the next jump."""
        for widget in self._messages():
            if widget.virtual_region.bottom > self.scroll_y:
                return self._jumps, widget, widget.virtual_region.y - self.scroll_y
        return self._jumps, None, 0.0

    def _jump(self, then: Callable[[], object]) -> None:
        """Go elsewhere once what is there is laid out; nothing that waited to stay in place does so after it."""
        self._jumps += 1
        self._moving = True

        def arrive() -> None:
            then()
            self.call_after_refresh(self._stay, self._jumps, None, 0.0)

        self.call_after_refresh(arrive)

    def _stay(self, jumps: int, widget: Widget | None, rows: float) -> None:
        """What was under the eyes stays there when messages come in or go above it."""
        if jumps != self._jumps:
            return
        self._moving = False
        if widget and widget.is_attached and not self._follows:
            self.scroll_to(y=widget.virtual_region.y - rows, animate=False, immediate=True, force=True)
        self._near_end()

    async def _draw_around(self, place: int) -> None:
        """Have this one of the stored messages drawn, and some on either side."""
        if self._first - FAR <= place < self._first:
            await self._draw_earlier(self._first - place + FIRST)
        elif place < self._first or (self._end is not None and place >= self._end):
            self._jumps += 1
            self._moving = True
            self._first, end = max(place - FIRST // 2, 0), min(place + FIRST, len(self._stored))
            self._end = end if end < len(self._stored) else None
            with self.app.batch_update():
                await self.remove_children()
                await self.mount_all([*self._earlier(), *map(widget_for, self._stored[self._first : end])])

    async def go_to(self, message_id: str) -> None:
        """Bring a message into view and choose it."""
        places = {message.id: place for place, message in enumerate(self._stored)}
        if message_id not in places:
            return
        await self._draw_around(places[message_id])
        self.anchor(False)
        self.release_anchor()
        for widget in self._messages():
            if widget.message_id == message_id:
                self._jump(lambda chosen=widget: self._choose(chosen))

    @property
    def _follows(self) -> bool:
        """Whether new words scroll it; `is_anchored` stays true while the person has scrolled away."""
        return self._anchored and not self._anchor_released

    def page(self, pages: int) -> None:
        if pages < 0:
            self.release_anchor()
        (self.scroll_page_up if pages < 0 else self.scroll_page_down)(animate=False)
        self._near_end()

    async def action_first(self) -> None:
        await self._draw_around(0)
        if self._end is not None:
            self.anchor(False)
        self.release_anchor()
        self._jump(lambda: self.scroll_home(animate=False, immediate=True))

    async def action_last(self) -> None:
        await self.to_end()
        self.anchor()

    # --- reading by keys ---

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        reading = self.chosen is not None
        if action in self.READING:
            return reading
        return not (reading and action in ("scroll_up", "scroll_down"))

    def start_reading(self) -> None:
        if messages := self._messages():
            self.focus(scroll_visible=False)
            self._choose(messages[-1])

    def stop_reading(self) -> bool:
        """True if it was going on."""
        reading = self.chosen is not None
        self._mark(None, None)
        return reading

    def action_choose(self, steps: int) -> None:
        messages = self._messages()
        if self.chosen in messages:
            self._choose(messages[min(max(messages.index(self.chosen) + steps, 0), len(messages) - 1)])

    def action_block(self) -> None:
        if not isinstance(self.chosen, AssistantMessage):
            return
        prose = self.chosen.prose
        blocks = [None, *prose.codes]
        place = blocks.index(self._block) if self._block in blocks else 0
        self._mark(self.chosen, blocks[(place + 1) % len(blocks)])
        if rows := prose.choose(self._block):
            self.release_anchor()
            offset = self.chosen.virtual_region.offset + prose.virtual_region.offset
            self.scroll_to_region(rows.translate(offset), animate=False)

    def action_open(self) -> None:
        quotes = [*self.chosen.query(QuoteLine)] if self.chosen else []
        if quotes:
            self._opened += 1
            quotes[(self._opened - 1) % len(quotes)].action_open()

    def action_act(self, verb: str) -> None:
        if isinstance(self.chosen, UserMessage | AssistantMessage):
            text = self._block.text if self._block else self.chosen.text
            self.post_message(MessageAction(verb, self.chosen.message_id, text))

    def _messages(self) -> list[UserMessage | AssistantMessage]:
        return [child for child in self.children if isinstance(child, UserMessage | AssistantMessage)]

    def _choose(self, widget: Widget) -> None:
        self._mark(widget, None)
        self.release_anchor()
        widget.scroll_visible(animate=False)

    def _mark(self, chosen: Widget | None, block: Code | None) -> None:
        if self._block and isinstance(self.chosen, AssistantMessage):
            self.chosen.prose.choose(None)
        if self.chosen is not chosen:
            if self.chosen:
                self.chosen.remove_class("-chosen")
            self._opened = 0
            if chosen:
                chosen.add_class("-chosen")
        self.chosen, self._block = chosen, block
        self.refresh_bindings()

    def on_blur(self) -> None:
        self.stop_reading()


def widget_for(message: wire.Message) -> Widget:
    if message.role == "assistant":
        return AssistantMessage(message)
    return UserMessage(message.content, message.id, message.mood)
