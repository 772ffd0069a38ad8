"""Access to the API: key, throttling, and the functions' settings."""

from __future__ import annotations

import re
import shlex
from types import SimpleNamespace

import jmespath
import pytest
from samcli.lib.providers.api_provider import ApiProvider
from samcli.lib.providers.sam_stack_provider import SamLocalStackProvider
from samcli.local.apigw.local_apigw_service import LocalApigwService

from image_api.http.api_key import MIN_KEY_CHARACTERS
from local.template import TEMPLATE
from tests.iam.policies import allows, of_role
from tests.iam.resolved import resolved, with_webhooks


def variables(**chosen: str) -> dict[str, str]:
    found = resolved(**chosen).resources("AWS::Lambda::Function")["ApiFunction"]["Environment"]["Variables"]
    return {name: str(value) for name, value in found.items()}


# The key


def test_a_deployed_stack_has_a_key_by_default():
    assert variables()["API_KEY_SECRET_ARN"] == resolved().arn("ApiKeySecret")
    assert variables(ApiKeyRequired="false")["API_KEY_SECRET_ARN"] == ""
    assert not resolved(ApiKeyRequired="false").resources("AWS::SecretsManager::Secret")


def test_the_key_is_generated_by_secrets_manager_and_long_enough():
    (secret,) = resolved().resources("AWS::SecretsManager::Secret").values()
    generated = secret["GenerateSecretString"]
    assert generated["PasswordLength"] >= MIN_KEY_CHARACTERS
    assert generated["ExcludePunctuation"] is True, "the key is sent in a header and typed into shells"
    assert "SecretString" not in secret
    assert "Name" not in secret, "a deleted secret reserves its name until it is purged"


def test_only_the_api_can_read_the_key_and_nothing_else():
    stack = resolved()
    right = "secretsmanager:GetSecretValue"
    assert allows(of_role(stack, "ApiRole"), right, stack.arn("ApiKeySecret"))
    assert not allows(of_role(stack, "ApiRole"), right, stack.arn("ApiKeySecret") + "x")
    for role in ("ProcessorRole", "RecoveryRole", "StreamRole", "WebhooksRole"):
        assert not allows(of_role(with_webhooks(), role), right, stack.arn("ApiKeySecret"))


def test_the_outputs_say_how_to_get_the_secret_of_webhooks():
    stack = with_webhooks()
    output = stack.template["Outputs"]["WebhookSecretCommand"]
    words = shlex.split(stack.value(output["Value"]))
    assert words[:3] == ["aws", "secretsmanager", "get-secret-value"]
    assert words[words.index("--secret-id") + 1] == stack.arn("WebhookSecret")
    query = words[words.index("--query") + 1]
    for stored in ("abc", "whsec_abc"):  # generated, and written by hand
        assert jmespath.search(query, {"SecretString": stored}) == "whsec_abc"
    assert output["Condition"] == "HasWebhooks"


def test_the_outputs_say_how_to_get_the_key():
    stack = resolved()
    command = stack.value(stack.template["Outputs"]["ApiKeyCommand"]["Value"])
    assert command.startswith("aws secretsmanager get-secret-value ")
    assert f"--secret-id {stack.arn('ApiKeySecret')} " in command
    assert "\n" not in command
    assert stack.template["Outputs"]["ApiKeyCommand"]["Condition"] == "HasApiKey"


def test_the_api_gets_the_settings_of_docs_and_origins():
    assert (variables()["PUBLIC_DOCS"], variables()["CORS_ORIGINS"]) == ("true", "")
    environment = variables(PublicDocs="false", CorsOrigins="https://a.example")
    assert (environment["PUBLIC_DOCS"], environment["CORS_ORIGINS"]) == ("false", "https://a.example")


@pytest.mark.parametrize("origins", ["", "*", "https://a.example", "http://localhost:5173,https://b.example:8443"])
def test_valid_origins_are_accepted(sam, origins):
    assert re.fullmatch(sam["Parameters"]["CorsOrigins"]["AllowedPattern"], origins)


@pytest.mark.parametrize(
    "origins", ["a.example", "https://a.example/", "https://*.example", "https://a, https://b", ","]
)
def test_an_invalid_origin_is_refused_before_anything_is_deployed(sam, origins):
    assert not re.fullmatch(sam["Parameters"]["CorsOrigins"]["AllowedPattern"], origins)


