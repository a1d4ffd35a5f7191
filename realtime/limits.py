"""Rate budgets in Redis: GCRA by the server's clock. While Redis is away each process counts by itself, and log-ins are
closed."""

import math
import time
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
# Callers to whom this process owes units, and those it counts while Redis is away; the oldest are forgotten.
DEBTS_KEPT = 10_000
_SECOND_US = 1_000_000


class Limits:
    """Budgets per action and per caller."""

    def __init__(self, scripts: Scripts, enabled: bool, budgets: Budgets) -> None:
        self._scripts = scripts
        self._enabled = enabled
        self._budgets = budgets
        self._owed: dict[str, int] = {}
        self._arrivals: dict[str, float] = {}

    async def spend(self, action: Action, who: str, units: int = 1) -> Spent:
        """Take units from a budget, all or none. One round trip; none where limits are off."""
        budget, name = self._budgets[action], keys.budget(action, who)
        if not self._enabled:
            return Spent(budget.burst, budget.burst)
        period_us = budget.per_seconds * _SECOND_US // budget.burst
        owed = self._owed.pop(name, 0)
        try:
            # Debts that nothing can pay at once are let go, or they would be refused for ever.
            due = min(units - owed, budget.burst)
            wait_us, full_us = await self._scripts.run("spend", [name], period_us, budget.burst, due)
        except RedisError:
            if budget.closed_without_redis:
                return Spent(budget.burst, 0, _WAIT_WITHOUT_REDIS_SECONDS)
            wait_us, full_us = self._spend_here(name, period_us, budget.burst, units - owed)
        if wait_us:
            self._owe(name, owed)
        left = budget.burst - math.ceil(full_us / period_us)
        return Spent(budget.burst, max(left, 0), wait_us / _SECOND_US, full_us / _SECOND_US)

    def _spend_here(self, name: str, period_us: int, burst: int, units: int) -> tuple[float, float]:
        """As lua/spend.lua, from what this process has admitted by itself: with n processes up to n times a budget."""
        now_us = time.monotonic() * _SECOND_US
        arrival = max(self._arrivals.pop(name, 0), now_us)
        wait_us = arrival - now_us - period_us * (burst - units)
        admitted = units <= 0 or wait_us <= 0
        self._arrivals[name] = arrival + period_us * units * admitted
        if len(self._arrivals) > DEBTS_KEPT:
            del self._arrivals[next(iter(self._arrivals))]
        return (0 if admitted else wait_us), max(self._arrivals[name] - now_us, 0)

    def give_back(self, action: Action, who: str, units: int) -> None:
        """Return units that were taken and not needed, or owe so many if they are less than none. They go with the
        next ones that this process takes from the budget, which saves the round trip; should there be none, the budget
        fills by itself."""
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
