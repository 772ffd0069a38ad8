"""The OpenAPI schema describes every route and the errors that it may return, in the API's envelope."""

from __future__ import annotations

import json
from typing import Any

import pytest

from docs.api import offline_app
from image_api import examples, schemas
from image_api.http.errors import HTTP_STATUS, RequestError
from image_api.schemas import ErrorResponse
from image_core.errors import IMAGE_ERRORS, ImageError, PipelineError

IMAGE = "/api/images/{image_id}"
_FILE = {"400": {"unsupported_format", "empty_file"}, "409": {"idempotency_key_reused", "image_deleted"}}
_JSON = {"413": {"too_large"}, "415": {"unsupported_media_type"}, "422": {"invalid_request"}}
ROUTES: dict[tuple[str, str], dict[str, set[str]]] = {
    ("post", "/api/images"): {"202": set()} | _FILE | {"400": _FILE["400"] | {"several_files"}} | _JSON,
    ("get", "/api/images"): {
        "200": set(),
        "304": set(),
        "400": {"bad_cursor", "bad_query"},
        "422": {"invalid_request"},
    },
    ("get", IMAGE): {"200": set(), "304": set(), "404": {"not_found"}},
    ("patch", IMAGE): {
        "200": set(),
        "404": {"not_found"},
        "409": {"no_caption"},
        "412": {"precondition_failed"},
    }
    | _JSON,
    ("delete", IMAGE): {"204": set(), "404": {"not_found"}, "412": {"precondition_failed"}},
    ("post", f"{IMAGE}/reprocess"): {"202": set(), "404": {"not_found"}, "422": {"invalid_request"}},
    ("get", f"{IMAGE}/thumbnails/{{size}}"): {
        "200": set(),
        "304": set(),
        "404": {"not_found", "not_ready"},
        "409": {"not_ready", "processing_failed"},
    },
    ("get", f"{IMAGE}/original"): {"307": set(), "404": {"not_found"}, "409": {"not_ready"}},
    ("get", f"{IMAGE}/original/address"): {"200": set(), "404": {"not_found"}, "409": {"not_ready"}},
    ("post", "/api/uploads"): {"200": set(), "201": set()} | _FILE | _JSON,
    ("get", "/api/stats"): {"200": set()},
    ("get", "/health"): {"200": set()},
    ("get", "/"): {"200": set()},
}
ON_API = {"401": {"unauthorized"}}
ON_ALL = {"500": {"internal_error"}, "503": {"unavailable"}}


@pytest.fixture(scope="module")
def schema() -> dict[str, Any]:
    return offline_app().openapi()


def test_the_schema_has_exactly_the_routes_of_the_api(schema: dict[str, Any]) -> None:
    found = {(method, path) for path, methods in schema["paths"].items() for method in methods}
    assert found == set(ROUTES)


@pytest.mark.parametrize(("method", "path"), ROUTES)
def test_a_route_documents_its_responses_and_error_codes(schema: dict[str, Any], method: str, path: str) -> None:
    responses = schema["paths"][path][method]["responses"]
    expected = ROUTES[method, path] | (ON_ALL if path != "/" else {}) | (ON_API if path.startswith("/api/") else {})
    assert set(responses) == set(expected)
    for status, codes in expected.items():
        assert {code for code in ALL_CODES if f"`{code}`" in responses[status]["description"]} == codes


@pytest.mark.parametrize(("method", "path"), ROUTES)
def test_every_error_has_the_shape_of_the_envelope(schema: dict[str, Any], method: str, path: str) -> None:
    for status, response in schema["paths"][path][method]["responses"].items():
        if status >= "400":
            reference = response["content"]["application/json"]["schema"]["$ref"]
            assert reference == "#/components/schemas/ErrorResponse"


ALL_CODES = {error.code for error in HTTP_STATUS}


@pytest.mark.parametrize(("method", "path"), ROUTES)
def test_every_operation_parameter_and_response_is_described(
    schema: dict[str, Any], method: str, path: str
) -> None:
    operation = schema["paths"][path][method]
    assert operation["summary"] and operation["description"]
    for parameter in operation.get("parameters", []):
        assert parameter.get("description") or parameter["in"] == "path", parameter
        assert {"type": "null"} not in parameter["schema"].get("anyOf", [])
    for response in operation["responses"].values():
        assert response["description"]
        assert "X-Request-Id" in response["headers"]
        for media_type, content in response.get("content", {}).items():
            assert content["schema"], media_type


@pytest.mark.parametrize(("method", "path"), ROUTES)
def test_every_error_has_its_own_example(schema: dict[str, Any], method: str, path: str) -> None:
    for status, response in schema["paths"][path][method]["responses"].items():
        if status >= "400":
            examples = response["content"]["application/json"]["examples"]
            assert set(examples) == (ROUTES[method, path] | ON_ALL | ON_API)[status]
            for code, example in examples.items():
                assert set(example["value"]) == {"status", "data", "error"}
                assert ErrorResponse.model_validate(example["value"]).error.code == code


@pytest.mark.parametrize(("name", "example"), examples.OF_MODELS.items())
def test_an_example_response_matches_its_schema(schema: dict[str, Any], name: str, example: dict[str, Any]) -> None:
    model = getattr(schemas, name)
    assert model.model_validate(example).model_dump(mode="json", exclude_unset=True) == example
    assert set(example) == set(model.model_fields)
    assert schema["components"]["schemas"][name]["examples"] == [example]


def test_operations_are_named_after_their_functions(schema: dict[str, Any]) -> None:
    names = [operation["operationId"] for path in schema["paths"].values() for operation in path.values()]
    assert len(set(names)) == len(names)
    assert {"upload_image", "list_images", "get_image", "describe_image", "reserve_upload"} <= set(names)


def test_every_error_code_of_a_call_is_documented(schema: dict[str, Any]) -> None:
    text = json.dumps(schema)
    assert not [code for code in ALL_CODES if f"`{code}`" not in text]


def test_the_schema_contains_no_response_body_of_the_framework(schema: dict[str, Any]) -> None:
    assert "HTTPValidationError" not in schema["components"]["schemas"]
    assert "ValidationError" not in schema["components"]["schemas"]


def test_the_error_codes_of_failed_images_are_documented(schema: dict[str, Any]) -> None:
    assert not [code for code in IMAGE_ERRORS if f"`{code}`" not in schema["info"]["description"]]


def test_an_upload_is_documented_as_a_form_with_a_file(schema: dict[str, Any]) -> None:
    body = schema["paths"]["/api/images"]["post"]["requestBody"]
    reference = body["content"]["multipart/form-data"]["schema"]["$ref"].rsplit("/", 1)[1]
    assert schema["components"]["schemas"][reference]["required"] == ["file"]


def every_subclass(error: type) -> list[Any]:
    return [one for child in error.__subclasses__() for one in (child, *every_subclass(child))]


def test_every_error_of_a_call_has_a_status_a_code_and_a_message() -> None:
    assert {error for error in every_subclass(RequestError) if error.__module__.startswith("image_")} <= set(
        HTTP_STATUS
    )
    for error in HTTP_STATUS:
        assert error.code != PipelineError.code and error.default_message != PipelineError.default_message


def test_every_error_of_an_image_has_its_own_code_and_a_message() -> None:
    assert set(IMAGE_ERRORS.values()) == set(every_subclass(ImageError))
    for code, error in IMAGE_ERRORS.items():
        assert error.code == code != PipelineError.code and error.default_message != PipelineError.default_message
