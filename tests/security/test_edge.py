"""Edge: whose address a call has when proxies stand in front, and what every answer tells a browser."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from realtime import keys
from realtime.limits import Action
from schema.edge import HEADERS, Edge
from schema.graphiql import CONTENT_SECURITY_POLICY
from tests.perch import Perch, serving


async def seen(trusted: int, *headers: tuple[str, str], peer: str = "192.0.2.1", kind: str = "http") -> dict[str, Any]:
    """What the application behind the edge gets to know."""
    scopes: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        scopes.append(scope)

    raw = [(name.lower().encode(), value.encode()) for name, value in headers]
    scheme = "http" if kind == "http" else "ws"
    scope = {"type": kind, "headers": raw, "client": (peer, 40_000) if peer else None, "scheme": scheme}
    await Edge(app, trusted)(scope, None, None)  # type: ignore[arg-type]
    (found,) = scopes
    return {"address": found["client"][0], "scheme": found["scheme"]}


FOR, PROTO = "X-Forwarded-For", "X-Forwarded-Proto"


@pytest.mark.parametrize(
    ("trusted", "told", "address"),
    [
        (0, ["203.0.113.9"], "192.0.2.1"),
        (1, [], "192.0.2.1"),
        (1, ["203.0.113.9"], "203.0.113.9"),
        (1, ["10.0.0.1, 203.0.113.9"], "203.0.113.9"),
        (1, ["10.0.0.1", "203.0.113.9"], "203.0.113.9"),
        (2, ["10.0.0.1, 203.0.113.9, 198.51.100.7"], "203.0.113.9"),
        (2, ["203.0.113.9"], "203.0.113.9"),
        (1, ["203.0.113.9:4711"], "203.0.113.9"),
        (1, ["[2001:db8:1:2:3:4:5:6]:4711"], "2001:db8:1:2::"),
        (1, ["2001:db8:1:2:ffff::1"], "2001:db8:1:2::"),
        (1, ["::ffff:203.0.113.9"], "203.0.113.9"),
        (1, [""], "192.0.2.1"),
        (1, ["unknown"], "192.0.2.1"),
        (1, ["203.0.113.9, junk"], "192.0.2.1"),
        (1, ["x" * 10_000], "192.0.2.1"),
    ],
)
async def test_an_address_is_what_the_outermost_trusted_proxy_saw(trusted: int, told: list[str], address: str) -> None:
    for kind in ("http", "websocket"):
        assert (await seen(trusted, *((FOR, one) for one in told), kind=kind))["address"] == address


async def test_an_address_of_ipv6_is_counted_by_its_network() -> None:
    for peer in ("2001:db8:1:2::1", "2001:db8:1:2:ffff:ffff:ffff:ffff"):
        assert (await seen(0, peer=peer))["address"] == "2001:db8:1:2::"
    assert (await seen(0, peer="2001:db8:1:3::1"))["address"] == "2001:db8:1:3::"
    assert (await seen(0, peer=""))["address"] == "unknown"


@pytest.mark.parametrize(("trusted", "told", "tls"), [(0, "https", False), (1, "https", True), (1, "http", False)])
async def test_a_proxy_tells_of_tls_if_it_is_trusted(trusted: int, told: str, tls: bool) -> None:
    assert (await seen(trusted, (PROTO, told)))["scheme"] == ("https" if tls else "http")
    assert (await seen(trusted, (PROTO, told), kind="websocket"))["scheme"] == ("wss" if tls else "ws")


@pytest.fixture(scope="module")
async def behind(perch: Perch) -> AsyncIterator[Perch]:
    """A server with budgets behind one proxy, over the same stores."""
    async with serving(perch.settings.model_copy(update={"trusted_proxies": 1, "rate_limits": True})) as behind:
        yield behind


LOG_IN = {"query": 'mutation { logIn(input: {usernameOrEmail: "a", password: "b"}) { errors { code } } }'}


async def test_log_ins_are_counted_for_the_address_that_the_proxy_tells_and_no_other(behind: Perch) -> None:
    address, forged = "203.0.113.77", "203.0.113.78"
    await behind.http.post("/graphql", json=LOG_IN, headers={FOR: f"{forged}, {address}"})
    assert await behind.redis.exists(keys.budget(Action.LOG_IN, f"ip:{address}"))
    assert not await behind.redis.exists(keys.budget(Action.LOG_IN, f"ip:{forged}"))


async def test_without_trusted_proxies_nobody_chooses_an_address(perch: Perch) -> None:
    """The test's own address is that of a proxy which servers often trust unasked."""
    direct = perch.settings.model_copy(update={"rate_limits": True})
    async with serving(direct) as strict:
        await strict.http.post("/graphql", json=LOG_IN, headers={FOR: "203.0.113.79"})
    assert not await perch.redis.exists(keys.budget(Action.LOG_IN, "ip:203.0.113.79"))


@pytest.mark.parametrize("path", ["/graphql?query={__typename}", "/healthz", "/readyz", "/metrics", "/nowhere"])
async def test_every_answer_tells_a_browser_to_make_nothing_of_it(perch: Perch, path: str) -> None:
    response = await perch.http.get(path, headers={"accept": "application/json"})
    for name, value in HEADERS:
        assert response.headers[name.decode()] == value.decode()
    assert "strict-transport-security" not in response.headers
    assert "server" not in response.headers


async def test_a_page_for_people_has_a_policy_of_its_own(perch: Perch) -> None:
    response = await perch.http.get("/graphql", headers={"accept": "text/html"})
    assert response.headers["content-security-policy"] == CONTENT_SECURITY_POLICY
    assert "unsafe" not in CONTENT_SECURITY_POLICY.replace("style-src 'self' 'unsafe-inline'", "")
    assert response.headers["x-content-type-options"] == "nosniff"


async def test_behind_tls_a_browser_is_told_to_stay_there(behind: Perch) -> None:
    for scheme, told in (("https", "max-age=31536000"), ("http", None)):
        response = await behind.http.get("/healthz", headers={PROTO: scheme})
        assert response.headers.get("strict-transport-security") == told
