"""Ablations: the rules of timelines and live delivery, each taken out in turn. The model must notice every one."""

from typing import Any

from datastore.entries import Entries
from datastore.records import Roads
from datastore.users import Users
from realtime import handlers, timelines
from realtime.handlers import HANDLERS
from realtime.hub import Hub
from realtime.reader import Chain, Reader
from realtime.timelines import Timelines
from realtime.top_users import TopUsers
from tests.model import ablated
from tests.model.schedules import Ablation


def _handled(name: Any, handler: Any) -> tuple[Any, str, Any]:
    return handlers, "HANDLERS", {**HANDLERS, name: handler}


ABLATIONS = [
    Ablation(
        "only the holder of the building token may finish",
        theme="takeovers",
        seed=8,
        lua=(
            (
                "build_finish",
                "if not name or string.sub(name, 1, #mine) ~= mine then return 0 end",
                "if not name then return 0 end",
            ),
        ),
    ),
    Ablation(
        "a build claims before it reads",
        theme="claims",
        seed=0,
        python=((Timelines, "_build", ablated.read_before_claim),),
    ),
    Ablation(
        "a set accepts pushes while it is built",
        theme="takeovers",
        seed=7,
        lua=(
            ("deliver", "if newest and newest < id then", "if newest and newest < id and sentinel(tl) == 'floor' then"),
            ("deliver", "if not name then", "if name ~= 'floor' then"),
        ),
    ),
    Ablation(
        "nothing is served while it is built",
        theme="builds",
        seed=5,
        lua=(("page", "if name ~= 'floor' then return { 'building' } end", ""),),
    ),
    Ablation(
        "a trim raises the floor",
        theme="builds",
        seed=4,
        lua=(("common", "name .. ':' .. cut)", "name .. ':' .. select(2, sentinel(tl)))"),),
    ),
    Ablation(
        "a merge raises the floor to its cut",
        theme="floors",
        seed=15,
        lua=(("merge", "fill(tl, name, floor, ARGV[7], 8)", "fill(tl, name, floor, '0', 8)"),),
    ),
    Ablation(
        "a rebuild raises the floor to its cut",
        theme="builds",
        seed=1,
        lua=(("build_finish", "fill(tl, 'floor', floor, ARGV[4], 5)", "fill(tl, 'floor', floor, '0', 5)"),),
    ),
    Ablation(
        "finishing keeps the floor that rose while building",
        theme="floors",
        seed=22,
        lua=(("build_finish", "fill(tl, 'floor', floor, ARGV[4], 5)", "fill(tl, 'floor', '0', ARGV[4], 5)"),),
    ),
    Ablation(
        "a merge leaves out what is below the floor",
        theme="gaps",
        seed=28,
        lua=(
            (
                "common",
                "if old[at] ~= ARGV[i] then take(ARGV[i]) end",
                "if old[at] ~= ARGV[i] then new[#new + 1] = ARGV[i] end",
            ),
        ),
    ),
    Ablation(
        "a push below the floor leaves the set alone",
        theme="live",
        seed=1,
        lua=(("deliver", "elseif id <= tonumber(floor) then", "elseif false then"),),
    ),
    Ablation(
        "a push below the floor is numbered",
        theme="depths",
        seed=0,
        lua=(("deliver", "payload = 's:WINDOW_EXCEEDED'", "payload = nil"),),
    ),
    Ablation("a page trusts no set below the highest floor", theme="roads", seed=3, python=((timelines, "max", min),)),
    Ablation(
        "finishing a rebuild ends the live state",
        theme="refills",
        seed=0,
        lua=(("build_finish", "redis.call('DEL', KEYS[2], KEYS[3])", ""),),
    ),
    Ablation(
        "a push that finds no timeline ends the presence",
        theme="absences",
        seed=0,
        lua=(("deliver", "call('DEL', 'on:' .. tail)", "local _ = tail"),),
    ),
    Ablation(
        "a merge that finds no timeline ends the presence",
        theme="strangers",
        seed=0,
        lua=(("merge", "redis.call('DEL', on)", ""),),
    ),
    Ablation(
        "whoever creates the presence deletes the stream",
        theme="lapses",
        seed=4,
        lua=(("page", "redis.call('DEL', ev)", ""),),
    ),
    Ablation(
        "a position that the stream does not know is a resync",
        theme="live",
        seed=2,
        lua=(("resume", "return { 'lost', last }", "return { 'ok', last, {} }"),),
    ),
    Ablation(
        "the newest token is read with what was missed",
        theme="backlogs",
        seed=25,
        python=((Hub, "_resume", ablated.newest_read_last),),
    ),
    Ablation(
        "only a new entry is numbered",
        theme="repeats",
        seed=0,
        lua=(("deliver", "if length then payload = added end", "payload = added"),),
    ),
    Ablation(
        "an entry that comes late goes where it belongs",
        theme="live",
        seed=30,
        lua=(("common", "'LINSERT', tl, 'BEFORE', next_, entry", "'LPUSH', tl, entry"),),
    ),
    Ablation(
        "a removal is numbered though the set holds nothing",
        theme="removals",
        seed=13,
        lua=(
            (
                "deliver",
                "call('LREM', tl, 1, entry)\n        payload",
                "if call('LREM', tl, 1, entry) == 1 then payload",
            ),
            ("deliver", "payload = '-:' .. entry .. ':' .. tweet", "payload = '-:' .. entry .. ':' .. tweet end"),
        ),
    ),
    Ablation(
        "follows, unfollows, blocks and mutes are numbered",
        theme="removals",
        seed=0,
        lua=(("deliver", "payload = 's:FOLLOWS_CHANGED'", ""),),
    ),
    Ablation(
        "a merge is numbered",
        theme="roads",
        seed=3,
        lua=(("merge", "return number(tail, ARGV[1], 0, 's:FOLLOWS_CHANGED', ARGV[3], ARGV[4])", ""),),
    ),
    Ablation(
        "the live cursor is read before the page",
        theme="cursors",
        seed=1,
        python=((Timelines, "page", ablated.cursor_last),),
    ),
    Ablation(
        "a message that is not the next is read on", theme="live", seed=2, python=((Chain, "offer", ablated.any_next),)
    ),
    Ablation(
        "of both streams the lower entry comes first",
        theme="backlogs",
        seed=0,
        python=((Reader, "_next", ablated.own_first),),
    ),
    Ablation(
        "a page reads the reader's own newest entries",
        theme="builds",
        seed=4,
        python=((Entries, "find_newest", ablated.nothing_of_ones_own),),
    ),
    Ablation(
        "a delete unpushes every retweet",
        theme="removals",
        seed=15,
        python=(_handled("TweetDeleted", ablated.unpush_the_tweet_alone),),
    ),
    Ablation(
        "a follow of a top user merges too",
        theme="arrivals",
        seed=15,
        python=(_handled("UserFollowed", ablated.merge_plain_ones_alone),),
    ),
    Ablation(
        "a follow of a top user is flagged",
        theme="arrivals",
        seed=1,
        python=(_handled("UserFollowed", ablated.merge_unflagged),),
    ),
    Ablation(
        "the road is a function of the id and the log",
        theme="departures",
        seed=0,
        python=((Roads, "is_pulled", lambda self, _: self.is_top),),
    ),
    Ablation(
        "promotion flags before it switches",
        theme="late promotions",
        seed=0,
        python=((TopUsers, "promote", ablated.switch_before_flags),),
    ),
    Ablation(
        "demotion merges before it takes flags away",
        theme="departures",
        seed=9,
        python=((TopUsers, "demote", ablated.flags_before_merge),),
    ),
    Ablation(
        "demotion reads followers after its switch",
        theme="late demotions",
        seed=3,
        python=((TopUsers, "demote", ablated.followers_before_switch),),
    ),
    Ablation(
        "demotion merges what was pulled",
        theme="departures",
        seed=0,
        python=((Timelines, "fill", ablated.fill_nothing),),
    ),
    Ablation(
        "who wrote on the top road looks again",
        theme="stragglers",
        seed=2,
        python=((handlers, "_push", ablated.push_and_look_no_more),),
    ),
    Ablation(
        "top users' entries are numbered though no recents are kept",
        theme="departures",
        seed=0,
        lua=(("announce", "local prev = redis.call", "if not name then return 0 end\nlocal prev = redis.call"),),
    ),
    Ablation(
        "what pub/sub queued before a resync does not count",
        theme="resyncs",
        seed=2,
        python=((Chain, "start", ablated.start_with_the_queue),),
    ),
    Ablation(
        "an own event waits until the shared stream is read on",
        theme="backlogs",
        seed=0,
        python=((Reader, "_next", ablated.own_unread),),
    ),
    Ablation(
        "an own event waits for older ones of its author, wherever they stand",
        theme="mixtures",
        seed=0,
        python=((Reader, "_next", ablated.lower_head),),
    ),
    Ablation(
        "what was read about a place that has moved meanwhile is read again",
        theme="mixtures",
        seed=19,
        python=((Reader, "_read_on", ablated.believe_an_older_place),),
    ),
    Ablation(
        "a switch counts from when it is written",
        theme="late demotions",
        seed=3,
        python=((Users, "switch", ablated.switch_as_called),),
    ),
]
