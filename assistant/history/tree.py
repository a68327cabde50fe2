"""All branches of a chat, each message in short."""

from __future__ import annotations

from assistant import wire
from assistant.history.store import History

PREVIEW_CHARS = 120

_DOWN = """WITH RECURSIVE down(id) AS (
    SELECT ? UNION ALL SELECT m.id FROM messages m JOIN down ON m.parent_id = down.id)
    SELECT m.id FROM down JOIN messages m USING (id)
    WHERE NOT EXISTS (SELECT 1 FROM messages k WHERE k.parent_id = m.id)
    ORDER BY m.created_at DESC, m.rowid DESC LIMIT 1"""


def tree(history: History, chat_id: str) -> wire.ChatTree:
    """Raises RequestError 404 if there is no such chat."""
    chat = history.chat(chat_id)
    rows = history._rows(
        "SELECT id, parent_id, role, status, created_at, substr(content, 1, ?) AS preview FROM messages"
        " WHERE chat_id = ? ORDER BY created_at, rowid",
        PREVIEW_CHARS,
        chat_id,
    )
    places = {row["id"]: place for place, row in enumerate(rows)}
    ends: dict[str, int] = {}  # the place of the newest message without an answer
    for place, row in reversed(list(enumerate(rows))):  # children come after their parents
        end = ends.setdefault(row["id"], place)
        if row["parent_id"] in places:
            ends[row["parent_id"]] = max(end, ends.get(row["parent_id"], 0))
    nodes = [
        wire.Node(id=r["id"], parent_id=r["parent_id"], role=r["role"], status=r["status"], preview=r["preview"],
                  created_at=r["created_at"], head_id=rows[ends[r["id"]]]["id"])
        for r in rows
    ]  # fmt: skip
    return wire.ChatTree(chat=chat, nodes=nodes)


def newest_end(history: History, message_id: str) -> str:
    """The newest message without an answer below this one, itself if it is one."""
    return history._rows(_DOWN, message_id)[0]["id"]
