"""What crosses the socket: OpenAI's request and response shapes, our chats, and the `cost` object on every answer.

Both sides import these types, so that client and daemon cannot drift apart. Durations are seconds, energies
joules, times of day Unix seconds. Fields with None are left out of the JSON.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec

Role = Literal["system", "user", "assistant"]
FinishReason = Literal["stop", "length", "cancelled", "error"]
MessageStatus = Literal["complete", "streaming", "cancelled", "interrupted", "error"]
Basis = Literal["measured", "modelled", "simulated"]
BASIS_GLYPH: dict[str, str] = {"measured": "", "modelled": "~", "simulated": "◇"}
"""The mark before a figure, everywhere in the product: what was computed must not look like what was measured."""


class Wire(msgspec.Struct, omit_defaults=False, kw_only=True):
    """Base of all wire types; unknown fields from newer peers are ignored."""


class Cost(Wire):
    """What an answer cost so far. Times are the host's and measured; the device's figures carry their own basis.

    `elapsed_s` = queue + prefill + decode + sample + text + other. Rates and percentiles are None until they can be
    told. `bytes_moved` and `macs` are counted by the device's model, so `gb_s` is a count over a measured time; it is
    None for a simulated device, whose bytes and our seconds have nothing to do with each other.
    """

    prompt_tokens: int = 0  # prefilled for this answer (tokens already in a checkpoint are not)
    cached_tokens: int = 0  # taken from a checkpoint instead of being prefilled
    completion_tokens: int = 0
    elapsed_s: float = 0.0  # measured: from submission to the newest token
    queue_s: float = 0.0  # measured: waiting for a slot
    prefill_s: float = 0.0  # measured, host
    decode_s: float = 0.0  # measured, host, forward passes only
    sample_s: float = 0.0  # measured, host
    text_s: float = 0.0  # measured, host: from tokens to text, stop strings
    other_s: float = 0.0  # the rest of elapsed_s: turns of other sequences, scheduling
    store_s: float = 0.0  # measured: saving the reply while it grows; beside the decoding, so not part of elapsed_s
    ttft_s: float | None = None  # measured: from submission to the first token
    tok_s: float | None = None  # measured: completion tokens per second after the first
    ms_per_token: float | None = None  # measured: 1000 / tok_s
    ms_per_token_p50: float | None = None  # measured: time between two tokens, half of them are quicker
    ms_per_token_p95: float | None = None
    batch: float = 1.0  # mean number of sequences that shared each decode pass
    macs: int = 0
    bytes_moved: int = 0  # this sequence's share of its passes
    bytes_per_token: float | None = None  # of decode passes, this sequence's share
    gb_s: float | None = None  # 1e9 bytes per second of whole decode passes
    wall_gb_s: float | None = None  # measured: what this host can read at most; the memory wall
    wall_share: float | None = None  # gb_s / wall_gb_s; above 1 where part of the model stays in a cache
    device_s: float = 0.0  # the device model's own latency, never mixed with wall time
    energy_j: float = 0.0
    j_per_token: float | None = None  # of decode passes, this sequence's share; basis: energy_basis
    model_energy_j: float | None = None  # beside a measured energy_j: what the device's model says
    basis: Basis = "modelled"  # of device_s
    energy_basis: Basis = "modelled"  # of energy_j and j_per_token
    energy_source: str = ""  # the sensor and what it covers, or the model and its constants
    backend: str = ""
    simulated: bool = False
    precision: str = ""


class Usage(Wire):
    prompt_tokens: int = 0
    completion_tokens: int = 0
    total_tokens: int = 0


# --- OpenAI: /v1/chat/completions, /v1/completions, /v1/models -------------------------------------------


class ChatMessage(Wire):
    role: str
    content: str | list[dict[str, Any]] | None = None  # a list of {"type": "text", "text": ...} parts is joined
    tool_calls: list[Any] | None = None  # the assistant's, as an answer gave them
    tool_call_id: str | None = None  # of a tool's message: the call that it answers


class SamplingFields(Wire):
    """Everything that shapes the choice of the next token; None means the configured default."""

    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    penalty_decay: float | None = None
    seed: int | None = None
    stop: str | list[str] | None = None
    max_tokens: int | None = None
    max_completion_tokens: int | None = None


class StreamOptions(Wire):
    include_usage: bool = False


class CompletionBase(SamplingFields):
    model: str = ""
    stream: bool = False
    stream_options: StreamOptions | None = None
    n: int | None = None
    logprobs: bool | int | None = None
    user: str | None = None


class ChatCompletionRequest(CompletionBase, kw_only=True):
    messages: list[ChatMessage]
    tools: list[Any] | None = None
    tool_choice: str | dict[str, Any] | None = None
    parallel_tool_calls: bool | None = None
    functions: list[Any] | None = None  # how OpenAI's clients said it before tools: refused
    response_format: dict[str, Any] | None = None
    think: bool | None = None  # extension: RWKV G1's think mode


class CompletionRequest(CompletionBase, kw_only=True):
    prompt: str | list[Any]
    echo: bool = False
    suffix: str | None = None
    best_of: int | None = None


class TokenizeRequest(Wire):
    text: str


class TokenizeResponse(Wire):
    tokens: list[int]
    count: int


class ModelCard(Wire, omit_defaults=True):
    id: str
    object: Literal["model"] = "model"
    created: int = 0
    owned_by: str = "local"
    precision: str | None = None
    parameters: int | None = None


class ErrorBody(Wire):
    """OpenAI's error shape plus what to do next."""

    message: str
    type: str = "invalid_request_error"
    code: str | None = None
    param: str | None = None
    hint: str | None = None


