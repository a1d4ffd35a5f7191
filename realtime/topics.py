"""Topics: what a person does and what happens to a tweet, told as it happens. Nothing is kept and nothing replayed."""

from dataclasses import dataclass
from enum import StrEnum

from realtime import keys
from realtime.connect import Client


class Deed(StrEnum):
    """What a person did, to what their activity names."""

    POSTED = "posted"
    DELETED = "deleted"
    LIKED = "liked"
    RETWEETED = "retweeted"
    FOLLOWED = "followed"


@dataclass(frozen=True, slots=True)
class Activity:
    """A deed and the id of the tweet, or of the user for a follow, that it is about."""

    deed: Deed
    subject_id: int


class Topics:
    """Messages gathered over a batch of events and published together, in order, at least once."""

    def __init__(self, redis: Client) -> None:
        self._redis = redis
        self._messages: list[tuple[str, str]] = []

    def apart(self) -> "Topics":
        """Another one, with nothing gathered."""
        return Topics(self._redis)

    def did(self, user_id: int, deed: Deed, subject_id: int) -> None:
        """Tell who listens to this person."""
        self._messages.append((keys.activity_channel(user_id), f"{deed}:{subject_id}"))

    def happened_to(self, tweet_id: int) -> None:
        """Tell who watches this tweet that its counts may have changed, or that it is gone."""
        self._messages.append((keys.tweet_channel(tweet_id), ""))

    async def flush(self) -> None:
        """Publish what was gathered. One round trip, none for nothing."""
        messages, self._messages = self._messages, []
        if not messages:
            return
        async with self._redis.pipeline(transaction=False) as pipe:
            for channel, payload in messages:
                pipe.execute_command("SPUBLISH", channel, payload)
            await pipe.execute()


def parse(payload: str) -> Activity:
    """The activity of a message."""
    deed, _, subject_id = payload.partition(":")
    return Activity(Deed(deed), int(subject_id))
