"""The cloud client: every request and every answer held against the specification, and each way to fail."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
import requests

from devpocket.testing.localcloud import TOKEN, LocalCloud
from devpocket.testing.validator import load_validator
from environments.cloud import (
    CloudClient,
    CloudNotFound,
    CloudRejected,
    CloudThrottled,
    CloudUnreachable,
    Droplet,
)
from environments.tests.waiting import wait_until


@pytest.fixture
def checked(localcloud: LocalCloud) -> Iterator[CloudClient]:
    """A client whose every exchange must fit the specification; raises SpecViolation where one does not."""
    validator = load_validator().SpecValidator()
    client = CloudClient(localcloud.url, TOKEN)

    def check(response: requests.Response, *_: Any, **__: Any) -> None:
        sent = response.request
        validator.check_request(sent.method, sent.url, sent.headers, sent.body)
        validator.check_response(sent.method, sent.url, response.status_code, response.headers, response.content)

    client._session.hooks["response"].append(check)
    localcloud.behave()
    yield client
    client.close()
    localcloud.behave()


def test_a_whole_life_fits_the_specification(checked: CloudClient) -> None:
    tag = "dp-env-life"
    checked.account_check()
    assert {size.slug for size in checked.sizes()} >= {"s-1vcpu-512mb-10gb", "s-1vcpu-1gb", "s-2vcpu-2gb"}
    assert any(region.slug == "nyc3" and region.is_available for region in checked.regions())
    assert checked.volume_find(name=tag, region="nyc3") is None
    volume = checked.volume_create(name=tag, region="nyc3", size_gb=10, tags=["devpocket", tag])
    assert checked.volume_find(name=tag, region="nyc3") == volume == checked.volume_get(volume.id)
    created = checked.droplet_create(
        name="life",
        region="nyc3",
        size="s-1vcpu-1gb",
        image="ubuntu-24-04-x64",
        user_data="#cloud-config\n{}\n",
        tags=["devpocket", tag],
        volumes=[volume.id],
    )
    assert (created.status, created.ip) == ("new", None)
    active = wait_until(lambda: checked.droplet_get(created.id), lambda droplet: droplet.status == "active")
    assert active.ip is not None
    assert active.volume_ids == (volume.id,)
    assert checked.droplets_by_tag(tag) == [active]
    with pytest.raises(CloudRejected) as refused:
        checked.volume_delete(volume.id)
    assert refused.value.status == 409
    for kind, status in (("shutdown", "off"), ("power_on", "active"), ("reboot", "active"), ("power_off", "off")):
        act_when_free(checked, created.id, kind)
        wait_until(lambda: checked.droplet_get(created.id), lambda droplet, wanted=status: droplet.status == wanted)
    checked.droplets_delete_by_tag(tag)
    assert checked.droplets_by_tag(tag) == []
    with pytest.raises(CloudNotFound):
        checked.droplet_get(created.id)
    wait_until(lambda: checked.volume_get(volume.id), lambda found: not found.droplet_ids)
    checked.volume_delete(volume.id)
    checked.volume_delete(volume.id)  # gone already: no error


def act_when_free(client: CloudClient, droplet_id: int, kind: str) -> None:
    """Begin an action, once the one before it is over."""

    def begin() -> bool:
        try:
            client.droplet_action(droplet_id, kind)
        except CloudRejected as error:
            if not error.is_pending_event:
                raise
            return False
        return True

    wait_until(begin, bool)


def test_lists_are_read_to_their_last_page(
    checked: CloudClient, localcloud: LocalCloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("environments.cloud.client.PAGE_SIZE", 2)
    tag = "dp-env-pages"
    names = [f"page-{number}" for number in range(5)]
    body = {"names": names, "region": "nyc3", "size": "s-1vcpu-1gb", "image": "ubuntu-24-04-x64", "tags": [tag]}
    localcloud.ask("POST", "/v2/droplets", body)
    found: list[Droplet] = checked.droplets_by_tag(tag)
    assert sorted(droplet.name for droplet in found) == names
    wait_until(lambda: checked.droplets_by_tag(tag), lambda all_: {droplet.status for droplet in all_} == {"active"})
    checked.droplets_delete_by_tag(tag)


def test_a_refusal_tells_status_and_request_id(checked: CloudClient) -> None:
    with pytest.raises(CloudRejected) as refused:
        checked.droplet_create(
            name="x", region="nyc3", size="s-none", image="ubuntu-24-04-x64", user_data="", tags=[], volumes=[]
        )
    assert refused.value.status == 422
    assert refused.value.request_id
    assert not refused.value.is_about_token


def test_a_wrong_token_is_told_from_a_wrong_request(localcloud: LocalCloud) -> None:
    client = CloudClient(localcloud.url, "wrong")
    with pytest.raises(CloudRejected) as refused:
        client.account_check()
    assert refused.value.is_about_token
    client.close()


@pytest.mark.parametrize(("method", "path"), [("GET", "/v2/account"), ("DELETE", "/v2/droplets")])
def test_harmless_calls_are_repeated(method: str, path: str, localcloud: LocalCloud) -> None:
    """Calls that a server doesn't make by itself: one of another test may share this cloud."""
    client = CloudClient(localcloud.url, TOKEN)
    localcloud.misbehave("status", status=503, method=method, path=f"{path}$", count=2)
    if method == "GET":
        client.account_check()
    else:
        client.droplets_delete_by_tag("dp-env-none")
    client.close()
    requests = localcloud.requests_served()
    served = [one["status"] for one in requests if one["method"] == method and one["path"].partition("?")[0] == path]
    assert served[-3:] == [503, 503, 200 if method == "GET" else 404]  # no droplet has the tag: as good as gone