# --- chats: /v1/chats -------------------------------------------------------------------------------------


class Chat(Wire):
    id: str
    title: str
    created_at: float
    updated_at: float
    pinned: bool = False
    system: str = ""
    head_id: str | None = None  # the last message of the branch being shown
    messages: int = 0


class Quote(Wire):
    """A passage of one of the user's own files, word for word."""

    file: str
    text: str
    heading: str = ""  # what it stands under
    line: int | None = None  # where it begins, from 1; None for pages
    page: int | None = None  # from 1, where the file has pages
    state: Literal["current", "changed", "gone"] = "current"  # of the file, since it was read


class DocumentFolder(Wire):
    """A folder, or a file by itself, that the user has added."""

    path: str
    files: int  # that were read
    skipped: int
    passages: int
    bytes: int  # of the files that were read


class SkippedFile(Wire):
    path: str
    reason: str


class DocumentList(Wire):
    """What is indexed of the user's own files."""

    folders: list[DocumentFolder]
    skipped: list[SkippedFile]


class DocumentQuery(Wire):
    query: str  # words to search, or a question
    limit: Annotated[int, msgspec.Meta(ge=1, le=100)] = 10


class DocumentHit(Wire):
    quote: Quote  # the whole passage
    snippet: str  # a part of it, with \x02 before and \x03 after each word that was found
    score: float  # BM25, larger is better; comparable within one answer only


class DocumentHits(Wire):
    query: str
    hits: list[DocumentHit]


class DocumentAnswer(Wire):
    """`confidence`: calibrated, that the first quote answers. Below one half that is not `known`, and `quotes` are the
    nearest passages."""

    question: str
    known: bool
    confidence: float
    text: str  # to be shown as it is
    quotes: list[Quote]


class SkillAnswer(Wire):
    """What code found out, not the model: exact, and shown as such beside (or instead of) a reply."""

    skill: str
    text: str  # complete in itself, one or a few plain sentences
    quotes: list[Quote] = []


class Mood(Wire):
    """What a user's message sounds like: a reading of words, never a diagnosis."""

    label: str  # one of the seven of assistant.evaluation.feelings.LABELS
    valence: Literal["positive", "negative", "neutral"]
    intensity: float  # 0 (calm) to 1
    confidence: float  # calibrated: of readings that say 0.7, seven in ten are right
    source: str  # "state probe" or "lexicon"


