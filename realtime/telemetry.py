"""Metrics of what follows, with few labels and no ids; and how log lines look."""

import asyncio
import logging
import sys
from collections import deque
from collections.abc import Iterable, MutableMapping
from itertools import count
from typing import Any

import structlog
from prometheus_client import Counter, Gauge, Histogram

from datastore import ids, tracing
from datastore.records import Resync, ResyncReason, TweetAdded, TweetRemoved

EVENTS_HANDLED = Counter("perch_events_handled", "Events a worker handled.", ["event"])
EVENT_LAG = Gauge("perch_event_lag_seconds", "From relay to acknowledgement, of the newest batch.")
# A second is what a reader may wait; behind it stand a leader's lease and longer outages.
FANOUT_SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300)
FANOUT_LAG = Histogram(
    "perch_fanout_lag_seconds", "From a tweet's or retweet's id to its last timeline.", buckets=FANOUT_SECONDS
)
# Where that time goes, by the same clocks, and what comes behind it: "relayed" is in Redis, "taken" by a worker,
# "shown" to those of this process who watch.
ENTRY_AGE = Histogram(
    "perch_entry_age_seconds",
    "From a tweet's or retweet's id to a stage of its way.",
    ["stage"],
    buckets=FANOUT_SECONDS,
)
ENTRIES_RELAYED, ENTRIES_TAKEN, ENTRIES_SHOWN = map(ENTRY_AGE.labels, ("relayed", "taken", "shown"))
PAIRS_WRITTEN = Counter("perch_fanout_pairs", "(reader, entry) pairs sent to Redis.")
DEAD_LETTERS = Counter("perch_dead_letters", "Events set aside after too many deliveries.")
LANES_WAITING = Gauge("perch_lanes_waiting", "Events of authors with many readers that wait behind each other.")
BACKLOG = Gauge("perch_backlog", "How far the pipeline is behind (realtime/backlog.py).", ["what"])
BREAKER_OPEN = Gauge("perch_redis_breaker_open", "Servers of Redis that nobody asks because they did not answer.")
BREAKER_REFUSED = Counter("perch_redis_breaker_refused", "Calls of Redis that were not made because of that.")
REQUESTS_IN_HAND = Gauge("perch_requests_in_hand", "Requests that this process is answering.")
SHED = Counter("perch_shed", "What was refused because too many requests were in hand.", ["what"])
LIVE_READERS = Gauge("perch_live_readers", "Open home timeline subscriptions of this process.")
LIVE_EVENTS = Counter("perch_live_events", "Numbered events handed to subscriptions.", ["kind"])
# Looked up once: it is counted for each event and socket.
LIVE_EVENTS_BY_KIND = {kind: LIVE_EVENTS.labels(kind.__name__) for kind in (TweetAdded, TweetRemoved, Resync)}
RESYNCS = Counter("perch_resyncs", "Readers told to fetch their page again, by reason.", ["reason"])
RESYNCS_BY_REASON = {reason: RESYNCS.labels(reason.value) for reason in ResyncReason}
LIVE_ROUNDS = Counter("perch_live_rounds", "Rounds in which live events were read, filtered and handed out together.")
PAGE_ROUNDS = Histogram("perch_page_rounds", "Rounds that a home page took.", buckets=(1, 2, 3, 4, 6, 10))
LOADER_BATCHES = Counter("perch_loader_batches", "Batches of nested fields' records: rounds of a resolver.", ["loader"])
LOADER_KEYS = Counter("perch_loader_keys", "Records asked for in those batches.", ["loader"])
LIVE_READ_ON = Counter("perch_live_read_on", "Times a reader's stream was read because pub/sub did not suffice.")
COPY_READS = Counter("perch_copy_reads", "Tweets and people looked up among copies.", ["layer", "kind", "outcome"])
RECONCILE_COMPARED = Counter("perch_reconcile_compared", "Derived things compared with their truth.", ["kind"])
RECONCILE_DRIFT = Counter("perch_reconcile_drift", "Derived things that had drifted.", ["kind"])
LOOP_LAG = Gauge("perch_loop_lag_seconds", "How late the event loop was, the worst of the last seconds.")
TASKS = Gauge("perch_tasks", "Tasks of this process's event loop, as of the last five seconds.")
# Often enough to meet what blocks the loop for long, seldom enough to cost nothing.
LAG_LOOK_SECONDS, LAG_WINDOW_LOOKS = 0.1, 50
# Going through ten thousand tasks takes a millisecond or two.
TASKS_LOOKS = 50


def note_ages(stage: Histogram, entry_ids: Iterable[int]) -> None:
    """Entries have come to a stage."""
    now_ms = ids.now_ms()
    for entry_id in entry_ids:
        stage.observe(max(now_ms - ids.at_ms(entry_id), 0) / 1000)


async def follow_loop_lag() -> None:
    """Export how late this loop runs what is due, for ever: whatever does not give way makes all others wait. And how
    many tasks it has: what nobody ends shows there."""
    loop, late = asyncio.get_running_loop(), deque[float](maxlen=LAG_WINDOW_LOOKS)
    for look in count():
        if look % TASKS_LOOKS == 0:
            TASKS.set(len(asyncio.all_tasks()))
        due = loop.time() + LAG_LOOK_SECONDS
        await asyncio.sleep(LAG_LOOK_SECONDS)
        late.append(max(loop.time() - due, 0))
        LOOP_LAG.set(max(late))


def traced(_: object, __: str, line: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """The line with the trace that it belongs to, if it belongs to one."""
    if trace_id := tracing.trace_id():
        line["trace_id"] = trace_id
    return line


def configure_logs(least_level: str) -> None:
    """Structured lines from this level up, those of libraries too: for eyes on a terminal, JSON elsewhere."""
    # NOTE: where `rich` is installed, structlog would print the local variables of every frame, tokens among them.
    console = structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)
    render: Any = console if sys.stderr.isatty() else structlog.processors.JSONRenderer()
    shared: list[Any] = [
        structlog.processors.add_log_level,
        traced,
        structlog.processors.TimeStamper(fmt="iso"),
        structlog.processors.format_exc_info,
    ]
    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger(least_level),
        processors=[*shared, render],
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
    # uvicorn's, asyncio's and the drivers': whatever the logging module is told.
    named = [structlog.stdlib.add_logger_name, *shared]
    remove = structlog.stdlib.ProcessorFormatter.remove_processors_meta
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(structlog.stdlib.ProcessorFormatter(foreign_pre_chain=named, processors=[remove, render]))
    logging.basicConfig(handlers=[handler], level=least_level, force=True)
