"""`search`, and `--query` of other commands, against a running stack."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from tests.cli.command import Imgpipe
from tests.cli.proxy import Proxy, json_reply
from tests.pictures import jpeg
from tests.running_stack import Stack, until

NOTHING = {"data": [], "next_cursor": None, "warnings": []}


@pytest.fixture
def word(stack: Stack) -> Iterator[str]:
    """A word that two images have as a tag. Only the first one has a boat."""
    word = f"w{uuid.uuid4().hex[:8]}"
    ids = [stack.upload(jpeg(210 + number, 100), f"{word}-{number}.jpg") for number in range(2)]
    for image_id, tags in zip(ids, ([word, "boat"], [word, "red lake"]), strict=True):
        stack.finished(image_id)
        stack.api.patch(f"/api/images/{image_id}", json={"tags": tags})
    until(lambda: len(stack.api.get("/api/images", params={"q": f"tag:{word}"}).json()["data"]) == 2, seconds=30)
    yield word
    for image_id in ids:
        stack.api.delete(f"/api/images/{image_id}")


@pytest.mark.parametrize(
    ("arguments", "query", "filters"),
    [
        (["lake", "boat"], "lake boat", {}),
        (["lake", "-boat"], "lake -boat", {}),
        (["-boat", "lake", "--status", "success"], "-boat lake", {"status": ["success"]}),
        (["--limit", "7", "lake", "-qtips", "-tag:old"], "lake -qtips -tag:old", {"limit": ["8"]}),
        (["lake", "--json", "-boat"], "lake -boat", {}),
        (["--", "lake", "-boat"], "lake -boat", {}),
        (["lake -boat"], "lake -boat", {}),
        (['"red boat"', "tag:summer"], '"red boat" tag:summer', {}),
        (["caf\u00e9", "日本"], "caf\u00e9 日本", {}),
        (["lake", "--created-after", "2026-11-20T10:00Z"], "lake", {"created_after": ["2026-11-20T10:00:00Z"]}),
        (["lake", "--created-before", "2026-11-20T10:00Z"], "lake", {"created_before": ["2026-11-20T10:00:00Z"]}),
    ],
)
def test_words_are_sent_as_they_were_given(
    imgpipe: Imgpipe, proxy: Proxy, arguments: list[str], query: str, filters: dict[str, list[str]]
) -> None:
    proxy.always("GET", "/api/images", lambda _: json_reply(200, NOTHING))
    imgpipe("search", *arguments)
    (request,) = proxy.requests("GET", "/api/images")
    sent = parse_qs(urlsplit(request.path).query)
    assert sent == {"limit": ["21"], "q": [query]} | filters


@pytest.mark.parametrize("arguments", [["lake", "--limt", "5"], [], ["lake", "--limit", "0"]])
def test_a_mistyped_option_is_no_word(imgpipe: Imgpipe, proxy: Proxy, arguments: list[str]) -> None:
    run = imgpipe("search", *arguments, code=2)
    assert (run.out, proxy.received) == ("", [])


@pytest.mark.parametrize(
    "arguments", [["search", ""], ["search", " ", "-"], ["list", "--query", ""], ["reprocess", "--query", " "]]
)
def test_an_empty_query_is_explained(imgpipe: Imgpipe, proxy: Proxy, arguments: list[str]) -> None:
    run = imgpipe(*arguments, code=2)
    assert "Enter a word to search for." in run.err
    assert proxy.received == []


def names(run_documents: list[dict[str, dict[str, str]]]) -> set[str]:
    return {image["data"]["original_name"] for image in run_documents}


def test_search_finds_images_by_their_words(imgpipe: Imgpipe, word: str) -> None:
    assert names(imgpipe("search", word, "--json").documents) == {f"{word}-0.jpg", f"{word}-1.jpg"}
    assert names(imgpipe("search", word, "-boat", "--json").documents) == {f"{word}-1.jpg"}
    assert [row[2] for row in imgpipe("search", "--limit", "1", word).rows] == ["name", f"{word}-1.jpg"]
    assert "No images found." in imgpipe("search", word, "train").err
    assert names(imgpipe("list", "--query", f'{word} "red lake"', "--json").documents) == {f"{word}-1.jpg"}


def test_other_commands_select_images_by_a_query(imgpipe: Imgpipe, stack: Stack, word: str, tmp_path: Path) -> None:
    imgpipe("download", "--query", f"{word} -boat", "--output", tmp_path / "photos")
    assert [path.name for path in (tmp_path / "photos").iterdir()] == [f"{word}-1.jpg"]
    assert names(imgpipe("export", "jsonl", "--query", word).documents) == {f"{word}-0.jpg", f"{word}-1.jpg"}
    requeued = imgpipe("reprocess", "--query", f"{word} boat", "--wait", "--json").documents[-1]
    assert names([requeued]) == {f"{word}-0.jpg"}
    assert "No images found." in imgpipe("reprocess", "--query", word, "--failed").err


def test_a_query_that_the_api_rejects_is_explained(imgpipe: Imgpipe) -> None:
    run = imgpipe("search", "-boat", code=1)
    assert (run.out, run.err.startswith("imgpipe: "), run.err.count("\n")) == ("", True, 1)


def test_warnings_of_the_api_go_to_stderr_once(imgpipe: Imgpipe, proxy: Proxy) -> None:
    pages = [
        {**NOTHING, "next_cursor": "more", "warnings": ["careful\x1b[31m"]},
        {**NOTHING, "warnings": ["careful\x1b[31m"]},
    ]
    proxy.plan("GET", "/api/images", *[lambda _, page=page: json_reply(200, page) for page in pages])
    run = imgpipe("search", "lake", "--json")
    assert (run.out, run.err) == ("", "imgpipe: careful\\x1b[31m\nNo images found.\n")


@pytest.mark.parametrize(
    "arguments", [["search", "lake"], ["reprocess", "--query", "lake"], ["export", "jsonl", "--query", "lake"]]
)
def test_an_api_that_cannot_search_is_not_taken_for_one_that_found_everything(
    imgpipe: Imgpipe, proxy: Proxy, arguments: list[str]
) -> None:
    proxy.always("GET", "/api/images", lambda _: json_reply(200, {"data": [], "next_cursor": None}))
    assert "This API cannot search" in imgpipe(*arguments, code=1).err
    assert proxy.requests("POST") == []


@pytest.mark.parametrize("command", ["download", "reprocess"])
def test_ids_and_a_query_exclude_each_other(imgpipe: Imgpipe, proxy: Proxy, command: str) -> None:
    imgpipe(command, "img_01kb5q3v8n0h2m4x6c8f0a2d4g", "--query", "lake", code=2)
    imgpipe(command, code=2)
    assert proxy.received == []
