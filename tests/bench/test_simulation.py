"""The simulation keeps what must hold in any such thing, and the page of capacity says what was last simulated."""

import json
from functools import partial
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.bench import capacity, capacity_page, costs, simulate
from tests.bench.report import fill
from tests.bench.simulation import Cell, Clock, Shape, Station

USED = {name: cost["value"] for name, cost in json.loads(capacity_page.KEPT.read_text())["costs"].items()}
SMALL = Shape(servers=2, databases=2, load=0.25)


@given(st.lists(st.tuples(st.floats(0, 5), st.floats(0.001, 1)), max_size=40), st.integers(1, 4))
@settings(max_examples=50)
def test_whoever_comes_is_served_once_in_order_and_no_sooner(jobs: list[tuple[float, float]], servers: int) -> None:
    clock, begun = Clock(), dict[int, float]()
    station = Station(clock, servers)
    jobs.sort()

    def come(number: int) -> None:
        took = jobs[number][1]
        station.serve(took, lambda: begun.update({number: clock.now - took}))

    for number, (came, _) in enumerate(jobs):
        clock.after(came, partial(come, number))
    clock.run(1000)
    in_order = [begun[number] for number in range(len(jobs))]
    assert station.left == len(jobs)
    assert all(began >= came - 1e-9 for began, (came, _) in zip(in_order, jobs, strict=True))
    assert all(later >= earlier - 1e-9 for earlier, later in pairwise(in_order))
    assert station.spent == pytest.approx(sum(took for _, took in jobs))


@pytest.mark.parametrize("trouble", simulate.TROUBLES)
def test_what_came_in_was_handled_or_waits(trouble: str) -> None:
    cell = simulate.run(SMALL, USED, 1, simulate.TROUBLES[trouble], 63)
    stations = [cell.servers, cell.databases, cell.redis, *cell.workers]
    assert all(station.came == station.left + station.inside for station in stations)
    assert trouble not in ("burst", "outage") or cell.seen.entries_made > cell.seen.entries_written
    # Nobody writes any more, and everybody works.
    cell.burst = 1e-9
    for worker in cell.workers:
        worker.go_on()
    cell.clock.run(200)
    assert cell.seen.entries_made == cell.seen.entries_written


def test_as_many_are_inside_as_come_times_how_long_they_stay() -> None:
    cell = simulate.run(SMALL, USED, 2, simulate.TROUBLES["none"], 120)
    for station in (cell.servers, cell.databases, cell.redis):
        inside, rate, stay = station.area / 120, station.came / 120, station.sojourn / station.left
        assert inside == pytest.approx(rate * stay, rel=0.05)


def test_a_seed_is_a_run() -> None:
    first, again, other = (simulate.run(SMALL, USED, seed, simulate.burst, 65).seen.reads for seed in (1, 1, 2))
    assert first == again != other


def test_a_station_that_is_stopped_keeps_what_comes() -> None:
    cell = simulate.run(SMALL, USED, 1, simulate.outage, 110)
    assert cell.seen.seconds[-1].oldest > 40
    assert cell.seen.seconds[58].waiting < cell.seen.seconds[-1].waiting


def test_followers_are_as_many_as_the_power_law_says() -> None:
    rng = Cell(Shape(), USED, 3).rng
    drawn = [Shape().followers(rng) for _ in range(20_000)]
    for more_than in (100, 1000):
        assert sum(one > more_than for one in drawn) / 20_000 == pytest.approx((17 / more_than) ** 1.2, rel=0.15)
    mean = sum(one for one in drawn if one <= 5000) / 20_000
    assert mean == pytest.approx(capacity.mean_followers() - capacity.pulled(5000), rel=0.1)


def test_there_is_a_threshold_at_which_it_costs_least() -> None:
    rows = capacity.knee(USED)["rows"]
    sums = [row["CPU, zeal 0.7"] for row in rows]
    assert min(sums) not in (sums[0], sums[-1])
    assert [row["pulled on a page"] for row in rows] == sorted((row["pulled on a page"] for row in rows), reverse=True)


def test_every_cost_stands_where_it_is_said_to_stand() -> None:
    found = costs.measured()
    assert found.keys() == USED.keys()
    assert all(cost.value > 0 for cost in found.values())


def test_the_page_of_capacity_says_what_was_simulated() -> None:
    kept, page = json.loads(capacity_page.KEPT.read_text()), capacity_page.PAGE.read_text()
    assert fill(page, capacity_page.parts(kept)) == page
    drawn = {path.stem: path.read_text() for path in capacity_page.DRAWN.glob("*.svg")}
    assert drawn == capacity_page.plots(kept)
