"""Settings are read from the environment once, and invalid settings are refused."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest
from pydantic import ValidationError

from image_core.formats import NAMES
from image_core.renditions import Rendition
from image_core.settings import Settings

REQUIRED = {
    "uploads_bucket": "uploads",
    "thumbnails_bucket": "thumbnails",
    "images_table": "images",
    "stats_table": "stats",
    "queue_url": "https://sqs.eu-west-1.amazonaws.com/123456789012/queue",
}


def settings_with(**values: Any) -> Settings:
    return Settings(**(REQUIRED | values))


def run(code: str, **variables: str) -> str:
    ran = subprocess.run([sys.executable, "-c", code], env=variables, capture_output=True, text=True, check=True)
    return ran.stdout.strip()


def test_settings_come_from_variables_in_capitals_and_an_empty_variable_means_the_default() -> None:
    names = {name.upper(): value for name, value in REQUIRED.items()}
    code = "from image_core.settings import settings; print(settings().model_dump_json())"
    read = json.loads(run(code, **names, EXPOSE_GPS="true", MAX_ATTEMPTS="7", CAPTION_PROMPT="", UNRELATED="1"))
    assert {name: read[name] for name in REQUIRED} == REQUIRED
    assert read["expose_gps"] is True
    assert read["max_attempts"] == 7
    assert read["caption_prompt"] is None


def test_an_empty_endpoint_as_the_template_declares_it_means_aws() -> None:
    names = {name.upper(): value for name, value in REQUIRED.items()}
    code = (
        "from image_core.services import services\n"
        "print(services().storage.presign_download('k', name='n', content_type=None, seconds=9))"
    )
    empty = {"AWS_ENDPOINT_URL": "", "LOCAL_ENDPOINT_URL": "", "S3_PUBLIC_ENDPOINT_URL": ""}
    keys = {"AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": "testing", "AWS_DEFAULT_REGION": "eu-west-1"}
    assert run(code, **names, **empty, **keys).startswith("https://uploads.s3.eu-west-1.amazonaws.com/k?")


def test_the_defaults_match_the_documentation() -> None:
    defaults = settings_with()
    assert defaults.max_image_bytes == 50_000_000
    assert defaults.max_post_bytes == 4_000_000
    assert settings_with(max_image_bytes=1000).max_post_bytes == 1000
    assert defaults.thumbnails == {
        "small": Rendition(150),
        "medium": Rendition(300),
        "large": Rendition(1280, "webp"),
    }
    assert defaults.expose_gps is False


@pytest.mark.parametrize("name", REQUIRED)
def test_the_names_of_the_stacks_resources_are_required(name: str) -> None:
    with pytest.raises(ValidationError, match=name):
        Settings.model_validate({key: value for key, value in REQUIRED.items() if key != name})


@pytest.mark.parametrize(
    ("values", "named"),
    [
        ({"max_post_bytes": 11, "max_image_bytes": 10}, "MAX_POST_BYTES"),
        ({"thumbnails": ""}, "thumbnails.*NAME=PIXELS"),
        ({"thumbnails": "small=150,"}, "thumbnails.*NAME=PIXELS"),
        ({"thumbnails": "small:150"}, "small:150"),
        ({"thumbnails": "Small=150"}, "Small=150"),
        ({"thumbnails": "1st=150"}, "1st=150"),
        ({"thumbnails": f"{'a' * 21}=150"}, "20"),
        ({"thumbnails": "small=0"}, "1 to 2560"),
        ({"thumbnails": "small=2561"}, "1 to 2560"),
        ({"thumbnails": "small=0150"}, "small=0150"),
        ({"thumbnails": "small=150:gif"}, "auto, jpeg, webp, avif"),
        ({"thumbnails": "small=150:webp:0"}, "Quality is 1 to 100"),
        ({"thumbnails": "small=150:webp:101"}, "Quality is 1 to 100"),
        ({"thumbnails": "small=-5"}, "small=-5"),
        ({"thumbnails": "small=150,small=300"}, "'small' appears twice"),
        ({"max_attempts": 0}, "max_attempts"),
        ({"stats_shards": 0}, "stats_shards"),
        ({"max_image_pixels": "many"}, "max_image_pixels"),
        ({"max_image_frames": 0}, "max_image_frames"),
        ({"allowed_formats": "jpeg,svg"}, "ALLOWED_FORMATS.*svg"),
        ({"allowed_formats": " , "}, "ALLOWED_FORMATS"),
        ({"caption_max_tokens": 0}, "caption_max_tokens"),
        ({"pending_timeout_seconds": 0}, "pending_timeout_seconds"),
    ],
)
def test_the_error_for_an_invalid_value_names_the_setting(values: dict[str, Any], named: str) -> None:
    with pytest.raises(ValidationError, match=named):
        settings_with(**values)


def test_settings_do_not_change() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        settings_with().max_attempts = 9


def test_a_lease_is_longer_than_the_functions_timeout() -> None:
    assert settings_with(processor_timeout_seconds=120).lease_seconds == 130


def test_formats_are_comma_separated_in_any_order_and_all_are_allowed_by_default() -> None:
    names = {name.upper(): value for name, value in REQUIRED.items()}
    code = "from image_core.settings import settings; print(','.join(settings().allowed_formats))"
    assert run(code, **names, ALLOWED_FORMATS=" WebP, jpeg,") == "jpeg,webp"
    assert run(code, **names, ALLOWED_FORMATS="") == ",".join(NAMES)


def test_thumbnail_sizes_keep_the_order_of_their_setting() -> None:
    names = {name.upper(): value for name, value in REQUIRED.items()}
    code = "from image_core.settings import settings; print(settings().thumbnails)"
    table = "large=1024:avif, small=150:auto,x-2=1000:webp:70"
    expected = {"large": Rendition(1024, "avif"), "small": Rendition(150), "x-2": Rendition(1000, "webp", 70)}
    assert run(code, **names, THUMBNAILS=table) == str(expected)
    assert run(code, **names, THUMBNAILS="") == str(settings_with().thumbnails)


def test_decoding_gets_the_memory_that_model_and_file_leave() -> None:
    names = {name.upper(): value for name, value in REQUIRED.items()}
    code = "from image_core.settings import settings; print(settings().decoding_bytes)"
    assert run(code, **names) == "None", "only Lambda sets how much memory there is"
    assert run(code, **names, AWS_LAMBDA_FUNCTION_MEMORY_SIZE="3008") == str((3008 - 1250 - 200 - 100) * 1_000_000)
    assert settings_with(aws_lambda_function_memory_size=1024).decoding_bytes == 0