class Message(Wire):
    id: str
    chat_id: str
    parent_id: str | None
    role: Role
    content: str
    status: MessageStatus
    created_at: float
    finish_reason: FinishReason | None = None
    siblings: int = 1  # how many alternatives share this parent
    sibling_index: int = 0
    cost: Cost | None = None
    mood: Mood | None = None  # of a user's message, where emotion sensing is on
    skill: SkillAnswer | None = None  # of a reply that a skill gave or helped to give


class ChatView(Wire):
    """A chat and the messages from its root to its head."""

    chat: Chat
    messages: list[Message]


class NewChat(Wire):
    title: str | None = None
    system: str | None = None


class ChatPatch(Wire):
    title: str | None = None
    pinned: bool | None = None
    head_id: str | None = None  # undo, or show another branch


class SendMessage(SamplingFields, kw_only=True):
    """A user turn. `parent_id` (default: the head) makes it an edit of, or a branch beside, what follows it."""

    content: str
    parent_id: str | None = None
    root: bool = False  # True: parent is the chat's root (edit of the very first message)
    think: bool | None = None
    skills: bool | None = None  # False: the model answers, whatever a skill would have said
    mood: bool | None = None  # False: nobody reads how the message sounds


class Regenerate(SamplingFields):
    """Answer a user message again, as a sibling of its earlier answers; default: the last user message."""

    message_id: str | None = None
    think: bool | None = None
    skills: bool | None = None  # False: the model answers, whatever a skill would have said
    mood: bool | None = None  # False: nobody reads how the message sounds


class Nothing(Wire):
    """A request without fields."""


class Fork(Wire):
    message_id: str | None = None  # the last message the new chat keeps; default: the head


# --- events of a chat's stream (server-sent events, one JSON object each, tagged by `event`) ----------------


class Event(Wire, tag_field="event"):
    """Base of stream events."""


class Started(Event, tag="started"):
    user_message: Message
    message_id: str  # of the reply being written


class Sensed(Event, tag="sensed"):
    """What the user's message sounds like; comes once, at any time before the end."""

    message_id: str  # of the user's message
    mood: Mood


class SkillUsed(Event, tag="skill"):
    """A skill has an answer; the reply's text follows as deltas all the same."""

    answer: SkillAnswer


class Delta(Event, tag="delta"):
    text: str
    tokens: int = 1
    cost: Cost | None = None  # running totals, on every event


class Finished(Event, tag="finished"):
    message: Message
    usage: Usage
    cost: Cost


class Failed(Event, tag="failed"):
    error: ErrorBody


StreamEvent = Started | Sensed | SkillUsed | Delta | Finished | Failed


# --- /v1/cost: totals of many answers --------------------------------------------------------------------------

CostBy = Literal["day", "session", "backend"]


class CostTotals(Wire):
    """Sums over answers. Joules and device seconds are kept apart by how they are known, and never added up."""

    answers: int = 0
    prompt_tokens: int = 0
    cached_tokens: int = 0
    completion_tokens: int = 0
    elapsed_s: float = 0.0
    queue_s: float = 0.0
    prefill_s: float = 0.0
    decode_s: float = 0.0
    sample_s: float = 0.0
    text_s: float = 0.0
    other_s: float = 0.0
    store_s: float = 0.0
    macs: int = 0
    bytes_moved: int = 0
    device_s: dict[Basis, float] = {}
    energy_j: dict[Basis, float] = {}


class Equivalents(Wire):
    """What totals would cost: electricity and CO2 by basis of the joules; a cloud service for the same tokens."""

    currency: str
    electricity: dict[Basis, float]
    co2_g: dict[Basis, float]
    cloud_low: float
    cloud_high: float


class CostRow(Wire):
    key: str  # a day, the id of a chat, or "backend precision"; "" for what belongs to no chat (any more)
    label: str
    totals: CostTotals
    equivalents: Equivalents


