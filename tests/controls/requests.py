"""Controls of requests: deadlines, breaker, standby, idempotency, what is shed, how a server ends."""

from tests.controls.control import Control, Edit

_MONGO = "tests/faults/test_mongo_away.py::"
_NO_MAJORITY = (
    _MONGO + "test_without_a_majority_writes_are_refused_pages_answer_and_a_repeated_key_makes_no_second_tweet"
)
_REDIS = "tests/faults/test_redis_away.py::"
_RACES = "tests/faults/test_races.py::"
_HIDING = _RACES + "test_nothing_of_an_unfollowed_a_blocked_a_deleting_or_a_deleted_author_is_shown_while_they_post"
_ROLLING = (
    "tests/faults/test_killed_processes.py::"
    "test_a_rolling_restart_under_load_fails_no_request_and_no_live_reader_misses_any"
)
_OVERLOAD = "tests/flows/test_overload.py::test_counts_go_first_then_search_then_rebuilds_then_reads_and_tweets_last"

_NO_RETRIES: tuple[Edit, ...] = (
    ("datastore/mongo.py", "        retryWrites=True,", "        retryWrites=False,"),
    ("datastore/mongo.py", "        retryReads=True,", "        retryReads=False,"),
)

REQUESTS = (
    Control(
        "what a dead primary did not answer is asked again",
        _MONGO + "test_a_killed_primary_costs_its_writers_a_wait_and_no_tweet",
        "^E .*[aA]ssert",
        _NO_RETRIES,
    ),
    Control(
        "without a primary a standby answers pages",
        _NO_MAJORITY,
        "^E .*TimeoutError",
        (
            (
                "resolvers/context.py",
                "return self.standby.services if self.standby and self.standby.is_due() else self",
                "return self",
            ),
        ),
    ),
    Control(
        "a key stands for one tweet",
        _NO_MAJORITY,
        "assert 2 == 1",
        (("datastore/tweets.py", "tweet_id = await self._reserve(", "await self._reserve("),),
    ),
    Control(
        "a request has a deadline",
        _MONGO + "test_a_stopped_mongodb_lets_no_requests_pile_up",
        "^E .*ReadTimeout",
        (
            (
                "realtime/load.py",
                "            with within(self._seconds):\n                yield",
                "            yield",
            ),
        ),
    ),
    Control(
        "a breaker opens when Redis hangs",
        _REDIS + "test_pages_answer_while_redis_hangs_and_it_heals_alone",
        "^E .*[aA]ssert",
        (("realtime/breaker.py", "FAILURES = 2\n", "FAILURES = 10**9\n"),),
    ),
    Control(
        "MongoDB answers where Redis does not",
        _REDIS + "test_one_server_that_cannot_reach_redis_answers_by_itself_and_its_readers_are_told",
        "^E .*[aA]ssert",
        (
            (
                "realtime/timelines.py",
                'log.warning("timeline.unserved", key=names[0], error=type(error).__name__)\n            return _AWAY',
                "raise",
            ),
            (
                "realtime/timelines.py",
                "        except RedisError:\n            return None\n",
                "        except RedisError:\n            raise\n",
            ),
        ),
    ),
    Control(
        "a count moves with its edge alone",
        _RACES + "test_200_likes_and_unlikes_at_once_whose_events_come_twice_leave_the_count_at_the_edges",
        "^E .*[aA]ssert",
        (
            (
                "datastore/likes.py",
                "        except DuplicateKeyError:\n            return False",
                "        except DuplicateKeyError:\n            pass",
            ),
        ),
    ),
    Control(
        "an unfollowed author is filtered",
        _HIDING,
        "^E .*[aA]ssert",
        (("resolvers/timelines.py", "    if tweet.author_id not in followed:\n        return False\n", ""),),
    ),
    Control(
        "one builds a timeline that is missing, whatever the process",
        _RACES + "test_500_readers_of_one_missing_timeline_on_two_servers_make_one_rebuild",
        "^E .*[aA]ssert",
        (
            ("realtime/lua/build_begin.lua", "  if tonumber(deadline) > now_ms then return 'building' end\n", ""),
            ("realtime/timelines.py", "        task = self._building.get(names[0])\n", "        task = None\n"),
        ),
    ),
    Control(
        "a server that is told to stop ends what it has begun",
        _ROLLING,
        "^E .*[aA]ssert",
        (("schema/server.py", "await self._sockets.drain()", '__import__("os")._exit(0)'),),
    ),
    Control(
        "a stopping server sends its sockets away in slices",
        "tests/live/test_ends.py::test_sigterm_sends_sockets_away_in_slices_and_serves_the_rest_meanwhile",
        "^E .*[aA]ssert",
        (("schema/sockets.py", "list(self._open)[: self._patience.drain_slice]", "list(self._open)"),),
    ),
    Control(
        "what is too much is refused in its order",
        _OVERLOAD,
        "^E .*(TimeoutError|[aA]ssert)",
        (("realtime/load.py", "spared = self._in_hand <= burden.value * self._at_once", "spared = True"),),
    ),
    Control(
        "above twice as many nothing is taken",
        _OVERLOAD,
        "^E .*[aA]ssert",
        (("realtime/load.py", "return self._in_hand >= ALL * self._at_once", "return False"),),
    ),
    Control(
        "a body that does not come ends its request",
        "tests/schema/test_bodies.py::test_a_body_that_does_not_come_is_408_and_the_end_of_the_connection",
        "^E .*(TimeoutError|[aA]ssert)",
        (("schema/bodies.py", "asyncio.timeout(limits.BODY_WAIT_SECONDS)", "asyncio.timeout(None)"),),
    ),
)
