"""Mutations in any order agree with a model: what comes of each, every count, and who sees which tweet."""

import asyncio
import os
from collections.abc import Coroutine
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule, run_state_machine_as_test

from tests.perch import PATIENCE_SECONDS, Perch, Person
from tests.security.people_model import DONE, Model

PEOPLE = 3
# `make fuzz` plays more.
EXAMPLES = int(os.environ.get("MACHINE_EXAMPLES", "5"))
who, whom, which = st.integers(0, PEOPLE - 1), st.integers(0, PEOPLE - 1), st.integers(0, 50)
SEEN = """query ($ids: [ID!]!) { nodes(ids: $ids) { ... on Tweet { id likeCount retweetCount replyCount } } }"""
PROFILE = """query ($name: String!) { user(username: $name) {
  followerCount followingCount tweetCount tweets(first: 100, filter: TWEETS_AND_REPLIES) { nodes { id } } } }"""
DELETE = "mutation ($password: String!) { deleteAccount(input: {password: $password}) { errors { code } } }"


class People(RuleBasedStateMachine):
    """Three people do things to each other. Runs in a thread of its own and asks the server in the loop from there."""

    perch: Perch
    loop: asyncio.AbstractEventLoop

    def __init__(self) -> None:
        super().__init__()
        self.model = Model()
        self.people: list[Person] = self.wait(self.perch.persons(PEOPLE))
        self.ids: list[str] = []

    def wait(self, work: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(PATIENCE_SECONDS)

    def tweet(self, number: int) -> int:
        return number % len(self.ids)

    def does(self, actor: int, verb: str, kind: str, shown: str, expected: str, **input_: Any) -> Any:
        """Do it, hold what comes of it against the model, and give the object that comes back."""
        query = f"mutation ($i: {kind}!) {{ {verb}(input: $i) {{ {shown} errors {{ code }} }} }}"
        if actor in self.model.gone:
            assert self.wait(self.people[actor].ask(query, i=input_)).codes == ["UNAUTHENTICATED"]
            return None
        payload = self.wait(self.people[actor].do(query, i=input_))[verb]
        assert [error["code"] for error in payload["errors"]] == ([] if expected == DONE else [expected])
        return payload.get(shown.split()[0])

    def acts(self, actor: int, name: str, *arguments: Any) -> str:
        """What the model says comes of it; nothing does for those who are gone."""
        return "" if actor in self.model.gone else str(getattr(self.model, name)(*arguments))

    # ---------------------------------------------------------------- rules

    @rule(actor=who)
    def post(self, actor: int) -> None:
        self.posted(
            self.does(actor, "postTweet", "PostTweetInput", "tweet { id }", self.acts(actor, "post", actor), text="x")
        )

    @precondition(lambda self: self.ids)
    @rule(actor=who, number=which)
    def answer(self, actor: int, number: int) -> None:
        tweet = self.tweet(number)
        expected = self.acts(actor, "post", actor, tweet)
        given = {"text": "x", "inReplyTo": self.ids[tweet]}
        self.posted(self.does(actor, "postTweet", "PostTweetInput", "tweet { id }", expected, **given))

    def posted(self, tweet: Any) -> None:
        if tweet:
            self.ids.append(tweet["id"])
        assert len(self.ids) == len(self.model.tweets)

    @precondition(lambda self: self.ids)
    @rule(actor=who, number=which)
    def delete(self, actor: int, number: int) -> None:
        tweet = self.tweet(number)
        expected = self.acts(actor, "delete", actor, tweet)
        self.does(actor, "deleteTweet", "TweetInput", "deletedTweetId", expected, tweetId=self.ids[tweet])

    @precondition(lambda self: self.ids)
    @rule(actor=who, number=which, verb=st.sampled_from(["likeTweet", "unlikeTweet", "retweet", "undoRetweet"]))
    def engage(self, actor: int, number: int, verb: str) -> None:
        tweet = self.tweet(number)
        edges = self.model.likes if "like" in verb.lower() else self.model.retweets
        expected = self.acts(actor, "put" if verb in ("likeTweet", "retweet") else "take_back", edges, actor, tweet)
        shown = self.does(actor, verb, "TweetInput", "tweet { id text }", expected, tweetId=self.ids[tweet])
        assert shown is None or self.model.sees(actor, tweet)

    @rule(actor=who, other=whom, verb=st.sampled_from(["follow", "unfollow", "block", "unblock"]))
    def regard(self, actor: int, other: int, verb: str) -> None:
        expected = self.acts(actor, verb, actor, other)
        self.does(actor, f"{verb}User", "UserInput", "user { id }", expected, userId=self.people[other].id)

    @precondition(lambda self: len(self.ids) > 3 and not self.model.gone)
    @rule(actor=who, certain=st.integers(0, 9))
    def leave(self, actor: int, certain: int) -> None:
        if certain == 0:
            person = self.people[actor]
            assert self.wait(person.do(DELETE, password=person.password))["deleteAccount"]["errors"] == []
            self.model.gone.add(actor)

    # ---------------------------------------------------------------- what is seen in the end

    def teardown(self) -> None:
        self.wait(self.looked_at())

    async def looked_at(self) -> None:
        """Every tweet and every person, with all eyes; counts only if nobody left, whose edges a purge takes away."""
        await self.perch.settle()
        counted = not self.model.gone
        for viewer in [None, *(one for one in range(PEOPLE) if one not in self.model.gone)]:
            token = self.people[viewer].token if viewer is not None else None
            nodes = (await self.perch.ask(SEEN, token, ids=self.ids)).data["nodes"]
            for tweet, node in enumerate(nodes):
                assert (node is not None) == self.model.sees(viewer, tweet)
                if node and counted:
                    assert node == {"id": self.ids[tweet]} | self.model.tweet_counts(tweet)
            for author in range(PEOPLE):
                await self.looked_up(viewer, token, author, counted)

    async def looked_up(self, viewer: int | None, token: str | None, author: int, counted: bool) -> None:
        user = (await self.perch.ask(PROFILE, token, name=self.people[author].username)).data["user"]
        assert (user is None) == (author in self.model.gone)
        if user:
            listed = {node["id"] for node in user.pop("tweets")["nodes"]}
            own = [one for one, (by, _) in enumerate(self.model.tweets) if by == author]
            assert listed == {self.ids[one] for one in own if self.model.sees(viewer, one)}
            assert not counted or user == self.model.person_counts(author)


async def test_mutations_in_any_order_agree_with_the_model(perch: Perch) -> None:
    machine = type("Machine", (People,), {"perch": perch, "loop": asyncio.get_running_loop()})
    how = settings(
        max_examples=EXAMPLES,
        stateful_step_count=20,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    await asyncio.to_thread(run_state_machine_as_test, machine, settings=how)
