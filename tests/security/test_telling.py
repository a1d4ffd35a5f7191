"""Logs and metrics tell what happened, and not what was said, by whom, or with which secret."""

import secrets
from typing import Any

import pytest
import structlog

from datastore.users import Users
from tests.perch import Perch

LOG_IN = "mutation ($w: String!, $p: String!) { logIn(input: {usernameOrEmail: $w, password: $p}) { errors { code } } }"


async def test_no_text_address_token_or_password_is_in_a_log_line_or_a_metric(
    perch: Perch, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    password, text = f"horse {secrets.token_hex(8)} 7", f"text {secrets.token_hex(8)}"
    with structlog.testing.capture_logs() as lines:
        ann = await perch.sign_up(f"t{secrets.token_hex(5)}", password)
        address = f"{ann.username}@perch.example"
        for given in (password, f"{password}!"):
            await perch.ask(LOG_IN, w=address, p=given)
        async with ann.live((await ann.home())["liveCursor"]) as live:
            await ann.post(text)
            await live.added()
        await perch.settle()

        async def boom(*_: Any) -> None:
            raise RuntimeError

        monkeypatch.setattr(Users, "by_username", boom)
        bug = await ann.ask("query ($text: String!) { user(username: $text) { id } }", text=f"{text} {address}")
    assert bug.codes == ["INTERNAL_SERVER_ERROR"]
    assert [line["event"] for line in lines].count("request.failed") == 1
    metrics = (await perch.http.get("/metrics")).text
    out, err = capfd.readouterr()
    for told in (str(lines), metrics, out, err):
        for secret in (password, text, address, ann.token, ann.refresh_token, ann.refresh_token.partition(".")[2]):
            assert secret not in told
