"""What it takes, reckoned: the best threshold of top users, and cores, memory and disks for more people than fit on a
machine. Pure functions of the measured costs and of what is assumed here.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from operator import itemgetter
from typing import Any

Costs = Mapping[str, float]
Rows = list[list[str]]
Lines = list[tuple[str, str, float]]

# Nobody measured these: they are what one would like to know of one's own people.
ASSUMED: dict[str, float] = {
    "followers, least": 17,
    "followers, exponent": 1.2,
    "followers, most": 1e8,
    "tweets of a daily user": 1,
    "pages for a tweet": 50,
    "likes of a tweet": 5,
    "share of daily users who are there at once": 0.1,
    "peak over mean": 3,
    "busy share of a core at the peak": 0.6,
    "copies of each document": 3,
}
THRESHOLDS = (500, 1_000, 2_000, 5_000, 10_000, 27_000, 100_000, 1_000_000, 10_000_000)
# How much more somebody writes who has more followers: followers to this power. The demo world has 0.7.
ZEALS = (0.3, 0.5, 0.7)
DAY = 86_400
SOCKETS_A_PROCESS = 10_000
# As it is today.
THRESHOLD = 5000
NODE_CORES, NODE_BYTES = 32, 128e9


def mean_followers() -> float:
    """Of an account, and so of whom an account follows."""
    return _moment(1.0, ASSUMED["followers, most"])


def _moment(power: float, up_to: float) -> float:
    """The mean of followers ^ power over authors with at most so many; the others count nothing."""
    least, a = ASSUMED["followers, least"], ASSUMED["followers, exponent"]
    if abs(power - a) < 1e-9:
        raise ValueError(power)
    return float(a * least**a * (up_to ** (power - a) - least ** (power - a)) / (power - a))


def pulled(threshold: float) -> float:
    """How many of the people whom a reader follows are above the threshold."""
    return mean_followers() - _moment(1.0, threshold)


def a_tweet(costs: Costs, threshold: float, zeal: float) -> tuple[float, float]:
    """CPU in seconds for a mean tweet's fan-out at write, and for merging at read in the pages that go with it."""
    most = ASSUMED["followers, most"]
    written = _moment(1 + zeal, threshold) / _moment(zeal, most)
    entry = costs["entry: worker"] + costs["entry: Redis"]
    merged = costs["top user on a page: server"] + costs["top user on a page: Redis"]
    return written * entry, ASSUMED["pages for a tweet"] * pulled(threshold) * merged


def knee(costs: Costs) -> dict[str, Any]:
    """Over thresholds: what fan-out and merging cost together, and how long the last follower of the largest author
    below it waits for one worker. The knee is the lowest sum."""
    rows = []
    for threshold in THRESHOLDS:
        sums = {f"CPU, zeal {zeal}": 1000 * sum(a_tweet(costs, threshold, zeal)) for zeal in ZEALS}
        last = threshold * costs["entry: worker"]
        rows.append({"threshold": threshold, "pulled on a page": pulled(threshold), **sums, "last follower, s": last})
    best = {f"{zeal}": min(rows, key=itemgetter(f"CPU, zeal {zeal}"))["threshold"] for zeal in ZEALS}
    return {"rows": rows, "best": best, "within a second": int(1 / costs["entry: worker"])}


def reckon(costs: Costs) -> dict[str, Rows]:
    """The arithmetic, a row for each line: what, from what, what it comes to."""
    return {"day": _of_users(costs, 5e8), "concurrent": _of_users(costs, 1e7)}


@dataclass(frozen=True, slots=True)
class Demand:
    """What so many daily users ask for at the peak, a second."""

    users: float
    tweets: float
    pages: float
    entries: float
    delivered: float
    at_once: float

    @classmethod
    def of(cls, users: float) -> "Demand":
        """As assumed."""
        tweets = ASSUMED["peak over mean"] * users * ASSUMED["tweets of a daily user"] / DAY
        share = ASSUMED["share of daily users who are there at once"]
        entries, delivered = tweets * (mean_followers() - pulled(THRESHOLD)), tweets * mean_followers() * share
        return cls(users, tweets, tweets * ASSUMED["pages for a tweet"], entries, delivered, share * users)


