"""Ablations: the rules of timelines and live delivery, each taken out in turn. The model must notice every one."""

from typing import Any

from datastore.entries import Entries
from datastore.records import Roads
from realtime import handlers, timelines
from realtime.handlers import HANDLERS
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
        theme="builds",
        python=((Timelines, "_build", ablated.read_before_claim),),
    ),
    Ablation(
        "a set accepts pushes while it is built",
        theme="takeovers",
        lua=(("deliver", "if not name then", "if name ~= 'floor' then"),),
    ),
    Ablation(
        "nothing is served while it is built",
        theme="builds",
        lua=(("page", "if name ~= 'floor' then return { 'building' } end", ""),),
    ),
    Ablation(
        "a trim raises the floor",
        theme="builds",
        lua=(
            ("common", "redis.call('ZREMRANGEBYRANK', tl, 0, extra)", "redis.call('ZREMRANGEBYRANK', tl, 1, extra)"),
            ("common", "redis.call('ZADD', tl, cut[2], name)", ""),
        ),
    ),
    Ablation(
        "a merge raises the floor to its cut",
        theme="roads",
        lua=(("merge", "fill(tl, name, floor, ARGV[7], 8)", "fill(tl, name, floor, '0', 8)"),),
    ),
    Ablation(
        "a rebuild raises the floor to its cut",
        theme="builds",
        lua=(("build_finish", "fill(tl, 'floor', floor, ARGV[4], 5)", "fill(tl, 'floor', floor, '0', 5)"),),
    ),
    Ablation(
        "finishing keeps the floor that rose while building",
        theme="floors",
        lua=(("build_finish", "redis.call('ZADD', tl, floor, 'floor')", "redis.call('ZADD', tl, 0, 'floor')"),),
    ),
    Ablation(
        "a merge leaves out what is below the floor",
        theme="floors",
        lua=(("common", "if tonumber(ARGV[i]) > tonumber(high) then", "if true then"),),
    ),
    Ablation(
        "a push below the floor leaves the set alone",
        theme="live",
        lua=(("deliver", "elseif tonumber(entry) <= tonumber(floor) then", "elseif false then"),),
    ),
    Ablation(
        "a push below the floor is numbered",
        theme="live",
        lua=(("deliver", "payload = 's:WINDOW_EXCEEDED'", "payload = nil"),),
    ),
    Ablation("a page trusts no set below the highest floor", theme="roads", seed=16, python=((timelines, "max", min),)),
    Ablation(
        "finishing a rebuild ends the live state",
        theme="absences",
        lua=(("build_finish", "redis.call('DEL', KEYS[2], KEYS[3])", ""),),
    ),
    Ablation(
        "a push that finds no timeline ends the presence",
        theme="absences",
        lua=(("deliver", "redis.call('DEL', on)", "local _ = on"),),
    ),
    Ablation(
        "a merge that finds no timeline ends the presence",
        theme="absences",
        lua=(("merge", "redis.call('DEL', on)", ""),),
    ),
    Ablation(
        "whoever creates the presence deletes the stream",
        theme="lapses",
        lua=(("page", "redis.call('DEL', ev)", ""),),
    ),
    Ablation(
        "a position that the stream does not know is a resync",
        theme="live",
        lua=(("resume", "return { 'lost', last }", "return { 'ok', last, {} }"),),
    ),
    Ablation(
        "only a new entry is numbered",
        theme="live",
        lua=(("deliver", "redis.call('ZADD', tl, entry, entry) == 1", "redis.call('ZADD', tl, entry, entry) >= 0"),),
    ),
    Ablation(
        "a removal is numbered though the set holds nothing",
        theme="removals",
        lua=(
            ("deliver", "redis.call('ZREM', tl, entry)", "if redis.call('ZREM', tl, entry) == 1 then"),
            ("deliver", "payload = '-:' .. entry .. ':' .. tweet", "payload = '-:' .. entry .. ':' .. tweet end"),
        ),
    ),
    Ablation(
        "follows, unfollows, blocks and mutes are numbered",
        theme="removals",
        lua=(("deliver", "payload = 's:FOLLOWS_CHANGED'", ""),),
    ),
    Ablation(
        "a merge is numbered",
        theme="roads",
        lua=(("merge", "return number(on, ev, channel, ARGV[1] .. '.0', 's:FOLLOWS_CHANGED', ARGV[3], ARGV[4])", ""),),
    ),
    Ablation(
        "the live cursor is read before the page", theme="cursors", python=((Timelines, "page", ablated.cursor_last),)
    ),
    Ablation(
        "a message that is not the next is read on", theme="live", seed=11, python=((Chain, "offer", ablated.any_next),)
    ),
    Ablation(
        "of both streams the lower entry comes first", theme="returns", python=((Reader, "_next", ablated.own_first),)
    ),
    Ablation(
        "a page reads the reader's own newest entries",
        theme="builds",
        python=((Entries, "newest", ablated.nothing_of_one),),
    ),
    Ablation(
        "a delete unpushes every retweet",
        theme="removals",
        python=(_handled("TweetDeleted", ablated.unpush_the_tweet_alone),),
    ),
    Ablation(
        "a follow of a top user merges too",
        theme="arrivals",
        python=(_handled("UserFollowed", ablated.merge_plain_ones_alone),),
    ),
    Ablation(
        "a follow of a top user is flagged",
        theme="arrivals",
        python=(_handled("UserFollowed", ablated.merge_unflagged),),
    ),
    Ablation(
        "the road is a function of the id and the log",
        theme="departures",
        python=((Roads, "is_pulled", lambda self, _: self.is_top),),
    ),
    Ablation(
        "promotion flags before it switches",
        theme="roads",
        python=((TopUsers, "promote", ablated.switch_before_flags),),
    ),
    Ablation(
        "demotion merges before it takes flags away",
        theme="departures",
        python=((TopUsers, "demote", ablated.flags_before_merge),),
    ),
    Ablation(
        "demotion reads followers after its switch",
        theme="departures",
        python=((TopUsers, "demote", ablated.followers_before_switch),),
    ),
    Ablation(
        "demotion merges what was pulled", theme="departures", python=((Timelines, "fill", ablated.fill_nothing),)
    ),
    Ablation(
        "who wrote on the top road looks again",
        theme="departures",
        python=((handlers, "_push", ablated.push_and_look_no_more),),
    ),
    Ablation(
        "top users' entries are numbered though no recents are kept",
        theme="departures",
        lua=(("announce", "local prev = redis.call", "if not name then return 0 end\nlocal prev = redis.call"),),
    ),
]
