"""Options from flags and from the environment."""

from __future__ import annotations

import subprocess

import pytest

from local.options import LOCAL_PARAMETERS, LOCAL_TIMING, parse
from local.template import ROOT, UnknownTiming, read_template, with_timing


def test_the_documented_defaults_apply_without_flags():
    options = parse([], {})
    assert (options.host, options.port, options.aws_port, options.workers) == ("127.0.0.1", 8000, 4566, 2)
    assert (options.parameters, options.timing) == (LOCAL_PARAMETERS, LOCAL_TIMING)
    assert options.aws_endpoint is None


def test_make_run_passes_options_in_the_environment(tmp_path):
    options = parse([], {"PORT": "8001", "AWS_PORT": "4567", "WORKERS": "3", "MODEL": str(tmp_path)})
    assert (options.port, options.aws_port, options.workers) == (8001, 4567, 3)
    assert options.model_folder == tmp_path


def test_thumbnail_sizes_of_make_run_reach_the_parameter_of_the_template():
    wanted = "small=150,medium=300,large=1024"
    options = parse([], {"THUMBNAILS": wanted})
    assert options.parameters["Thumbnails"] == wanted
    assert "Thumbnails" not in parse([], {"THUMBNAILS": ""}).parameters
    asked = subprocess.run(
        ["make", "--no-print-directory", "-f", "Makefile", "-f", "-", "show", f"THUMBNAILS={wanted}"],
        input="show: ; @printenv THUMBNAILS",
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert asked.stdout.strip() == wanted, "make must export it"


def test_webhooks_of_make_run_reach_the_parameter_and_the_secret_of_the_template():
    secret = "whsec_" + "A" * 40
    environment = {"WEBHOOK_URL": "http://127.0.0.1:9000/hook", "WEBHOOK_SECRET": secret}
    options = parse([], environment)
    assert options.parameters["WebhookUrl"] == "http://127.0.0.1:9000/hook"
    assert options.secret_values == {"WebhookSecret": secret}
    assert parse(["--webhook-url", "https://a.example"], {}).secret_values == {}, "it is generated"
    asked = subprocess.run(
        ["make", "--no-print-directory", "-f", "Makefile", "-f", "-", "show", "WEBHOOK_URL=a", "WEBHOOK_SECRET=b"],
        input="show: ; @printenv WEBHOOK_URL WEBHOOK_SECRET",
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert asked.stdout.split() == ["a", "b"], "make must export them"


@pytest.mark.parametrize(
    ("environment", "message"),
    [
        ({"WEBHOOK_URL": "http://a.example/hook?token=t"}, "without TLS only this machine can be called"),
        ({"WEBHOOK_URL": "a.example"}, "https://HOST"),
        ({"WEBHOOK_SECRET": "whsec_" + "A" * 40}, "WEBHOOK_URL is not"),
        ({"WEBHOOK_URL": "https://a.example", "WEBHOOK_SECRET": "s3cret"}, "base64 of 24 to 64"),
    ],
)
def test_webhooks_that_could_not_be_sent_are_refused_at_the_start(capsys, environment, message):
    with pytest.raises(SystemExit):
        parse([], environment)
    error = capsys.readouterr().err
    assert message in error
    assert "token=" not in error and "s3cret" not in error


def test_a_flag_wins_over_the_environment():
    assert parse(["--port", "8002"], {"PORT": "8001"}).port == 8002


def test_a_parameter_overrides_the_local_default():
    options = parse(["--parameter", "ApiKeyRequired=true", "--parameter", "AllowedFormats=a = b"], {})
    assert options.parameters["ApiKeyRequired"] == "true"
    assert options.parameters["AllowedFormats"] == "a = b"


def test_a_timing_overrides_the_local_default_and_an_unknown_one_is_refused():
    options = parse(["--timing", "Processor.Timeout=5"], {})
    assert options.timing["Processor"] == LOCAL_TIMING["Processor"] | {"Timeout": 5}
    with pytest.raises(UnknownTiming, match=r"Processor\.Tiemout"):
        with_timing(read_template(), parse(["--timing", "Processor.Tiemout=5"], {}).timing)


@pytest.mark.parametrize(
    "arguments",
    [
        ["--port", "99999"],
        ["--port", "x"],
        ["--aws-port", "-1"],
        ["--workers", "-1"],
        ["--workers", "two"],
        ["--sweep-seconds", "0"],
        ["--sweep-seconds", "nan"],
        ["--sweep-seconds", "often"],
        ["--aws-host", "0.0.0.0"],
        ["--parameter", "X"],
        ["--timing", "Processor.Timeout"],
        ["--timing", "Timeout=5"],
        ["--timing", "Processor.Timeout=soon"],
        ["--model", "/no/such/folder"],
        ["--thumbnails", "large"],
    ],
)
def test_an_invalid_option_is_refused(arguments, capsys):
    with pytest.raises(SystemExit) as refused:
        parse(arguments, {})
    assert refused.value.code == 2
    output = capsys.readouterr().err
    assert arguments[0] in output
    assert "invalid _" not in output, "the message would contain a function's name"


@pytest.mark.parametrize(
    ("name", "flag"), [("PORT", "--port"), ("AWS_PORT", "--aws-port"), ("WORKERS", "--workers")]
)
def test_an_invalid_variable_in_the_environment_is_refused(name, flag, capsys):
    with pytest.raises(SystemExit):
        parse([], {name: "abc"})
    output = capsys.readouterr().err.splitlines()[-1]
    assert flag in output
    assert "'abc'" in output
    assert "invalid _" not in output


def test_containers_reach_the_emulator_only_if_requested():
    assert not parse([], {}).containers
    assert parse(["--containers"], {}).containers


def test_the_emulator_is_moto_unless_another_one_is_requested(monkeypatch, tmp_path):
    monkeypatch.setattr("local.options.MINISTACK", tmp_path)
    (tmp_path / "installed").touch()
    assert parse([], {}).emulator == parse([], {"EMULATOR": ""}).emulator == "moto"
    assert parse([], {"EMULATOR": "ministack"}).emulator == "ministack"
    assert parse(["--emulator", "moto"], {"EMULATOR": "ministack"}).emulator == "moto"


@pytest.mark.parametrize(
    ("environment", "message"),
    [
        ({"EMULATOR": "localstack"}, "EMULATOR=localstack: choose from moto, ministack"),
        ({"EMULATOR": "ministack"}, "`make run EMULATOR=ministack` installs it"),
    ],
)
def test_a_missing_emulator_is_refused(monkeypatch, tmp_path, capsys, environment, message):
    monkeypatch.setattr("local.options.MINISTACK", tmp_path)
    with pytest.raises(SystemExit):
        parse([], environment)
    assert message in capsys.readouterr().err
    assert parse(["--aws-endpoint", "http://127.0.0.1:4566"], {"EMULATOR": "ministack"}).aws_endpoint
