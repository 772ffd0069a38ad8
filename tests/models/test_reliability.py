"""The reliability table, the suggested threshold, and the labels of pictures."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from image_core.errors import ModelError
from image_processor.captioning.model_folder import read_manifest
from models.demo.drawing import TEST_SEEDS, draw
from models.export import main as export
from models.labels import read_labels
from models.reliability import BINS, Judged, Threshold, is_accepted, main, report, suggested_threshold

DEMO = Path(__file__).parents[2] / "models" / "demo"


def judged(*groups: tuple[float, int, int]) -> list[Judged]:
    """Captions in groups of one confidence, with a number of right and of wrong captions."""
    return [
        Judged(confidence, (), is_right)
        for confidence, right, wrong in groups
        for is_right in [True] * right + [False] * wrong
    ]


@pytest.mark.parametrize(
    "label", ["a T-shirt, on a chair.", "A photo of a t-shirt on a chair", "a photo of: a t shirt on a chair"]
)
def test_a_caption_is_right_if_it_has_the_words_of_a_label_with_or_without_the_prompt(label: str) -> None:
    assert is_accepted("a photo of a t - shirt on a chair", ["another one", label], "a photo of")
    assert not is_accepted("a photo of a t - shirt on a table", [label], "a photo of")


def test_the_table_compares_confidence_with_right_captions() -> None:
    text = report([*judged((0.6, 60, 40), (0.9, 90, 10)), Judged(0.95, ("repetitive",), False)])
    assert [line for line in text.splitlines() if line.startswith(("| 0.", "| all"))] == [
        "| 0.6000 to 0.6000 | 100 | 0.6000 | 60.0% |",
        "| 0.9000 to 0.9000 | 100 | 0.9000 | 90.0% |",
        "| 0.9500 to 0.9500 | 1 | 0.9500 | 0.0% |",
        "| all | 201 | 0.7510 | 74.6% |",
    ]
    assert "Expected calibration error of these bins: 0.005." in text
    assert "repetitive: 0.5% of captions, 2.0% of wrong captions, 0.0% of right captions." in text
    assert "too_short: 0.0% of captions, 0.0% of wrong captions, 0.0% of right captions." in text


def test_different_confidences_fall_into_ten_bins_of_equal_size() -> None:
    rows = report(judged(*((number / 1000, 1, 0) for number in range(500, 600)))).splitlines()
    assert [row.split(" | ")[1] for row in rows if row.startswith("| 0.")] == ["10"] * BINS


def test_the_suggested_threshold_separates_wrong_captions_from_right_ones() -> None:
    suggested = suggested_threshold(judged((0.3, 0, 30), (0.5, 2, 18), (0.8, 100, 2)))
    assert suggested == Threshold(0.8, found=0.96, precise=0.96)


@pytest.mark.parametrize("groups", [[(0.3, 100, 19)], [(0.3, 19, 100)], [(0.5, 50, 50)]])
def test_no_threshold_is_suggested_without_enough_different_captions(groups: list[tuple[float, int, int]]) -> None:
    assert suggested_threshold(judged(*groups)) is None
    assert "No threshold is suggested" in report(judged(*groups))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with two drawn pictures."""
    for name, seed in (("one.png", TEST_SEEDS[0]), ("two é.png", TEST_SEEDS[1])):
        draw(seed).picture.save(tmp_path / name)
    return tmp_path


def test_labels_are_csv_or_lines_of_json_with_several_captions_for_a_picture(folder: Path) -> None:
    rows = [("one.png", "a dog, brown"), ("two é.png", "a cat"), ("one.png", "a puppy")]
    expected = {"one.png": ("a dog, brown", "a puppy"), "two é.png": ("a cat",)}
    lines = [json.dumps({"file": file, "caption": caption, "by": "me"}) for file, caption in rows]
    (folder / "labels.jsonl").write_text("\n\n".join(lines), encoding="utf-8")
    assert read_labels(folder).captions == expected
    cells = "\r\n".join(f'{file},"{caption}"' for file, caption in rows)
    (folder / "labels.csv").write_text(f"file,caption\r\n{cells}\r\n", encoding="utf-8-sig")
    assert read_labels(folder).captions == expected


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("other.csv", "", "has no labels: neither labels.csv nor labels.jsonl"),
        ("labels.csv", "file,caption\n", "labels.csv has no labels"),
        ("labels.csv", "picture,caption\none.png,a dog\n", "labels.csv, line 2: each label needs"),
        (
            "labels.csv",
            "file,caption\none.png,a dog\nthree.png,a cat\n",
            r"line 3: three\.png is not in the folder",
        ),
        ("labels.jsonl", '{"file": "one.png"}', "labels.jsonl, line 1: each label needs"),
        ("labels.jsonl", "\n{", "labels.jsonl, line 2 is not JSON"),
        ("labels.csv", "file,caption\nlabels.csv,a dog\n", "labels.csv is not a picture"),
    ],
)
def test_the_error_for_invalid_labels_says_where_they_are(
    folder: Path, capsys: pytest.CaptureFixture[str], name: str, content: str, message: str
) -> None:
    (folder / name).write_text(content)
    assert main([str(folder), "--model", str(DEMO / "exported")]) == 1
    with pytest.raises(ModelError, match=message):
        raise ModelError(capsys.readouterr().err)


def test_an_export_prints_the_reliability_for_labeled_pictures(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "labels.csv").write_text(f'file,caption\none.png,"{draw(TEST_SEEDS[0]).caption}"\ntwo é.png,a cat\n')
    target = folder / "exported"
    arguments = ["--labeled", str(folder), "--low-confidence", "0.4", "--language", "de"]
    assert export(["--from", str(DEMO / "checkpoint"), "--to", str(target), *arguments]) == 0
    output = capsys.readouterr().out
    assert "| all | 2 |" in output and "| 50.0% |" in output
    refused = f"Append the right ones to {folder / 'labels.csv'}:\ntwo é.png,"
    assert refused in output
    assert (read_manifest(target).language, read_manifest(target).low_confidence) == ("de", 0.4)


@pytest.mark.parametrize(
    "option", [("--low-confidence", "1.5"), ("--low-confidence", "half"), ("--language", "German!")]
)
def test_an_impossible_threshold_or_language_is_refused_before_the_export(
    option: tuple[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        export(["--from", str(DEMO / "checkpoint"), "--to", str(tmp_path / "exported"), *option])
    assert f"argument {option[0]}: invalid" in capsys.readouterr().err
