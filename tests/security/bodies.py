"""What these tests send over HTTP, and how an answer is read. Holds no test."""

import json
from typing import Any

import httpx

from tests.perch import Perch

JSON = {"content-type": "application/json"}
TYPES = ("application/json", "application/graphql-response+json")
OK = '{"query": "{__typename}"}'


def document(query: str, **more: Any) -> str:
    return json.dumps({"query": query, **more})


async def send(perch: Perch, body: str | bytes, **headers: str) -> httpx.Response:
    return await perch.http.post("/graphql", content=body, headers=JSON | headers)


def codes(response: httpx.Response) -> list[str]:
    """The codes of an answer that is shaped as GraphQL asks, without data."""
    assert response.headers["content-type"] in TYPES, response.text
    body = response.json()
    assert body.get("data") is None
    assert body["errors"]
    assert all(isinstance(error["message"], str) for error in body["errors"])
    return [error["extensions"]["code"] for error in body["errors"]]


def nested(name: str, depth: int) -> str:
    """An object in an object and so on."""
    return f'{{"{name}":' * depth + "1" + "}" * depth
