"""Budgets while Redis is away: each process counts by itself, and log-ins are closed."""

from datastore.settings import Settings
from realtime.connect import set_aside
from realtime.limits import Action, Limits, budgets
from realtime.scripts import Scripts

BUDGETS = budgets(Settings.model_construct(sign_ups_in_30_minutes=5))


def alone() -> Limits:
    """Limits that cannot reach Redis."""
    return Limits(Scripts(set_aside()), enabled=True, budgets=BUDGETS)


async def test_a_burst_is_admitted_exactly_and_the_next_is_told_when_to_come_again() -> None:
    limits = alone()
    spent = [await limits.spend(Action.SIGN_UP, "here") for _ in range(7)]
    assert [one.remaining for one in spent] == [4, 3, 2, 1, 0, 0, 0]
    assert [one.wait_seconds > 0 for one in spent] == [False] * 5 + [True] * 2
    assert spent[-1].wait_seconds <= 30 * 60 / 5
    assert (await limits.spend(Action.SIGN_UP, "elsewhere")).remaining == 4


async def test_what_is_given_back_can_be_spent_again() -> None:
    limits = alone()
    assert (await limits.spend(Action.SIGN_UP, "here", 5)).remaining == 0
    limits.give_back(Action.SIGN_UP, "here", 2)
    assert (await limits.spend(Action.SIGN_UP, "here", 2)).wait_seconds == 0
    assert (await limits.spend(Action.SIGN_UP, "here")).wait_seconds > 0


async def test_log_ins_are_closed() -> None:
    assert (await alone().spend(Action.LOG_IN, "here")).wait_seconds > 0
