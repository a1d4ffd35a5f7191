"""Home timelines: skeleton > hydrate > filter > present, the same four steps for a page and for a live event."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from datastore import ids
from datastore.ids import Kind
from datastore.records import HomeEdge, HomeTimeline, Key, Regard, Retweet, TimelineSource, Tweet
from realtime import telemetry
from realtime.timelines import Skeleton
from resolvers import guards, selection
from resolvers.ahead import together_with_flags
from resolvers.context import Context, Info, Services
from resolvers.loaders import Loaders
from resolvers.paging import one

# A page whose entries are filtered away asks for more, so often; then it is short and has a next page.
ROUNDS = 10
# So many rounds read what is kept, each twice as much as the one before: most pages lose a few replies and retweets.
# The others ask MongoDB for what the rules leave over, since one author's flood can be longer than any such round.
KEPT_ROUNDS = 3


@dataclass(frozen=True, slots=True)
class Shown:
    """The tweets that some entries show, by entry, and who passed on those that are retweets."""

    tweets: dict[int, Tweet]
    retweeters: dict[int, int]

    def people(self) -> set[int]:
        """Who must be there, and not be hidden from the viewer, for the entries to be shown."""
        return {*(tweet.author_id for tweet in self.tweets.values()), *self.retweeters.values()}

    def answered(self) -> set[int]:
        """Whose tweets are answered by these."""
        return {tweet.reply_author_id for tweet in self.tweets.values() if tweet.reply_author_id is not None}

    def living(self, loaders: Loaders, present_: Collection[int]) -> dict[int, Tweet]:
        """The tweets whose author and retweeter are among those present; `loaders` has them ready afterwards."""
        living = {entry: tweet for entry, tweet in self.tweets.items() if tweet.author_id in present_}
        for tweet in living.values():
            loaders.tweets.ready(tweet.id, tweet)
        return {
            entry: tweet for entry, tweet in living.items() if self.retweeters.get(entry, tweet.author_id) in present_
        }


@dataclass(frozen=True, slots=True)
class Hydrated:
    """The tweets that some entries show (none where the account of their author or retweeter is gone), who passed on
    those that are retweets, whom of the people concerned the viewer follows, and how they regard each other."""

    tweets: dict[int, Tweet]
    retweeters: dict[int, int]
    followed: set[int]
    regards: dict[int, Regard]

    def hides(self, user_id: int) -> bool:
        """Whether the viewer is not shown what this person writes or passes on."""
        return _hides(self.regards, user_id)


def _hides(regards: Mapping[int, Regard], user_id: int) -> bool:
    regard = regards.get(user_id)
    return regard is not None and (regard.apart or regard.mutes)


async def home(info: Info, first: int | None, after: Key | None) -> HomeTimeline:
    """One page of the viewer's timeline, newest first; `after` is exclusive. Raises UNAUTHENTICATED, BAD_USER_INPUT.

    A constant number of round trips, unless entries were filtered away: then one more round for what is missing.
    """
    context = info.context
    viewer_id = guards.viewer(context)
    size = guards.page_size(first)
    wanted = selection.names(info)
    edges: list[HomeEdge] = []
    before, token, more = one(after), "", True
    pulled: Collection[int] = ()
    for round_ in range(ROUNDS):
        missing = size - len(edges)
        if round_ < KEPT_ROUNDS:
            live = round_ == 0 and "liveCursor" in wanted
            skeleton = await context.services.timelines.page(viewer_id, missing << round_, before, live)
            pulled, token = skeleton.pulled, skeleton.token or token
        else:
            skeleton = await _by_the_rules(context, viewer_id, missing, before)
        context.loaders.copies = skeleton.copies
        hydrated = await hydrate(context, viewer_id, skeleton.entry_ids, wanted)
        kept = visible(viewer_id, skeleton.entry_ids, hydrated)
        edges += present(viewer_id, kept[:missing], hydrated, pulled)
        more = skeleton.more or len(kept) > missing
        looked_at = kept[missing - 1 : missing] if len(kept) > missing else skeleton.entry_ids[-1:]
        before = looked_at[0] if looked_at else before
        if not more or len(edges) == size:
            break
    telemetry.PAGE_ROUNDS.observe(round_ + 1)
    return HomeTimeline(edges, more, after is not None, token, before)


async def _by_the_rules(context: Context, viewer_id: int, first: int, before: int | None) -> Skeleton:
    """What MongoDB has for the viewer once the rules of replies, retweets and mutes have been asked for in the queries.
    Four round trips for each 200 followees, three of them side by side."""
    services = context.services
    followee_ids = await services.follows.followee_ids(viewer_id)
    regards = await services.blocks.regards(viewer_id, followee_ids)
    authors = [author for author in followee_ids if not _hides(regards, author)]
    circle = [viewer_id, *followee_ids]
    entry_ids = await services.entries.newest_among(circle, [viewer_id, *authors], first + 1, before)
    return Skeleton(entry_ids[:first], len(entry_ids) > first, "", frozenset())


async def hydrate(context: Context, viewer_id: int, entry_ids: Sequence[int], wanted: Collection[str] = ()) -> Hydrated:
    """Everything the page shows, in a number of MongoDB queries that does not grow with it: the retweets if there are
    any, the tweets, then in one round trip what the filter needs (read last, so that an unfollow, a block or a deleted
    account acts at once) and what was selected."""
    loaders, services = context.loaders, context.services
    shown = await read_shown(services, loaders, entry_ids)
    people = shown.people()
    tweet_ids = {tweet.id for tweet in shown.tweets.values()}
    finds = (
        services.follows.find_existing((viewer_id, person) for person in people | shown.answered()),
        services.blocks.find_regards((viewer_id, person) for person in people),
    )
    begun = together_with_flags(context, tweet_ids, wanted, *finds)
    present_ = await loaders.present(people)
    followed, regards = await begun
    living = shown.living(loaders, present_)
    regards = {person: regard for (_, person), regard in regards.items()}
    return Hydrated(living, shown.retweeters, {author for _, author in followed}, regards)


async def read_shown(services: Services, loaders: Loaders, entry_ids: Sequence[int]) -> Shown:
    """What these entries show, whoever looks: the retweets if there are any, then the tweets."""
    retweets = await services.retweets.get_many([entry for entry in entry_ids if ids.kind(entry) is Kind.RETWEET])
    tweet_ids = {entry: entry for entry in entry_ids if ids.kind(entry) is Kind.TWEET}
    tweet_ids |= {retweet.id: retweet.tweet_id for retweet in retweets}
    return shown_by(tweet_ids, await loaders.bodies(list({*tweet_ids.values()})), retweets)


def shown_by(tweet_ids: Mapping[int, int], tweets: Iterable[Tweet | None], retweets: Iterable[Retweet] = ()) -> Shown:
    """What entries show, by their tweets' ids: of those tweets and retweets that are there."""
    found = {tweet.id: tweet for tweet in tweets if tweet}
    retweeters = {retweet.id: retweet.author_id for retweet in retweets}
    there = {
        entry: found[tweet_id]
        for entry, tweet_id in tweet_ids.items()
        if tweet_id in found and (entry == tweet_id or entry in retweeters)
    }
    return Shown(there, retweeters)


