"""What one person does, and what happens to a tweet, as live events."""

from typing import Annotated

import strawberry
from strawberry import Parent

from datastore import records
from schema import globalid
from schema.tweets import Tweet
from schema.users import User


@strawberry.type(description="They posted a tweet, or answered one.")
class UserPostedTweet:
    tweet: Tweet = strawberry.field(description="The new tweet.")

    @classmethod
    def is_type_of(cls, obj: object, info: object) -> bool:
        return isinstance(obj, records.PostedTweet)


@strawberry.type(description="They deleted a tweet.")
class UserDeletedTweet:
    @strawberry.field(description="The tweet that is gone.")
    def tweet_id(parent: Parent[records.DeletedTweet]) -> strawberry.ID:
        return globalid.encode("Tweet", parent.tweet_id)

    @classmethod
    def is_type_of(cls, obj: object, info: object) -> bool:
        return isinstance(obj, records.DeletedTweet)


@strawberry.type(description="They liked a tweet.")
class UserLikedTweet:
    tweet: Tweet = strawberry.field(description="The tweet.")

    @classmethod
    def is_type_of(cls, obj: object, info: object) -> bool:
        return isinstance(obj, records.LikedTweet)


@strawberry.type(description="They retweeted a tweet.")
class UserRetweeted:
    tweet: Tweet = strawberry.field(description="The tweet.")

    @classmethod
    def is_type_of(cls, obj: object, info: object) -> bool:
        return isinstance(obj, records.Retweeted)


@strawberry.type(description="They followed somebody.")
class UserFollowedUser:
    user: User = strawberry.field(description="Whom they follow now.")

    @classmethod
    def is_type_of(cls, obj: object, info: object) -> bool:
        return isinstance(obj, records.FollowedUser)


UserActivityEvent = Annotated[
    UserPostedTweet | UserDeletedTweet | UserLikedTweet | UserRetweeted | UserFollowedUser,
    strawberry.union("UserActivityEvent", description="Anything a user does, as it happens: the user's topic."),
]


@strawberry.type(description="The tweet's counts are others now.")
class TweetCountsChanged:
    tweet: Tweet = strawberry.field(description="The tweet with its new counts.")

    @classmethod
    def is_type_of(cls, obj: object, info: object) -> bool:
        return isinstance(obj, records.TweetCounts)


@strawberry.type(description="The tweet is gone, or hidden from the viewer. It raises no more events.")
class TweetDeleted:
    @strawberry.field(description="The tweet.")
    def tweet_id(parent: Parent[records.TweetGone]) -> strawberry.ID:
        return globalid.encode("Tweet", parent.tweet_id)

    @classmethod
    def is_type_of(cls, obj: object, info: object) -> bool:
        return isinstance(obj, records.TweetGone)


TweetEvent = Annotated[
    TweetCountsChanged | TweetDeleted,
    strawberry.union("TweetEvent", description="Something happened to a watched tweet."),
]
