"""Where the API key is sent, and the exit codes, tested with proxies that have no API behind them."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from imgpipe.settings import Settings
from tests.cli.command import IMAGE_ID, Imgpipe
from tests.cli.proxy import Proxy, Reply, error_reply, json_reply, run_proxy
from tests.cli.terminals import CTRL_D, run_in_terminal
from tests.pictures import jpeg

KEY = "s3cret-key-0123456789"
STATS = {"total": 0, "in_progress": 0, "success": 0, "failed": 0}


@pytest.fixture
def proxy() -> Iterator[Proxy]:
    with run_proxy(None) as proxy:
        proxy.always("GET", "/api/stats", lambda _: json_reply(200, STATS))
        yield proxy


@pytest.fixture
def bucket() -> Iterator[Proxy]:
    with run_proxy(None) as bucket:
        bucket.always("PUT", "/", lambda _: Reply(200))
        bucket.always("GET", "/", lambda _: Reply(200, {}, jpeg()))
        yield bucket


def test_success_exits_with_0(imgpipe: Imgpipe) -> None:
    assert imgpipe("stats", "--json", code=0).document == STATS


@pytest.mark.parametrize(
    "arguments",
    [
        ("nonsense",),
        ("list", "--status", "odd"),
        ("list", "--limit", "0"),
        ("list", "--created-after", "yesterday"),
        ("upload",),
        ("--api", "ftp://there", "stats"),
        ("--api", "http://", "stats"),
        ("--api", "http://user:pass@there", "stats"),
        ("--api", "http://127.0.0.1:99999", "stats"),
        ("--api-key-file", "/there/is/no/such/file", "stats"),
    ],
)
def test_wrong_usage_exits_with_2_and_sends_nothing(
    imgpipe: Imgpipe, proxy: Proxy, arguments: tuple[str, ...]
) -> None:
    run = imgpipe(*arguments, code=2)
    assert run.err
    assert run.out == ""
    assert proxy.received == []


def test_an_unreachable_api_exits_with_3(imgpipe: Imgpipe, tmp_path: Path) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}"
        picture = tmp_path / "picture.jpg"
        picture.write_bytes(jpeg())
        assert f"{url} cannot be reached" in imgpipe("--api", url, "stats", code=3).err
        assert f"{url} cannot be reached" in imgpipe("--api", url, "upload", picture, code=3).err


PAGE = Reply(200, {"Content-Type": "text/html"}, b"<html>Welcome!</html>")
NO_BUCKET = Reply(404, {"Content-Type": "application/xml"}, b"<Error><Code>NoSuchBucket</Code></Error>")
HELLO = json_reply(200, {"hello": "world"})
OTHER_SERVERS = [
    PAGE,
    Reply(403, PAGE.headers, PAGE.body),
    NO_BUCKET,
    json_reply(404, {"message": "Not Found"}),  # API Gateway, of another stack or without the stage
    json_reply(404, {"detail": "Not Found"}),
    HELLO,
    json_reply(200, []),
]


@pytest.mark.parametrize(
    ("command", "reply"),
    [
        *((("stats",), reply) for reply in OTHER_SERVERS),
        *(((*command, IMAGE_ID), reply) for command in (["show"], ["download"]) for reply in (NO_BUCKET, HELLO)),
        *(((command,), reply) for command in ("list", "watch") for reply in (NO_BUCKET, HELLO)),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else f"{value.status} {value.body[:20].decode()}",
)
def test_a_server_that_is_not_the_api_exits_with_3(
    imgpipe: Imgpipe, proxy: Proxy, command: tuple[str, ...], reply: Reply
) -> None:
    proxy.clear_plans()
    proxy.always("GET", "/", lambda _: reply)
    run = imgpipe(*command, code=3)
    assert "Check --api" in run.err
    assert run.out == ""


def test_deleting_at_a_server_that_is_not_the_api_exits_with_3(imgpipe: Imgpipe, proxy: Proxy) -> None:
    proxy.always("DELETE", "/", lambda _: NO_BUCKET)
    assert "is not an image pipeline's API" in imgpipe("delete", "--yes", IMAGE_ID, code=3).err


def test_an_undecodable_response_exits_with_3(imgpipe: Imgpipe) -> None:
    with _server_of(b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 5\r\n\r\nhello") as url:
        run = imgpipe("--api", url, "--retries", "0", "stats", code=3)
    assert "Traceback" not in run.err


@contextmanager
def _server_of(response: bytes) -> Iterator[str]:
    """Run a server with this response to the first request, and yield its URL."""

    def serve() -> None:
        connection, _ = listening.accept()
        with connection:
            connection.recv(65536)
            connection.sendall(response)

    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        thread.join(10)


def test_a_proxys_error_for_one_file_does_not_end_the_batch(imgpipe: Imgpipe, proxy: Proxy, tmp_path: Path) -> None:
    first, second = tmp_path / "first.jpg", tmp_path / "second.jpg"
    for path in (first, second):
        path.write_bytes(jpeg())
    proxy.always("GET", "/", lambda _: json_reply(200, {"limits": {"max_post_bytes": 1_000_000}}))
    proxy.plan("POST", "/api/images", lambda _: Reply(400, PAGE.headers, PAGE.body))
    proxy.always("POST", "/api/images", lambda _: json_reply(202, {"image_id": IMAGE_ID}))
    run = imgpipe("upload", "--jobs", "1", first, second, code=1)
    assert f"{first}: The API responded with 400" in run.err
    assert [row[0] for row in run.rows] == [str(second)]


def test_an_aborted_question_exits_with_130_and_sends_nothing(imgpipe: Imgpipe, proxy: Proxy) -> None:
    """Uses Ctrl-D, which typer treats as Ctrl-C, because Python can miss a Ctrl-C just before `input` waits."""
    command = imgpipe.command("delete", IMAGE_ID)
    output, code = run_in_terminal(
        command, imgpipe.environment, control=CTRL_D, control_when=lambda output: "[y/N]: " in output
    )
    assert code == 130, output
    assert proxy.received == []


def test_list_reports_that_there_are_more_images(imgpipe: Imgpipe, proxy: Proxy) -> None:
    item = {"status": "success", "data": {"image_id": IMAGE_ID, "original_name": "a.jpg"}}
    page = json_reply(200, {"data": [item] * 3, "next_cursor": None})
    proxy.always("GET", "/api/images", lambda _: page)
    cut = imgpipe("list", "--limit", "2", "--json")
    assert len(cut.documents) == 2
    assert "--all shows more" in cut.err
    assert imgpipe("list", "--limit", "2", "--quiet").err == ""
    for everything in (("--limit", "3"), ("--all",)):
        run = imgpipe("list", *everything, "--json")
        assert (len(run.documents), run.err) == (3, "")


@pytest.mark.parametrize("status", [401, 403])
def test_a_refused_key_exits_with_4_without_a_retry(imgpipe: Imgpipe, proxy: Proxy, status: int) -> None:
    proxy.plan("GET", "/api/stats", lambda _: json_reply(status, {"message": "Unauthorized"}))
    run = imgpipe("stats", code=4)
    assert "Unauthorized" in run.err
    assert "IMGPIPE_API_KEY" in run.err
    assert len(proxy.received) == 1


def test_a_server_that_keeps_failing_exits_with_1(imgpipe: Imgpipe, proxy: Proxy) -> None:
    proxy.plan("GET", "/api/stats", *[lambda _: error_reply(503, "unavailable", Retry_After="0")] * 3)
    assert "unavailable" in imgpipe("--retries", "2", "stats", code=1).err
    assert len(proxy.received) == 3


def test_the_key_comes_from_the_environment_or_a_file(imgpipe: Imgpipe, proxy: Proxy, tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_text("from-a-file\n")
    imgpipe("stats")
    imgpipe.environment["IMGPIPE_API_KEY"] = KEY
    imgpipe("stats")
    imgpipe("--api-key-file", file, "stats")
    imgpipe.environment["IMGPIPE_API_KEY_FILE"] = str(file)
    imgpipe("stats")
    assert [one.headers.get("x-api-key") for one in proxy.received] == [None, KEY, "from-a-file", "from-a-file"]


@pytest.mark.parametrize("text", ["", "two words", "läng", "line\nline"])
def test_an_impossible_key_is_refused_and_not_printed(
    imgpipe: Imgpipe, proxy: Proxy, tmp_path: Path, text: str
) -> None:
    file = tmp_path / "key"
    file.write_text(text)
    run = imgpipe("--api-key-file", file, "stats", code=2)
    assert not text or text not in run.err
    assert proxy.received == []


def test_the_key_is_never_sent_to_the_bucket(imgpipe: Imgpipe, proxy: Proxy, bucket: Proxy, tmp_path: Path) -> None:
    picture = tmp_path / "picture.jpg"
    picture.write_bytes(jpeg())
    signed = {"Content-Type": "image/jpeg", "If-None-Match": "*", "X-Signed": "1"}
    upload = {"method": "PUT", "url": f"{bucket.url}/key?signature=abc", "headers": signed}
    image = {"status": "success", "data": {"image_id": IMAGE_ID, "original_name": "a.jpg"}, "error": None}
    proxy.always("POST", "/api/uploads", lambda _: json_reply(201, {"image_id": IMAGE_ID, "upload": upload}))
    proxy.always(
        "GET",
        f"/api/images/{IMAGE_ID}/original",
        lambda _: Reply(307, {"Location": f"{bucket.url}/key?signature=abc"}),
    )
    proxy.always("GET", f"/api/images/{IMAGE_ID}", lambda _: json_reply(200, image))
    proxy.always("GET", "/", lambda _: json_reply(200, {"limits": {"max_post_bytes": 1}}))
    imgpipe.environment["IMGPIPE_API_KEY"] = KEY

    up = imgpipe("upload", picture)
    down = imgpipe("download", IMAGE_ID, "--output", tmp_path / "copy.jpg")

    put, get = bucket.received
    assert {name: put.headers[name.lower()] for name in signed} == signed
    assert put.headers["content-length"] == str(put.size) == str(len(jpeg()))
    assert (tmp_path / "copy.jpg").read_bytes() == jpeg()
    assert all(one.headers["x-api-key"] == KEY for one in proxy.received)
    assert KEY not in f"{put.headers} {get.headers} {up} {down}"


@pytest.fixture
def forward_proxy(imgpipe: Imgpipe) -> Iterator[Proxy]:
    """Receives what imgpipe sends to other machines over plain http. No DNS lookup is made."""
    with run_proxy(None) as forward_proxy:
        forward_proxy.always("GET", "http://", lambda _: json_reply(200, STATS))
        imgpipe.environment |= {"HTTP_PROXY": forward_proxy.url, "http_proxy": forward_proxy.url}
        yield forward_proxy


@pytest.mark.parametrize("api", ["http://there.invalid", "http://10.0.0.1:8000", "http://localhost.there.invalid"])
def test_a_key_is_sent_to_another_machine_over_plain_http_only_with_insecure(
    imgpipe: Imgpipe, forward_proxy: Proxy, api: str
) -> None:
    imgpipe("--api", api, "stats")
    imgpipe.environment["IMGPIPE_API_KEY"] = KEY

    refused = imgpipe("--api", api, "stats", code=2)
    assert "--insecure" in refused.err
    assert [one.headers.get("x-api-key") for one in forward_proxy.received] == [None]

    allowed = imgpipe("--api", api, "stats", "--insecure")
    assert "unencrypted" in allowed.err
    assert [one.headers.get("x-api-key") for one in forward_proxy.received] == [None, KEY]
    assert KEY not in f"{refused} {allowed}"


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_a_key_is_sent_to_this_machine_over_plain_http_without_a_proxy(
    imgpipe: Imgpipe, proxy: Proxy, forward_proxy: Proxy, host: str
) -> None:
    for name in ("NO_PROXY", "no_proxy"):
        imgpipe.environment.pop(name, None)
    imgpipe.environment["IMGPIPE_API_KEY"] = KEY
    imgpipe("--api", proxy.url.replace("127.0.0.1", host), "stats")
    assert [one.headers.get("x-api-key") for one in proxy.received] == [KEY]
    assert forward_proxy.received == []


@pytest.mark.parametrize(
    ("host", "is_on_this_machine"),
    [
        *((host, True) for host in ("127.0.0.1", "127.255.255.254", "[::1]", "localhost", "LOCALHOST")),
        *(
            (host, False)
            for host in ("128.0.0.1", "0.0.0.0", "127.0.0.1.there.invalid", "my-localhost", "[fe80::1]")
        ),
    ],
)
def test_this_machine_means_its_loopback_addresses(host: str, *, is_on_this_machine: bool) -> None:
    assert Settings(f"http://{host}:8000", KEY).is_on_this_machine is is_on_this_machine
    assert Settings(f"http://{host}:8000", KEY).key_is_exposed is not is_on_this_machine
    assert Settings(f"https://{host}:8000", KEY).key_is_exposed is False
    assert Settings(f"http://{host}:8000", None).key_is_exposed is False


def test_an_api_with_a_stage_in_its_url_works(imgpipe: Imgpipe, proxy: Proxy) -> None:
    proxy.always("GET", "/prod/api/stats", lambda _: json_reply(200, STATS))
    imgpipe("--api", f"{proxy.url}/prod/", "stats")
    assert [one.path for one in proxy.received] == ["/prod/api/stats"]


def test_global_options_work_before_and_after_the_command(imgpipe: Imgpipe, proxy: Proxy) -> None:
    del imgpipe.environment["IMGPIPE_API"]
    for arguments in (["--json", "--api", proxy.url, "stats"], ["stats", f"--api={proxy.url}", "--json"]):
        assert imgpipe(*arguments).document == STATS


def test_a_closed_output_pipe_is_not_an_error(imgpipe: Imgpipe, proxy: Proxy) -> None:
    item = {"status": "success", "data": {"image_id": IMAGE_ID, "original_name": "a" * 1000}}
    proxy.always("GET", "/api/images", lambda _: json_reply(200, {"data": [item] * 1000, "next_cursor": "more"}))
    command = " ".join(imgpipe.command("list", "--all", "--json"))
    run = subprocess.run(
        ["bash", "-c", f"{command} | head -1; echo ${{PIPESTATUS[0]}}"],
        env=imgpipe.environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert run.stdout.splitlines()[1] == "0"
    assert run.stderr == ""


def test_the_version_is_that_of_the_distribution(imgpipe: Imgpipe) -> None:
    from importlib.metadata import version

    assert imgpipe("--version").out == f"imgpipe {version('serverless-image-pipeline')}\n"


def test_large_files_are_not_loaded_into_memory(
    imgpipe: Imgpipe, proxy: Proxy, bucket: Proxy, tmp_path: Path
) -> None:
    """Sending 45 MB, by POST or PUT, has the same peak memory as sending almost nothing."""
    proxy.always("GET", "/", lambda _: json_reply(200, {"limits": {"max_post_bytes": 50_000_000}}))
    upload = {"url": f"{bucket.url}/key", "headers": {}}
    proxy.always("POST", "/api/uploads", lambda _: json_reply(201, {"image_id": IMAGE_ID, "upload": upload}))
    proxy.always("POST", "/api/images", lambda _: json_reply(202, {"image_id": IMAGE_ID}))
    small, large = tmp_path / "small.jpg", tmp_path / "large.jpg"
    small.write_bytes(jpeg())
    large.write_bytes(jpeg() + bytes(45_000_000))

    peaks = [
        _peak_kib(imgpipe, "upload", "--again", way, path)
        for way, path in [("--post", small), ("--post", large), ("--presigned", large)]
    ]

    assert proxy.requests("POST", "/api/images")[-1].size > 45_000_000
    assert bucket.received[-1].size > 45_000_000
    assert max(peaks) < peaks[0] + 10_000


def _peak_kib(imgpipe: Imgpipe, *arguments: str | Path) -> int:
    process = imgpipe.start(*arguments)
    assert process.stdout is not None
    process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0
    return usage.ru_maxrss // (1024 if sys.platform == "darwin" else 1)
