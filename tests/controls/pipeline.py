"""Controls of the pipeline: relay, workers, lanes, dead letters, purges."""

from tests.controls.control import Control

_FAULTS = "tests/faults/test_pipeline_under_faults.py::"
_KILLED = "tests/faults/test_killed_processes.py::"
_PIPELINE = "tests/realtime/test_pipeline.py::"

PIPELINE = (
    Control(
        "what a dead worker held is claimed",
        _KILLED + "test_workers_killed_with_events_in_hand_lose_none_and_double_none",
        "^E .*TimeoutError",
        (
            (
                "realtime/worker.py",
                "                    await self._claim(partition)\n",
                "                    await ensure_group(self._redis, keys.events(partition))\n",
            ),
        ),
    ),
    Control(
        "a stream begins at the watermark",
        _KILLED + "test_without_a_worker_posts_are_accepted_and_delivered_when_one_comes",
        "^E .*TimeoutError",
        (
            (
                "datastore/changes.py",
                'options: Doc = {"resume_after": lease.token} if lease.token else '
                '{"start_at_operation_time": lease.start}',
                "options: Doc = {}",
            ),
        ),
    ),
    Control(
        "the insert is the announcement",
        _KILLED + "test_a_server_killed_right_after_the_insert_has_its_tweet_delivered",
        "^E .*TimeoutError",
        (
            (
                "datastore/events.py",
                '{"ns.coll": "tweets", "operationType": "insert", "fullDocument.imported": {"$ne": True}},',
                "",
            ),
        ),
    ),
    Control(
        "a lease that is not renewed passes on",
        _FAULTS + "test_a_frozen_relay_is_replaced_and_its_return_changes_nothing",
        "^E .*TimeoutError",
        (
            (
                "datastore/changes.py",
                '{"$lt": [{"$ifNull": ["$until", 0]}, "$$NOW"]}',
                '{"$eq": [{"$ifNull": ["$until", 0]}, 0]}',
            ),
        ),
    ),
    Control(
        "a watermark with an old fence is refused",
        "tests/datastore/test_changes.py::"
        "test_a_lease_that_is_not_renewed_passes_on_and_the_old_holder_can_store_no_more",
        "^E .*[aA]ssert",
        (("datastore/changes.py", '{"_id": "relay", "fence": fence}', '{"_id": "relay"}'),),
    ),
    Control(
        "the watermark waits for the acknowledgements",
        _PIPELINE + "test_the_watermark_waits_for_the_workers",
        "^E .*[aA]ssert",
        (
            (
                "realtime/relay.py",
                "while self._waiting and all(_stream_id(mark) <= frontier[p] for p, mark in self._waiting[0].marks):",
                "while self._waiting:",
            ),
        ),
    ),
    Control(
        "a relay notices that Redis is not what it filled",
        _PIPELINE + "test_events_that_redis_forgot_before_they_were_handled_are_relayed_again",
        "^E .*(TimeoutError|[aA]ssert)",
        (
            ("realtime/lua/append.lua", "if redis.call('GET', KEYS[1]) ~= ARGV[1] then return nil end", ""),
            (
                "realtime/relay.py",
                "if await self._redis.get(keys.RELAY_MARK) != self._mark or "
                "await self._redis_run_id() != self._run_id:",
                "if False:",
            ),
            (
                "realtime/relay.py",
                '                raise _RewindError("a group is gone") from error\n',
                "                await ensure_group(self._redis, stream)\n"
                "                return [(0, 0)] * self._partitions\n",
            ),
        ),
    ),
    Control(
        "what fell off the oplog is read from the documents",
        _FAULTS + "test_a_place_that_fell_off_the_oplog_is_read_from_the_documents_and_said_so",
        "^E .*[aA]ssert",
        (
            (
                "datastore/rescan.py",
                "Rescan(changes.mongo, since_ms(lease),",
                "Rescan(changes.mongo, since_ms(lease) + 10**10,",
            ),
        ),
    ),
    Control(
        "whoever is present resyncs behind a rescan",
        _FAULTS + "test_a_place_that_fell_off_the_oplog_is_read_from_the_documents_and_said_so",
        "^E .*(TimeoutError|[aA]ssert)",
        (("realtime/relay.py", "        await self._forget_live()\n", ""),),
    ),
    Control(
        "an event that always fails is set aside",
        _FAULTS + "test_events_that_no_worker_can_handle_are_set_aside_and_an_operator_sees_them",
        "^E .*TimeoutError",
        (("realtime/worker.py", "if attempt == DELIVERIES:", "if False:"),),
    ),
    Control(
        "an event that ends its workers is set aside",
        _PIPELINE + "test_an_event_that_ends_its_workers_is_set_aside_and_those_beside_it_are_handled",
        "^E .*(TimeoutError|[aA]ssert)",
        (("realtime/worker.py", "if times.get(one.entry_id, 0) > ALONE:", "if False:"),),
    ),
    Control(
        "an event that was beside one that ends its workers is handled",
        _PIPELINE + "test_an_event_that_ends_its_workers_is_set_aside_and_those_beside_it_are_handled",
        "^E .*(TimeoutError|[aA]ssert)",
        (
            ("realtime/worker.py", "retrycount=ALONE", "retrycount=ALONE + 1"),
            (
                "realtime/worker.py",
                "for one in deliveries:\n            if times",
                "for one in []:\n            if times",
            ),
        ),
    ),
    Control(
        "a late heartbeat takes nothing back",
        _PIPELINE + "test_a_heartbeat_that_comes_late_takes_nothing_back",
        "^E .*[aA]ssert",
        (("realtime/worker.py", 'int(one.fields["s"])}, gt=True)', 'int(one.fields["s"])})'),),
    ),
    Control(
        "an author with many readers leaves the batch",
        _FAULTS + "test_one_authors_burst_to_4999_readers_does_not_hold_up_another_authors_tweet",
        "^E .*[aA]ssert",
        (("realtime/handlers.py", "            raise TooManyError\n", "            pass\n"),),
    ),
    Control(
        "what follows an event in a lane waits there too",
        _PIPELINE + "test_an_author_who_loses_readers_overtakes_none_of_their_own_tweets",
        "^E .*(TimeoutError|[aA]ssert)",
        (("realtime/worker.py", "waits = self._lanes.has(one.lane)", "waits = False"),),
    ),
    Control(
        "a heartbeat waits for the lanes",
        _PIPELINE + "test_an_author_with_many_readers_holds_up_nobody_and_keeps_their_order",
        "^E .*[aA]ssert",
        (("realtime/worker.py", "if _is_beat(one) and not self._lanes.is_idle(one.partition)]", "if False]"),),
    ),
    Control(
        "a purge is taken again when its worker is silent",
        "tests/flows/test_delete_account.py::"
        "test_a_purge_whose_worker_is_killed_midway_goes_on_and_leaves_nothing_but_the_tombstone",
        "^E .*TimeoutError",
        (("realtime/purger.py", "lease=2 * settings.lease_seconds,", "lease=3600,"),),
    ),
    Control(
        "a worker that cannot work says so",
        "tests/faults/test_worker_probes.py::test_a_worker_that_cannot_work_says_why_and_when_it_can_again",
        "^E .*TimeoutError",
        (
            (
                "schema/health.py",
                'ready = not draining() and all(report[name] == "ok" for name in needed)',
                "ready = True",
            ),
        ),
    ),
    Control(
        "a worker tells how long nobody has relayed",
        "tests/faults/test_worker_probes.py::test_workers_tell_how_long_nobody_has_relayed",
        "^E .*TimeoutError",
        (("datastore/changes.py", 'return float("inf") if seconds is None else float(seconds)', "return 0.0"),),
    ),
    Control(
        "a soak notices one tweet in a hundred that is not fanned out",
        "-m tests.faults.soak --minutes 0.7 --seed 1",
        "lost [[]",
        (
            (
                "realtime/handlers.py",
                "    if tweet is None:\n        return\n    rooms.topics.did(tweet.author_id, Deed.POSTED",
                "    if tweet is None or event.subject_id // 4096 % 100 == 0:\n        return\n"
                "    rooms.topics.did(tweet.author_id, Deed.POSTED",
            ),
        ),
    ),
)
