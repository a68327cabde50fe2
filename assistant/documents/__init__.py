"""The user's own documents: read into a full-text index on this machine, and quoted word for word.

`walk` finds files, `extract` reads one into blocks, `passages` cuts blocks, `index` keeps them, `update` is the one
writer, `search` ranks passages, `answer` picks the sentences and says how sure it is. What is read here is shown to the
user only: no model sees it, so nothing in a document can give an instruction to one.
"""