def test_only_the_application_handles_cors(resources):
    """If the gateway had a CORS configuration too, it would drop the application's headers."""
    body = resources["HttpApi"]["Properties"]["Body"]
    assert "x-amazon-apigateway-cors" not in body


# Throttling

WRITING = {
    "POST /api/images",
    "POST /api/uploads",
    "POST /api/images/{image_id}/reprocess",
    "PATCH /api/images/{image_id}",
}
READING = {"GET /api/images", "HEAD /api/images", "GET /health", "HEAD /health"}
"""A list reads up to 100 records; /health requires no key."""


def stage(resources):
    return resources["HttpApiApiGatewayDefaultStage"]["Properties"]


def test_costly_routes_have_lower_limits_than_the_others(resources, parameters):
    default = stage(resources)["DefaultRouteSettings"]
    assert default["ThrottlingRateLimit"] == {"Ref": "ApiRequestsPerSecond"}
    limits = stage(resources)["RouteSettings"]
    assert set(limits) == WRITING | READING
    for limit in limits.values():
        # Numbers instead of parameters: the property has no type, and a parameter would arrive as a string.
        assert 0 < limit["ThrottlingRateLimit"] < int(parameters["ApiRequestsPerSecond"])
        assert 0 < limit["ThrottlingBurstLimit"] < default["ThrottlingBurstLimit"]


def test_a_route_with_limits_exists_in_the_gateway_and_in_the_application(resources):
    """API Gateway refuses to deploy settings for a route that does not exist."""
    body = resources["HttpApi"]["Properties"]["Body"]
    in_gateway = {
        f"{method.upper()} {path}"
        for path, methods in body["paths"].items()
        for method in methods
        if path != "$default"
    }
    assert in_gateway == set(stage(resources)["RouteSettings"])
    in_application = {f"{method.upper()} {path}" for path, methods in schema_paths().items() for method in methods}
    assert in_application >= {route for route in in_gateway if not route.startswith("HEAD ")}


def test_every_route_of_the_gateway_calls_the_api(resources):
    body = resources["HttpApi"]["Properties"]["Body"]
    assert body["x-amazon-apigateway-binary-media-types"] == ["*/*"], "otherwise pictures would arrive as text"
    operations = [operation for methods in body["paths"].values() for operation in methods.values()]
    assert len(operations) == 1 + len(WRITING) + len(READING)
    for operation in operations:
        integration = operation["x-amazon-apigateway-integration"]
        assert (integration["type"], integration["payloadFormatVersion"]) == ("aws_proxy", "2.0")
        assert integration["uri"]["Fn::Sub"].endswith("functions/${ApiFunction.Arn}/invocations")


def schema_paths():
    from docs.api import offline_app

    return offline_app().openapi()["paths"]


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "PATCH", "DELETE", "OPTIONS"])
@pytest.mark.parametrize("path", ["/", "/api/images", "/api/images/img_1/reprocess", "/api/uploads", "/health"])
def test_under_sam_local_every_call_reaches_the_function(sam_local, method, path):
    """A separate route for POST must not hide the other methods of its path."""
    assert sam_local.open(path, method=method).status_code == 200


@pytest.fixture(scope="module")
def sam_local():
    """SAM's server for HTTP APIs, which responds with 200 instead of invoking the function."""
    stacks, _ = SamLocalStackProvider.get_stacks(str(TEMPLATE))
    runner = SimpleNamespace(is_debugging=lambda: False)
    service = LocalApigwService(
        ApiProvider(stacks).api, runner, static_dir=None, port=0, host="127.0.0.1", stderr=None, ssl_context=None
    )
    service.create()
    app = service._app
    assert app.view_functions
    app.view_functions = dict.fromkeys(app.view_functions, lambda **_: "")
    return app.test_client()


def test_every_call_is_in_the_access_log(resources):
    assert stage(resources)["AccessLogSettings"]["DestinationArn"] == {"Fn::GetAtt": ["ApiAccessLogGroup", "Arn"]}
    name = resolved().resources("AWS::Logs::LogGroup")["ApiAccessLogGroup"]["LogGroupName"]
    assert name.startswith("/aws/vendedlogs/"), "otherwise each API grows a resource policy whose size is limited"
