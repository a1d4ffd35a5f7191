"""Rate budgets in Redis: GCRA by the server's clock. Reads stay open while Redis is away, log-ins do not."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from datastore.settings import Settings
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
    # All that is asked, by what it costs.
    QUERY = "query"


@dataclass(frozen=True, slots=True)
class Budget:
    """`burst` calls at once, refilled over `per_seconds`. `closed_without_redis`: refuse rather than not count."""

    burst: int
    per_seconds: int
    closed_without_redis: bool = False


Budgets = Mapping[Action, Budget]


@dataclass(frozen=True, slots=True)
class Spent:
    """What came of taking units from a budget of `limit`: `remaining` are left; `wait_seconds` is 0 if they were
    admitted, else how long until they would be; in `full_seconds` nothing will be missing any more."""

    limit: int
    remaining: int
    wait_seconds: float = 0
    full_seconds: float = 0


def budgets(settings: Settings) -> Budgets:
    """How many of each action one caller has, over the time that goes with it."""
    return {
        Action.TWEET: Budget(settings.tweets_in_3_hours, 3 * 3600),
        Action.FOLLOW: Budget(settings.follows_a_day, 24 * 3600),
        Action.LIKE: Budget(settings.likes_a_day, 24 * 3600),
        Action.SIGN_UP: Budget(settings.sign_ups_in_30_minutes, 30 * 60),
        Action.LOG_IN: Budget(settings.log_ins_in_5_minutes, 5 * 60, closed_without_redis=True),
        Action.QUERY: Budget(settings.cost_an_hour, 3600),
    }


# What a caller is told to wait when nobody can count.
_WAIT_WITHOUT_REDIS_SECONDS = 5.0
# Callers to whom this process owes units; the oldest are forgotten.
DEBTS_KEPT = 10_000


class Limits:
    """Budgets per action and per caller."""

    def __init__(self, scripts: Scripts, enabled: bool, budgets: Budgets) -> None:
        self._scripts = scripts
        self._enabled = enabled
        self._budgets = budgets
        self._owed: dict[str, int] = {}

    async def spend(self, action: Action, who: str, units: int = 1) -> Spent:
        """Take units from a budget, all or none. One round trip; none where limits are off."""
        budget, name = self._budgets[action], keys.budget(action, who)
        if not self._enabled:
            return Spent(budget.burst, budget.burst)
        period_us = budget.per_seconds * 1_000_000 // budget.burst
        owed = self._owed.pop(name, 0)
        try:
            wait_us, full_us = await self._scripts.run("spend", [name], period_us, budget.burst, units - owed)
        except RedisError:
            wait = _WAIT_WITHOUT_REDIS_SECONDS if budget.closed_without_redis else 0
            return Spent(budget.burst, budget.burst, wait)
        if wait_us:
            self._owe(name, owed)
        left = budget.burst - math.ceil(full_us / period_us)
        return Spent(budget.burst, max(left, 0), wait_us / 1_000_000, full_us / 1_000_000)

    def give_back(self, action: Action, who: str, units: int) -> None:
        """Return units that were taken and not needed. They go with the next ones that this process takes from the
        budget, which saves the round trip; should there be none, the budget fills by itself."""
        if self._enabled:
            self._owe(keys.budget(action, who), units)

    def _owe(self, name: str, units: int) -> None:
        if units:
            self._owed[name] = self._owed.get(name, 0) + units
        if len(self._owed) > DEBTS_KEPT:
            del self._owed[next(iter(self._owed))]


def keys_of(user_id: int) -> list[str]:
    """The keys of all budgets of one person."""
    return [keys.budget(action, str(user_id)) for action in Action]
