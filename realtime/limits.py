"""Rate budgets in Redis: GCRA by the server's clock. Reads stay open while Redis is away, log-ins do not."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from realtime import keys
from realtime.connect import RedisError
from realtime.scripts import Scripts


class Action(StrEnum):
    """What a budget is for."""

    TWEET = "tweet"
    FOLLOW = "follow"
    LIKE = "like"
    SIGN_UP = "sign_up"
    LOG_IN = "log_in"


@dataclass(frozen=True, slots=True)
class Budget:
    """`burst` calls at once, refilled over `per_seconds`. `closed_without_redis`: refuse rather than not count."""

    burst: int
    per_seconds: int
    closed_without_redis: bool = False


Budgets = Mapping[Action, Budget]


def budgets(tweets: int, follows: int, likes: int, sign_ups: int, log_ins: int) -> Budgets:
    """How many of each action one caller has, over the time that goes with it."""
    return {
        Action.TWEET: Budget(tweets, 3 * 3600),
        Action.FOLLOW: Budget(follows, 24 * 3600),
        Action.LIKE: Budget(likes, 24 * 3600),
        Action.SIGN_UP: Budget(sign_ups, 30 * 60),
        Action.LOG_IN: Budget(log_ins, 5 * 60, closed_without_redis=True),
    }


# What a caller is told to wait when nobody can count.
_WAIT_WITHOUT_REDIS_SECONDS = 5.0


class Limits:
    """Budgets per action and per caller."""

    def __init__(self, scripts: Scripts, enabled: bool, budgets: Budgets) -> None:
        self._scripts = scripts
        self._enabled = enabled
        self._budgets = budgets

    async def spend(self, action: Action, who: str) -> float:
        """Count one call; 0 if it is admitted, else the seconds until the next one would be. One round trip."""
        if not self._enabled:
            return 0
        budget = self._budgets[action]
        period_us = budget.per_seconds * 1_000_000 // budget.burst
        try:
            wait_us = await self._scripts.run("spend", [keys.budget(action, who)], period_us, budget.burst)
        except RedisError:
            return _WAIT_WITHOUT_REDIS_SECONDS if budget.closed_without_redis else 0
        return float(wait_us) / 1_000_000


def keys_of(user_id: int) -> list[str]:
    """The keys of all budgets of one person."""
    return [keys.budget(action, str(user_id)) for action in Action]
