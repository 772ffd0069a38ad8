"""The OpenAPI schema: every route, with the errors that it may answer, in our envelope."""

from __future__ import annotations

from typing import Any

import pytest

from image_api.app import create_app
from image_core import errors
from image_core.errors import IMAGE_ERRORS, PipelineError, RequestError

IMAGE = "/api/images/{image_id}"
ROUTES: dict[tuple[str, str], dict[str, set[str]]] = {
    ("post", "/api/images"): {"202": set(), "400": {"unsupported_format", "empty_file"}, "413": {"too_large"}},
    ("get", "/api/images"): {"200": set(), "400": {"bad_cursor"}},
    ("get", IMAGE): {"200": set(), "404": {"not_found"}},
    ("delete", IMAGE): {"204": set(), "404": {"not_found"}},
    ("post", f"{IMAGE}/reprocess"): {"202": set(), "404": {"not_found"}},
    ("get", f"{IMAGE}/thumbnails/{{size}}"): {
        "200": set(),
        "304": set(),
        "404": {"not_found"},
        "409": {"not_ready", "processing_failed"},
    },
    ("get", f"{IMAGE}/original"): {"307": set(), "404": {"not_found"}, "409": {"not_ready"}},
    ("post", "/api/uploads"): {"201": set(), "400": {"unsupported_format", "empty_file"}, "413": {"too_large"}},
    ("get", "/api/stats"): {"200": set()},
    ("get", "/health"): {"200": set()},
    ("get", "/"): {"200": set()},
}
ON_API = {"401": {"unauthorized"}}
ON_ALL = {"422": {"invalid_request"}, "500": {"internal_error"}, "503": {"unavailable"}}


def unused() -> Any:
    raise AssertionError("the schema needs no services")


@pytest.fixture(scope="module")
def schema() -> dict[str, Any]:
    return create_app(unused).openapi()


def test_the_schema_has_every_route_and_no_other(schema: dict[str, Any]) -> None:
    found = {(method, path) for path, methods in schema["paths"].items() for method in methods}
    assert found == set(ROUTES)


@pytest.mark.parametrize(("method", "path"), ROUTES)
def test_a_route_documents_its_answers_and_the_codes_of_its_errors(
    schema: dict[str, Any], method: str, path: str
) -> None:
    responses = schema["paths"][path][method]["responses"]
    expected = ROUTES[method, path] | (ON_ALL if path != "/" else {}) | (ON_API if path.startswith("/api/") else {})
    assert set(responses) == set(expected)
    for status, codes in expected.items():
        assert {code for code in ALL_CODES if f"`{code}`" in responses[status]["description"]} == codes


@pytest.mark.parametrize(("method", "path"), ROUTES)
def test_every_error_has_the_shape_of_our_envelope(schema: dict[str, Any], method: str, path: str) -> None:
    for status, response in schema["paths"][path][method]["responses"].items():
        if status >= "400":
            reference = response["content"]["application/json"]["schema"]["$ref"]
            assert reference == "#/components/schemas/ErrorAnswer"


ALL_CODES = {
    error.code
    for error in vars(errors).values()
    if isinstance(error, type) and issubclass(error, RequestError) and error is not RequestError
}


def test_no_body_of_the_framework_is_in_the_schema(schema: dict[str, Any]) -> None:
    assert "HTTPValidationError" not in schema["components"]["schemas"]
    assert "ValidationError" not in schema["components"]["schemas"]


def test_the_codes_that_a_failed_image_can_carry_are_documented(schema: dict[str, Any]) -> None:
    assert not [code for code in IMAGE_ERRORS if f"`{code}`" not in schema["info"]["description"]]


def test_an_upload_is_documented_as_a_form_with_a_file(schema: dict[str, Any]) -> None:
    body = schema["paths"]["/api/images"]["post"]["requestBody"]
    reference = body["content"]["multipart/form-data"]["schema"]["$ref"].rsplit("/", 1)[1]
    assert schema["components"]["schemas"][reference]["required"] == ["file"]


def test_every_public_error_has_a_code_of_its_own_kind_and_a_message() -> None:
    public = [
        error
        for error in vars(errors).values()
        if isinstance(error, type) and issubclass(error, PipelineError) and "code" in vars(error)
    ]
    assert all(error.code and error.default_message for error in public)
    named = [error for error in public if issubclass(error, errors.ImageError)]
    assert {error.code for error in named} == set(IMAGE_ERRORS)
