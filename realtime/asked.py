"""Asked: what the handlers of a batch ask MongoDB at the same moment, read for all of them at once. Keeps nothing."""

from collections.abc import Mapping

from datastore.follows import Follows
from datastore.joined import Joined
from datastore.records import Roads, Tweet
from datastore.tweets import Tweets
from datastore.users import Users


class Asked:
    """The questions that nearly every event of a batch asks."""

    def __init__(self, users: Users, tweets: Tweets, follows: Follows) -> None:
        self._tweets = tweets
        self._roads = Joined(users.roads_of)
        self._followers = Joined(follows.followers_of)
        self._living = Joined(self._living_of)

    async def tweet(self, tweet_id: int) -> Tweet | None:
        """The tweet, None if it is absent or deleted."""
        return await self._living.get(tweet_id)

    async def roads(self, user_id: int) -> Roads | None:
        """How their entries travel; None for nobody."""
        return await self._roads.get(user_id)

    async def followers(self, author_id: int) -> list[int] | None:
        """All their followers, in no order; None if they are too many to be read beside others': walk them then."""
        return await self._followers.get(author_id)

    async def _living_of(self, tweet_ids: list[int]) -> Mapping[int, Tweet]:
        return {tweet.id: tweet for tweet in await self._tweets.get_many(tweet_ids) if tweet}
