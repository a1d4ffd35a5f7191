"""What people may do to each other and what they then see, in plain sets: the oracle of the state machine."""

from dataclasses import dataclass, field

DONE = "done"


@dataclass
class Model:
    """People and tweets by small numbers. Every verb says what comes of it, as the code of a refusal or DONE."""

    gone: set[int] = field(default_factory=set)
    # Tweet: (author, the tweet it answers). Deleted ones stay here and are in `deleted`.
    tweets: list[tuple[int, int | None]] = field(default_factory=list)
    deleted: set[int] = field(default_factory=set)
    likes: set[tuple[int, int]] = field(default_factory=set)
    retweets: set[tuple[int, int]] = field(default_factory=set)
    follows: set[tuple[int, int]] = field(default_factory=set)
    blocks: set[tuple[int, int]] = field(default_factory=set)

    def apart(self, one: int, other: int) -> bool:
        return (one, other) in self.blocks or (other, one) in self.blocks

    def there(self, tweet: int) -> bool:
        """Whether the tweet is there for anybody."""
        return tweet not in self.deleted and self.tweets[tweet][0] not in self.gone

    def sees(self, who: int | None, tweet: int) -> bool:
        """Whether somebody, or nobody, sees the tweet."""
        return self.there(tweet) and (who is None or not self.apart(who, self.tweets[tweet][0]))

    def _on_tweet(self, who: int, tweet: int) -> str:
        if not self.there(tweet):
            return "NOT_FOUND"
        return "BLOCKED" if self.apart(who, self.tweets[tweet][0]) else DONE

    def post(self, who: int, answered: int | None = None) -> str:
        code = self._on_tweet(who, answered) if answered is not None else DONE
        if code == DONE:
            self.tweets.append((who, answered))
        return code

    def delete(self, who: int, tweet: int) -> str:
        if not self.there(tweet):
            return "NOT_FOUND"
        if self.tweets[tweet][0] != who:
            return "NOT_ALLOWED"
        self.deleted.add(tweet)
        return DONE

    def put(self, edges: set[tuple[int, int]], who: int, tweet: int) -> str:
        """Like or retweet."""
        code = self._on_tweet(who, tweet)
        if code == DONE:
            edges.add((who, tweet))
        return code

    def take_back(self, edges: set[tuple[int, int]], who: int, tweet: int) -> str:
        """Unlike or undo a retweet: open to the blocked, too."""
        if not self.there(tweet):
            return "NOT_FOUND"
        edges.discard((who, tweet))
        return DONE

    def follow(self, who: int, other: int) -> str:
        code = self._on_person(who, other)
        if code == DONE and self.apart(who, other):
            return "BLOCKED"
        if code == DONE:
            self.follows.add((who, other))
        return code

    def unfollow(self, who: int, other: int) -> str:
        if who == other:
            return "SELF_ACTION"
        if other in self.gone:
            return "NOT_FOUND"
        self.follows.discard((who, other))
        return DONE

    def block(self, who: int, other: int) -> str:
        code = self._on_person(who, other)
        if code == DONE:
            self.blocks.add((who, other))
            self.follows -= {(who, other), (other, who)}
        return code

    def unblock(self, who: int, other: int) -> str:
        if other in self.gone:
            return "NOT_FOUND"
        self.blocks.discard((who, other))
        return DONE

    def _on_person(self, who: int, other: int) -> str:
        if who == other:
            return "SELF_ACTION"
        return "NOT_FOUND" if other in self.gone else DONE

    def tweet_counts(self, tweet: int) -> dict[str, int]:
        """How many edges lead to a tweet."""
        answers = [
            one for one, (_, answered) in enumerate(self.tweets) if answered == tweet and one not in self.deleted
        ]
        return {
            "likeCount": sum(of == tweet for _, of in self.likes),
            "retweetCount": sum(of == tweet for _, of in self.retweets),
            "replyCount": len(answers),
        }

    def person_counts(self, who: int) -> dict[str, int]:
        """How many edges and tweets somebody has."""
        own = [one for one, (author, _) in enumerate(self.tweets) if author == who and one not in self.deleted]
        return {
            "followerCount": sum(author == who for _, author in self.follows),
            "followingCount": sum(follower == who for follower, _ in self.follows),
            "tweetCount": len(own),
        }