def _of_users(costs: Costs, users: float) -> Rows:
    demand = Demand.of(users)
    cores, memory = _cores(costs, demand), _memory(costs, demand)
    nodes = max(sum(count for _, _, count in cores) / NODE_CORES, sum(size for _, _, size in memory) / NODE_BYTES)
    return [
        *([what, source, f"{count:,.0f}"] for what, source, count in _rates(demand)),
        *([what, source, f"{count:,.1f}" if count < 10 else f"{count:,.0f}"] for what, source, count in cores),
        *([what, source, _gigabytes(size)] for what, source, size in memory + _disks(costs, demand)),
        ["nodes", f"of {NODE_CORES} cores and {_gigabytes(NODE_BYTES)}", f"{math.ceil(nodes):,}"],
    ]


def _rates(demand: Demand) -> Lines:
    followed = mean_followers()
    return [
        ("daily users", "", demand.users),
        ("people at once, each with a socket", "", demand.at_once),
        ("tweets a second", "", demand.tweets),
        ("pages a second", "", demand.pages),
        ("entries written a second", f"{followed - pulled(THRESHOLD):.0f} of {followed:.0f} a tweet", demand.entries),
        ("events delivered a second", f"{followed:.0f} a tweet, to those who are there", demand.delivered),
    ]


def _cores(costs: Costs, demand: Demand) -> Lines:
    """By what is asked at the peak, no core busier than assumed."""
    busy, tops = ASSUMED["busy share of a core at the peak"], pulled(THRESHOLD)
    page = costs["read: server"] + tops * costs["top user on a page: server"]
    merged = costs["read: Redis"] + tops * costs["top user on a page: Redis"]
    written, live = demand.tweets * costs["write: server"], demand.delivered * costs["delivery: server"]
    entry, stored, find = costs["entry: worker"], costs["entry: Redis"], costs["read: MongoDB"]
    redis = demand.pages * merged + demand.entries * stored
    told = f"{_ms(page)} a page, of which {_ms(page - costs['read: server'])} for {tops:.0f} top users"
    return [
        ("cores of servers", told, (demand.pages * page + written + live) / busy),
        ("cores of workers", f"{_us(entry)} an entry", demand.entries * entry / busy),
        ("cores of Redis", f"{_ms(merged)} a page, {_us(stored)} an entry", redis / busy),
        ("cores of MongoDB", f"{_ms(find)} a page or a tweet", (demand.pages + demand.tweets) * find / busy),
    ]


def _memory(costs: Costs, demand: Demand) -> Lines:
    socket, stream, timeline = (costs[f"{what}: bytes"] for what in ("socket", "present reader", "timeline"))
    processes = f"in {demand.at_once / SOCKETS_A_PROCESS:,.0f} processes of {SOCKETS_A_PROCESS:,} sockets"
    return [
        ("memory of sockets", f"{socket / 1e3:.0f} KB each, {processes}", demand.at_once * socket),
        ("Redis, live streams", f"{stream / 1e3:.1f} KB for each who is there", demand.at_once * stream),
        ("Redis, timelines", f"{timeline / 1e3:.1f} KB for each daily user", demand.users * timeline),
    ]


def _disks(costs: Costs, demand: Demand) -> Lines:
    tweet = costs["tweets: bytes"] + ASSUMED["likes of a tweet"] * costs["likes: bytes"]
    follows, copies = mean_followers() * costs["follows: bytes"], ASSUMED["copies of each document"]
    tweets = demand.users * ASSUMED["tweets of a daily user"]
    return [
        (
            "disks, follows",
            f"{follows / 1e3:.0f} KB for each user, {copies:.0f} copies",
            demand.users * follows * copies,
        ),
        (
            "disks, each day",
            f"{tweet / 1e3:.1f} KB for a tweet with its likes, {copies:.0f} copies",
            tweets * tweet * copies,
        ),
    ]


def _ms(seconds: float) -> str:
    return f"{1000 * seconds:.2g} ms"


def _us(seconds: float) -> str:
    return f"{1e6 * seconds:.1f} us"


def _gigabytes(size: float) -> str:
    return f"{size / 1e12:,.1f} TB" if size >= 1e12 else f"{size / 1e9:,.0f} GB"