def test_a_create_is_never_repeated(localcloud: LocalCloud) -> None:
    client = CloudClient(localcloud.url, TOKEN)
    localcloud.misbehave("lose_answer", method="POST", path="/v2/volumes$")
    with pytest.raises(CloudUnreachable):
        client.volume_create(name="dp-once", region="nyc3", size_gb=1, tags=[])
    volume = client.volume_find(name="dp-once", region="nyc3")
    assert volume is not None
    assert [one["name"] for one in localcloud.volumes("dp-once")] == ["dp-once"]
    client.volume_delete(volume.id)
    client.close()


def test_throttled_says_how_long_to_wait(localcloud: LocalCloud) -> None:
    client = CloudClient(localcloud.url, TOKEN)
    localcloud.misbehave("status", status=429)
    with pytest.raises(CloudThrottled) as throttled:
        client.account_check()
    assert throttled.value.retry_after_s >= 1
    client.close()
    localcloud.behave()


Answer = Callable[[BaseHTTPRequestHandler], None]


@pytest.fixture
def answering() -> Iterator[Callable[[Answer], str]]:
    """answering(function): the URL of a server that lets the function answer every GET."""
    servers: list[ThreadingHTTPServer] = []

    def serve(answer: Answer) -> str:
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                answer(self)

            def log_message(self, *_: Any) -> None:
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        servers.append(server)
        threading.Thread(target=server.serve_forever).start()
        return f"http://127.0.0.1:{server.server_port}"

    yield serve
    for server in servers:
        server.shutdown()
        server.server_close()


def say(status: int, body: bytes, **headers: str) -> Answer:
    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.end_headers()
        handler.wfile.write(body)

    return answer


@pytest.mark.parametrize(
    "answer",
    [
        say(502, b"<html>Bad gateway</html>"),
        say(200, b"<html>hello</html>"),
        say(301, b"", Location="http://127.0.0.1:1/"),
        say(500, json.dumps(["not", "an", "object"]).encode()),
    ],
)
def test_an_answer_that_makes_no_sense_is_no_answer(answer: Answer, answering: Callable[[Answer], str]) -> None:
    client = CloudClient(answering(answer), TOKEN, retries=0)
    with pytest.raises(CloudUnreachable):
        client.account_check()
    client.close()


def test_a_silent_cloud_is_given_up_in_time() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        client = CloudClient(f"http://127.0.0.1:{silent.getsockname()[1]}", TOKEN, timeouts_s=(0.2, 0.2), retries=0)
        with pytest.raises(CloudUnreachable, match="/v2/account") as failure:
            client.account_check()
        client.close()
    assert TOKEN not in str(failure.value)
