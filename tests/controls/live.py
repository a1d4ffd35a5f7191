"""Controls of live delivery: what a lost message, a lost server and a client that stops reading would cost."""

from tests.controls.control import Control, Edit

_NO_RESYNC: tuple[Edit, ...] = (
    (
        "realtime/reader.py",
        "        if missed is None:\n            reason",
        "        missed = [] if missed is None else missed\n        if missed is None:\n            reason",
    ),
)

LIVE = (
    Control(
        "pub/sub is only the fast path",
        "tests/faults/test_redis_away.py::"
        "test_200_subscriptions_get_exactly_their_sequence_while_pubsub_is_cut_every_150_ms",
        "^E .*(TimeoutError|[aA]ssert)",
        (
            (
                "realtime/reader.py",
                "if previous == self.tail and len(self.queue) < QUEUE_LIMIT:",
                "if True:",
            ),
            (
                "realtime/hub.py",
                "        for reader in self._readers.get(channel, ()):\n            reader.own.doubt()\n",
                "",
            ),
            ("realtime/hub.py", "if last is not None and last != reader.own.tail:", "if False:"),
        ),
    ),
    Control(
        "a position is read on from, whatever the server",
        "tests/faults/test_killed_processes.py::test_the_killed_servers_clients_resume_on_the_other_twice_in_a_row",
        "^E .*(TimeoutError|[aA]ssert)",
        (
            (
                "realtime/lua/resume.lua",
                "if last == ARGV[1] then return { 'ok', last, {} } end",
                "do return { 'ok', last, {} } end",
            ),
        ),
    ),
    Control(
        "what Redis forgot is announced",
        "tests/flows/test_live.py::test_a_flush_is_announced_and_the_subscription_goes_on",
        "^E .*(TimeoutError|[aA]ssert)",
        _NO_RESYNC,
    ),
    Control(
        "what Redis lost with its restart is announced",
        "tests/faults/test_redis_away.py::test_a_redis_that_restarts_empty_under_load_changes_no_page",
        "^E .*(TimeoutError|[aA]ssert)",
        _NO_RESYNC,
    ),
    Control(
        "who reads nothing for long is closed",
        "tests/live/test_slow_readers.py::test_a_socket_that_nobody_reads_is_closed_with_1013_and_the_others_go_on",
        "^E .*(TimeoutError|[aA]ssert)",
        (("schema/sockets.py", "elif silent > self._patience.stalled_seconds:", "elif False:"),),
    ),
    Control(
        "a channel is left by its last reader",
        "tests/faults/test_disconnects.py::"
        "test_a_thousand_live_sockets_that_are_reset_at_once_leave_nothing_and_hold_nobody_up",
        "^E .*TimeoutError",
        (
            (
                "realtime/hub.py",
                "            del self._readers[channel]\n            await asyncio.shield(self._unsubscribe(channel))",
                "            del self._readers[channel]",
            ),
        ),
    ),
)