class CostReport(Wire):
    """Answers since a day (local time), grouped; `notes` tell where the numbers come from."""

    by: CostBy
    since: str | None
    rows: list[CostRow]
    total: CostTotals
    equivalents: Equivalents
    notes: list[str]


class CloudPrices(Wire):
    """What a hosted model would ask per million tokens, as a band; a reference only, nothing is sent."""

    currency: str
    input_low: float
    input_high: float
    output_low: float
    output_high: float


# --- the library: /v1/search, /v1/revision, /v1/chats/{id}/tree and /export ---------------------------------------


class SearchHit(Wire):
    """A message that was found. `snippet` has the found words between U+0002 and U+0003; `head_id` is the end of a
    branch that holds the message (the one being shown, if it does)."""

    chat_id: str
    chat_title: str
    message_id: str
    head_id: str
    role: Role
    created_at: float
    snippet: str


class SearchResults(Wire):
    query: str
    hits: list[SearchHit]


class Node(Wire):
    """One message of a chat's tree, in short; `head_id` is the newest end of the branches through it."""

    id: str
    parent_id: str | None
    role: Role
    status: MessageStatus
    preview: str
    created_at: float
    head_id: str


class ChatTree(Wire):
    chat: Chat
    nodes: list[Node]  # parents before children, siblings by age


class Revision(Wire):
    """`revision` grows with every change of the history; `chat`: the one that was asked about, if it is there."""

    revision: int
    chat: Chat | None = None


# --- /v1/mood --------------------------------------------------------------------------------------------------


class MoodRequest(Wire):
    text: str


class MoodAnswer(Wire):
    """How a text sounds; `shares` of the seven labels sum to 1."""

    mood: Mood
    shares: dict[str, float]


# --- /v1/skills ----------------------------------------------------------------------------------------------


class SkillView(Wire):
    """A skill as the daemon has it."""

    name: str
    help: str
    examples: list[str]
    on: bool
    why_off: str = ""  # switched off, or what is wrong with a plug-in
    plugin: str = ""  # the distribution that brings it; empty for ours


class SkillList(Wire):
    data: list[SkillView]


class Reminder(Wire):
    """Something to be told at a time. Once told it is kept for a while, so that nobody misses it."""

    id: int
    text: str
    kind: Literal["timer", "alarm", "reminder"]
    words: str  # what is said when it is told: "Timer: tea", and how late that is
    due_at: float  # when next, Unix seconds
    when: str  # the same in words, in the zone of the machine that keeps it
    repeats: str = ""  # in words; empty: once
    fired_at: float | None = None  # when it was told last
    late_s: float | None = None  # how late that was; None: in time
    done: bool = False  # told, and it does not come again


class ReminderList(Wire):
    data: list[Reminder]


class NewReminder(Wire):
    """`text` is a sentence such as a chat understands: "remind me to call Ann at 6 pm"."""

    text: str


# --- /v1/plan ------------------------------------------------------------------------------------------------


class FigureView(Wire):
    """One figure of a plan; None: not known. `note`: what it rests on."""

    value: float | None
    unit: str
    basis: Basis
    note: str = ""


class OptionView(Wire):
    """One way to run. `executable`: false for what is shown only to be compared with."""

    name: str
    model: str
    backend: str
    precision: str
    where: str  # threads or chips and what lies where, in words
    privacy: str
    simulated: bool
    untested: bool
    executable: bool
    figures: dict[str, FigureView]


class LimitView(Wire):
    key: str
    bound: float | str | bool | list[str]
    words: str


class BreachView(Wire):
    limit: LimitView
    value: float | str | bool | None
    known: bool
    words: str


class LoserView(Wire):
    """An option that was not chosen: the limits it breaks, or the metric in which it was outranked."""

    option: OptionView
    words: str
    breaches: list[BreachView]
    outranked_by: str | None


class RelaxationView(Wire):
    limit: LimitView
    needed: float | str | bool | None
    option: str
    words: str


