"""The options of `python -m ops`."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from image_core.model import Stage, Status
from ops.options import CAPTION_FLAGS, parse
from tests.running_stack import ROOT


def test_reconcile_is_a_dry_run_of_the_local_stack_by_default() -> None:
    options = parse(["reconcile"])
    assert (options.command, options.apply, options.resume, options.stack) == ("reconcile", False, False, None)
    assert options.local_file == Path(".local/stack.json")
    assert (options.rate, options.workers, options.min_age_seconds) == (50, 16, None)


def test_reprocess_selects_failed_images_by_default() -> None:
    options = parse(["reprocess", "--code", "retries_exhausted", "--limit", "10"])
    assert (options.apply, options.status, options.code, options.limit) == (
        False,
        Status.FAILED,
        "retries_exhausted",
        10,
    )


def test_reprocess_recreates_everything_without_a_stage() -> None:
    assert parse(["reprocess"]).stage is Stage.ALL
    assert parse(["reprocess", "--stage", "caption"]).stage is Stage.CAPTION


@pytest.mark.parametrize("condition", [["--model-not", "current"], ["--flag", "repetitive"]])
def test_reprocess_by_caption_selects_successful_images_and_only_their_captions(condition: list[str]) -> None:
    options = parse(["reprocess", *condition])
    assert (options.apply, options.status, options.stage) == (False, Status.SUCCESS, Stage.CAPTION)
    options = parse(["reprocess", "--model-not", "blip@1", "--status", "failed", "--stage", "all"])
    assert (options.model_not, options.status, options.stage) == ("blip@1", Status.FAILED, Stage.ALL)


def test_the_flags_are_those_of_the_documentation() -> None:
    text = (ROOT / "docs/metadata.md").read_text(encoding="utf-8")
    section = text.partition("## Flags of a caption")[2].partition("\n## ")[0]
    assert list(CAPTION_FLAGS) == re.findall(r"^\| `([a-z_]+)` \|", section, re.MULTILINE)


def test_a_query_that_cannot_be_searched_is_refused_with_the_reason(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parse(["reprocess", "--query", 'a "'])
    assert 'argument --query: The query has a " without a matching one.' in capsys.readouterr().err


def test_reprocess_by_search_selects_successful_images() -> None:
    options = parse(["reprocess", "--query", "red boat"])
    assert (options.query, options.status, options.stage) == ("red boat", Status.SUCCESS, Stage.ALL)
    assert parse(["reprocess", "--query", "boat", "--code", "corrupt_image"]).status is Status.FAILED


def test_import_is_a_dry_run_of_a_whole_bucket_by_default() -> None:
    options = parse(["import", "--bucket", "photos"])
    assert (options.source_bucket, options.prefix, options.apply, options.resume) == ("photos", "", False, False)
    assert (options.rate, options.workers, options.include_deleted) == (50, 16, False)


def test_redrive_only_counts_by_default() -> None:
    options = parse(["redrive"])
    assert (options.command, options.apply, options.rate) == ("redrive", False, 50)


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["reconcile", "--rate", "0"],
        ["reconcile", "--rate", "nan"],
        ["reconcile", "--rate", "fast"],
        ["reconcile", "--workers", "0"],
        ["reconcile", "--workers", "many"],
        ["reconcile", "--min-age", "-1"],
        ["reconcile", "--min-age", "old"],
        ["reconcile", "--settle", "inf"],
        ["import"],
        ["import", "--bucket", "photos", "--rate", "0"],
        ["reprocess", "--limit", "2.5"],
        ["reprocess", "--status", "pending"],
        ["reprocess", "--code", "bad_luck"],
        ["reprocess", "--stage", "metadata"],
        ["reprocess", "--status", "success", "--code", "corrupt_image"],
        ["reprocess", "--query", " "],
        ["reprocess", "--model-not", ""],
        ["reprocess", "--flag", "ugly"],
    ],
)
def test_invalid_options_exit_with_2_and_a_message(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        parse(arguments)
    assert ended.value.code == 2
    output = capsys.readouterr().err
    assert "error:" in output
    assert "invalid _" not in output, "the message would contain a function's name"
