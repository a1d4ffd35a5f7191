"""Edge: where a call comes from when proxies stand in front, and what every answer tells a browser. Reads no body."""

from collections.abc import Sequence
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

# Of an answer that says nothing else: it is no page, no script and no picture, and it is nobody's to keep.
HEADERS = (
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"cache-control", b"no-store"),
)
# A year, over TLS only, where alone it means anything.
STRICT_TRANSPORT_SECURITY = (b"strict-transport-security", b"max-age=31536000")
# What one customer of a provider has: who counts single addresses of IPv6 counts nobody.
IPV6_PREFIX = 64


class Edge:
    """The application behind so many trusted proxies. With none the headers of proxies mean nothing."""

    def __init__(self, app: ASGIApp, trusted_proxies: int = 0) -> None:
        self._app, self._trusted = app, trusted_proxies

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        scope = {**scope, **_origin(scope, self._trusted)}
        added = (*HEADERS, STRICT_TRANSPORT_SECURITY) if scope["scheme"] == "https" else HEADERS

        async def headed(message: Message) -> None:
            if message["type"] == "http.response.start":
                given = {name for name, _ in message["headers"]}
                message["headers"] = [*message["headers"], *(one for one in added if one[0] not in given)]
            await send(message)

        await self._app(scope, receive, headed if scope["type"] == "http" else send)


def _origin(scope: Scope, trusted: int) -> dict[str, object]:
    """What replaces the scope's `client` and `scheme`: as the outermost trusted proxy saw them."""
    headers, peer = Headers(scope=scope), scope.get("client")
    told = _listed(headers, "x-forwarded-for")
    address = _address(told[-min(trusted, len(told))]) if trusted and told else None
    address = address or _address(peer[0] if peer else "")
    schemes = _listed(headers, "x-forwarded-proto")
    scheme = schemes[-min(trusted, len(schemes))].lower() if trusted and schemes else scope["scheme"]
    secure = scheme in ("https", "wss")
    plain = {"http": ("http", "https"), "websocket": ("ws", "wss")}[scope["type"]]
    return {"client": (address or "unknown", 0), "scheme": plain[secure]}


def _listed(headers: Headers, name: str) -> Sequence[str]:
    """The values of a header that may come more than once, the newest proxy's last."""
    return [one.strip() for value in headers.getlist(name) for one in value.split(",")]


@lru_cache(1_000)
def _address(told: str) -> str | None:
    """An address as budgets count it: one of IPv4, or a network of IPv6. None if it is neither; a port is cut off."""
    host = told.partition("]")[0].removeprefix("[")
    host = host.partition(":")[0] if host.count(":") == 1 else host
    try:
        found: IPv4Address | IPv6Address = ip_address(host)
    except ValueError:
        return None
    if isinstance(found, IPv6Address):
        found = found.ipv4_mapped or ip_network((int(found), IPV6_PREFIX), strict=False).network_address
    return str(found)