def shown_as(viewer_id: int, entry: int, hydrated: Hydrated, pulled: Collection[int] = ()) -> HomeEdge | None:
    """The edge of one entry, None if the viewer may not see it now: see `visible` and `present`."""
    if entry not in hydrated.tweets or not _shows(viewer_id, entry, hydrated):
        return None
    return _edge(viewer_id, entry, hydrated, pulled)


def visible(viewer_id: int, entry_ids: Sequence[int], hydrated: Hydrated) -> list[int]:
    """The entries the viewer may see now, in order: not deleted, from somebody still followed, nobody hidden by a block
    or a mute, the rules of replies and retweets met."""
    return [entry for entry in entry_ids if entry in hydrated.tweets and _shows(viewer_id, entry, hydrated)]


def _shows(viewer_id: int, entry: int, hydrated: Hydrated) -> bool:
    tweet, followed = hydrated.tweets[entry], hydrated.followed
    retweeter = hydrated.retweeters.get(entry)
    if hydrated.hides(tweet.author_id) or (retweeter is not None and hydrated.hides(retweeter)):
        return False
    if retweeter is not None:
        # Who follows the author has the tweet already; two followed people's retweets of a stranger may both appear.
        known = tweet.author_id == viewer_id or tweet.author_id in followed
        return not known and (retweeter == viewer_id or retweeter in followed)
    if tweet.author_id == viewer_id:
        return True
    if tweet.author_id not in followed:
        return False
    # A reply is for those who know both ends; authors who answer themselves go on for everybody.
    return tweet.reply_author_id in (None, tweet.author_id, viewer_id) or tweet.reply_author_id in followed


def present(
    viewer_id: int, entry_ids: Sequence[int], hydrated: Hydrated, pulled: Collection[int] = ()
) -> list[HomeEdge]:
    """The edges of these entries, in order; `pulled` are the top users among their authors."""
    return [_edge(viewer_id, entry, hydrated, pulled) for entry in entry_ids]


def _edge(viewer_id: int, entry: int, hydrated: Hydrated, pulled: Collection[int]) -> HomeEdge:
    tweet, retweeter = hydrated.tweets[entry], hydrated.retweeters.get(entry)
    if retweeter is not None:
        return HomeEdge(entry, tweet, TimelineSource.RETWEET, retweeter)
    if tweet.author_id == viewer_id:
        return HomeEdge(entry, tweet, TimelineSource.SELF)
    return HomeEdge(entry, tweet, TimelineSource.TOP_USER if tweet.author_id in pulled else TimelineSource.FOLLOWING)