class PlanView(Wire):
    """A solved plan. `conflict`: a smallest set of limits that cannot hold together; `relaxations`: single changes that
    would be enough; `together`: the changes that are needed where no single one is."""

    policy: str
    title: str
    prompt_tokens: int
    limits: list[LimitView]
    feasible: bool
    choice: OptionView | None
    losers: list[LoserView]
    why_not: str | None
    conflict: list[LimitView]
    relaxations: list[RelaxationView]
    together: list[RelaxationView]
    front: list[str]
    calibrated_at: str | None


class PlanChange(Wire):
    """The daemon went over to another plan, or could not."""

    at: float
    policy: str
    before: str
    after: str
    reason: str


class PredictionView(Wire):
    """Predicted and measured time of a decode pass of what runs now; `error`: mean relative error so far."""

    predicted_ms: float | None
    measured_ms: float | None
    error: float | None
    replies: int


class PlanStatus(Wire):
    """What the daemon follows. `active`: what runs; `pending`: what it is going over to; `note`: what is not as the
    policy wants, in words."""

    plan: PlanView
    active: str
    since: float
    reason: str
    power: str  # mains | battery | unknown
    pending: str | None
    note: str | None
    prediction: PredictionView
    policies: list[str]
    changes: list[PlanChange]


class PlanBrief(Wire):
    """The plan in /readyz."""

    policy: str
    active: str
    power: str
    pending: str | None = None
    note: str | None = None


class PlanRequest(Wire):
    """A policy (None: the one that is followed) with limits by the names that policy files use."""

    policy: str | None = None
    limits: dict[str, Any] = {}


# --- /readyz ------------------------------------------------------------------------------------------------


class BackendStatus(Wire):
    name: str
    description: str
    simulated: bool
    precision: str
    threads: int | None = None


class ModelStatus(Wire):
    name: str
    parameters: int
    layers: int
    width: int
    vocab: int
    bytes: int
    template: str
    sha256: str


class EngineStatus(Wire):
    live: int  # sequences in the batch
    queued: int
    max_batch: int
    tokens_total: int = 0


class NetworkStatus(Wire):
    """What keeps this process off every network, as the kernel tells it (/proc/self/status) and as it was tried."""

    denied: bool  # a socket of IPv4, IPv6 and netlink was asked for just now, and refused
    seccomp: int  # 2: a filter is on
    no_new_privs: int
    namespace: str  # net namespace, as "net:[inode]"
    reason: str | None = None  # why there is no filter


Verdict = Literal["PASS", "FAIL", "NOT PROVEN", "SKIPPED"]


class SelfTestSummary(Wire):
    """The last kept report of `assistant selftest`, in short. A whole report has these fields and more."""

    verdict: Verdict
    finished_at: float
    seconds: float
    rungs: dict[str, Verdict]  # by name: static, seccomp, honeypot, live
    hosts: list[str] = []  # who was called, if anybody
    why: str = ""  # in one sentence
    sha256: str = ""  # of the report


class Probe(Wire):
    """One thing that a service must not be able to do, tried from inside of it."""

    name: str
    refused: bool
    outcome: str
    required: bool = True  # False: told, but it depends on how the service was started


class Attestation(Wire):
    """What the running service could not do, tried when it was asked to."""

    network: NetworkStatus
    probes: list[Probe]
    pid: int
    uid: int
    at: float
    under_systemd: bool = False
    egress_bytes: int | None = None  # None: this systemd does not count


class SelfTests(Wire):
    last: SelfTestSummary | None
    kept: int  # reports in the history


class Ready(Wire):
    ready: bool
    version: str
    pid: int
    started_at: float
    model: ModelStatus | None = None
    backend: BackendStatus | None = None
    engine: EngineStatus | None = None
    plan: PlanBrief | None = None
    reason: str | None = None  # why not ready
    weights_in_memory: bool = True  # False: given back after a while of idleness; the next request takes them again
    network: NetworkStatus | None = None
    selftest: SelfTestSummary | None = None
