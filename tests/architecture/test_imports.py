"""The imports between the parts of the pipeline follow the rules in imports.py."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from tests.architecture.imports import FOLDERS, LAYERS, PIPELINE, ROOT, Import, imports_of, sources, violations


def test_all_imports_follow_the_rules() -> None:
    assert violations(sources()) == []


def test_all_packages_of_the_pipeline_are_checked() -> None:
    found = {name.partition(".")[0] for name in sources()}
    assert set(PIPELINE) <= found
    assert len([name for name in sources() if name.startswith("image_core.")]) >= 15


def test_every_module_of_the_core_has_its_layer() -> None:
    core = ROOT / FOLDERS["image_core"]
    named = {path.stem for path in core.iterdir() if path.suffix == ".py" or (path / "__init__.py").is_file()}
    assert named - {"__init__"} == set().union(*LAYERS)


@pytest.mark.parametrize(
    ("module", "source", "rule"),
    [
        ("image_api.app", "import image_processor.picture.decode", "functions must not import each other"),
        ("image_processor.handler", "from image_recovery import handler", "functions must not import each other"),
        ("image_recovery.handler", "def f():\n    import image_api.app", "functions must not import each other"),
        ("image_core.stores.objects", "import fastapi", "web or image libraries"),
        ("image_core.formats", "from PIL import Image", "web or image libraries"),
        ("image_core.stores.queue", "from image_api.app import create_app", "must not import a function"),
        ("image_core.errors", "from image_core.model import Record\nfrom image_core import keys", "lower layers"),
        ("image_core.model", "from image_core.stores.images import Records", "lower layers"),
        ("image_core.stores.queries", "from image_core.services import Services", "lower layers"),
        ("image_core.brand_new", "from image_core.errors import Busy", "lower layers"),
        ("image_api.routes.files", "import boto3", "only the stores may use AWS"),
        ("image_api.routes.files", "from botocore.exceptions import ClientError", "only the stores may use AWS"),
        ("image_api.http.error_responses", "import botocore.config", "only the stores may use AWS"),
        ("image_core.lifecycle.delete", "import botocore", "only the stores may use AWS"),
        ("image_processor.picture.decode", "import boto3.session", "pure steps must not do I/O"),
        (
            "image_processor.captioning.caption",
            "from image_core.services import services",
            "pure steps must not do I/O",
        ),
        (
            "image_processor.picture.thumbnails",
            "from image_core.stores.objects import Storage",
            "pure steps must not do I/O",
        ),
        ("image_api.main", "import local.aws", "the tools around it"),
        ("image_recovery.handler", "from tests import pictures", "the tools around it"),
        ("image_core.keys", "import ops", "the tools around it"),
        ("image_processor.handler", "from models.demo import train", "the tools around it"),
        ("local.stack", "from ops.target import local_stack", "only tests and bench may import"),
        ("ops.reconcile", "from local.deploy import deploy", "only tests and bench may import"),
        ("imgpipe.client", "from image_core.model import Status", "must not import the rest"),
        ("image_api.app", "import os\nX = os.environ['X']", "reads os.environ"),
        ("image_core.keys", "import os\ndef f():\n    return os.getenv('X')", "reads os.getenv"),
        ("image_api.app", "from image_core.services import services\nS = services()", "services() during import"),
        ("image_core.stores.objects", "import boto3\nC = boto3.client('s3')", "boto3.client() during import"),
        ("image_api.app", "def f(s=settings()):\n    pass", "settings() during import"),
        ("image_processor.handler", "class A:\n    x = processor()", "processor() during import"),
    ],
)
def test_a_source_that_breaks_a_rule_is_found(module: str, source: str, rule: str) -> None:
    caught = violations({module: source})
    assert [sentence for sentence in caught if module in sentence and rule in sentence]


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("image_api.app", "from image_core.services import Services"),
        ("image_api.http.error_responses", "from botocore.exceptions import ClientError"),
        ("image_core.stores.queries", "from image_core.stores.items import to_item\nimport botocore"),
        (
            "image_core.stores.objects",
            "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import mypy_boto3_s3",
        ),
        ("image_core.services", "def connect():\n    import boto3\n    return boto3.client('s3')"),
        ("image_processor.main", "from image_processor.handler import processor\nprocessor()"),
        ("image_api.main", "from mangum import Mangum\nhandler = Mangum(create_app(services))"),
        ("image_processor.picture.thumbnails", "from PIL import Image\nfrom image_core.errors import CorruptImage"),
        ("ops.reconcile", "from image_core.lifecycle.engine import handle_deadline\nfrom ops.report import Report"),
        ("local.api", "import os\nimport image_api.main\nX = os.environ['X']"),
    ],
)
def test_a_source_that_follows_the_rules_is_accepted(module: str, source: str) -> None:
    assert violations({module: source}) == []


def test_imports_are_found_anywhere_in_a_module() -> None:
    source = "import a.b\nfrom c import d\ntry:\n    import e\nexcept ImportError:\n    from f.g import h as i\n"
    source += "def j():\n    import k\nif TYPE_CHECKING:\n    import m\nelse:\n    import n\n"
    assert imports_of(source) == [
        *(Import(name, for_types=False) for name in ("a.b", "c.d", "e", "f.g.h", "k")),
        Import("m", for_types=True),
        Import("n", for_types=False),
    ]


@pytest.mark.parametrize(
    "entry_point",
    [
        "image_api.app",
        "image_processor.handler",
        "image_recovery.handler",
        "image_stream.handler",
        "image_webhooks.handler",
    ],
)
def test_an_entry_point_imports_without_an_environment_and_without_heavy_libraries(
    entry_point: str,
) -> None:
    heavy = "boto3 torch transformers onnxruntime tokenizers pi_heif"
    code = f"import sys, {entry_point}; print([name for name in '{heavy}'.split() if name in sys.modules])"
    environment = {name: value for name, value in os.environ.items() if name in ("PATH", "SYSTEMROOT")}
    run = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"
