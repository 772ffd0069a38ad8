"""Find imports that break the rules of CONTRIBUTING.md, and other work that modules do during import."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
FUNCTIONS = ("image_api", "image_processor", "image_recovery", "image_stream", "image_webhooks")
PIPELINE = ("image_core", *FUNCTIONS)
FOLDERS = {
    "image_core": "layers/core/image_core",
    "image_api": "functions/api/image_api",
    "image_processor": "functions/processor/image_processor",
    "image_recovery": "functions/recovery/image_recovery",
    "image_stream": "functions/stream/image_stream",
    "image_webhooks": "functions/webhooks/image_webhooks",
    "imgpipe": "cli/imgpipe",
    "local": "local",
    "models": "models",
    "ops": "ops",
    "bench": "bench",
}
AROUND_IT = ("local", "ops", "tests", "bench")
"""The tools around the pipeline. Nothing in the pipeline imports them."""

# errors, model ← keys, settings ← search ← stores ← services ← lifecycle; each imports only from its left.
LAYERS = (
    {"errors", "retry", "model", "histogram", "formats", "renditions", "clock"},
    {"keys", "settings", "telemetry"},
    {"search"},
    {"stores"},
    {"services"},
    {"lifecycle"},
)
AWS = ("boto3", "botocore")
MAY_USE_AWS = ("image_core.services", "image_core.stores")
"""`image_api.http.error_responses` may also import `botocore.exceptions`, to map them to responses."""
MAY_READ_ENVIRONMENT = ("image_core.settings", "image_processor.picture.isolated")
"""The settings read it once. A child process inherits a part of it."""
INIT_MODULES = ("image_processor.main", "image_api.main")
"""Importing these is Lambda's INIT phase, so they may set things up."""
PURE_STEPS = ("image_processor.picture", "image_processor.captioning")
STORES = MAY_USE_AWS
WEB = ("fastapi", "starlette", "mangum", "uvicorn", "httpx", "requests")
PICTURES = ("PIL", "numpy", "torch", "transformers", "onnxruntime")


@dataclass(frozen=True)
class Import:
    """An import by its full name. `for_types` is true if nothing is imported at run time."""

    name: str
    for_types: bool

    def is_of(self, *packages: str) -> bool:
        return any(self.name == package or self.name.startswith(f"{package}.") for package in packages)


def sources() -> dict[str, str]:
    """Return the source of every module by its name."""
    return {
        module_name(path, package, ROOT / folder): path.read_text(encoding="utf-8")
        for package, folder in FOLDERS.items()
        for path in sorted((ROOT / folder).rglob("*.py"))
    }


def module_name(path: Path, package: str, folder: Path) -> str:
    parts = [package, *path.relative_to(folder).with_suffix("").parts]
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports_of(source: str) -> list[Import]:
    """Return everything that is imported anywhere in a module. `from a import b` is an import of `a.b`."""
    return list(_imports(ast.parse(source), for_types=False))


def _imports(node: ast.AST, *, for_types: bool) -> Iterator[Import]:
    if isinstance(node, ast.Import):
        for alias in node.names:
            yield Import(alias.name, for_types)
    elif isinstance(node, ast.ImportFrom):
        assert node.level == 0, "imports are absolute here"
        for alias in node.names:
            yield Import(f"{node.module}.{alias.name}", for_types)
    elif isinstance(node, ast.If) and ast.unparse(node.test) in ("TYPE_CHECKING", "typing.TYPE_CHECKING"):
        for checked in node.body:
            yield from _imports(checked, for_types=True)
        for otherwise in node.orelse:
            yield from _imports(otherwise, for_types=for_types)
    else:
        for child in ast.iter_child_nodes(node):
            yield from _imports(child, for_types=for_types)


def violations(modules: dict[str, str]) -> list[str]:
    """Return all violations of the rules, as sentences."""
    return [
        f"{module} imports {one.name}: {rule}"
        for module, source in modules.items()
        for one in imports_of(source)
        for rule in _broken(module, one)
    ] + [
        f"{module} {problem}"
        for module, source in modules.items()
        if _is_of(module, *PIPELINE) and module not in INIT_MODULES
        for problem in _at_import(source)
        if not (module in MAY_READ_ENVIRONMENT and problem.startswith("reads"))
    ]


def _broken(module: str, one: Import) -> Iterator[str]:
    package = module.partition(".")[0]
    if package in PIPELINE and one.is_of(*AROUND_IT, "models", "imgpipe"):
        yield "the pipeline must not import the tools around it"
    if package in FUNCTIONS and one.is_of(*(other for other in FUNCTIONS if other != package)):
        yield "functions must not import each other"
    if package == "image_core" and one.is_of(*FUNCTIONS):
        yield "the core must not import a function"
    if package == "image_core" and one.is_of(*WEB, *PICTURES):
        yield "the core must not import web or image libraries"
    if package == "image_core" and not _is_lower(module, one):
        yield "a layer may only import lower layers"
    if package == "imgpipe" and one.is_of(*PIPELINE, *AROUND_IT, "models"):
        yield "the command line must not import the rest of the repository"
    translates_aws_errors = module == "image_api.http.error_responses" and one.is_of("botocore.exceptions")
    if package in PIPELINE and one.is_of(*AWS) and not _is_of(module, *MAY_USE_AWS) and not translates_aws_errors:
        yield "only the stores may use AWS"
    # Only one module reads the template, for the local stack and for the preflight of a deployment.
    reads_the_template = package == "ops" and one.is_of("local.template")
    around = [other for other in AROUND_IT if other != package]
    if package in ("local", "models", "ops") and one.is_of(*around) and not reads_the_template:
        yield "only tests and bench may import several tools"
    if _is_of(module, *PURE_STEPS) and one.is_of(*AWS, *STORES):
        yield "pure steps must not do I/O"


def _is_of(module: str, *packages: str) -> bool:
    return any(module == package or module.startswith(f"{package}.") for package in packages)


def _layer(name: str) -> int | None:
    parts = name.split(".")
    return next((i for i, layer in enumerate(LAYERS) if len(parts) > 1 and parts[1] in layer), None)


def _is_lower(module: str, one: Import) -> bool:
    if one.for_types or not one.is_of("image_core") or module == "image_core":
        return True
    own_layer, other_layer = _layer(module), _layer(one.name)
    if own_layer is None or other_layer is None:
        return False
    same_package = module.split(".")[1] == one.name.split(".")[1]
    return other_layer < own_layer or same_package or (own_layer == other_layer and own_layer in (0, 1, 4))


def _at_import(source: str) -> Iterator[str]:
    """Yield reads of the environment anywhere, and the creation of services, settings or clients during import."""
    tree = ast.parse(source)
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and ast.unparse(node) in ("os.environ", "os.getenv", "os.environb"):
            yield f"reads {ast.unparse(node)}: only the settings may"
    for called in _calls_at_import(tree):
        if called.rpartition(".")[2] in (
            "services",
            "settings",
            "connect",
            "client",
            "resource",
            "Session",
            "Settings",
        ):
            yield f"calls {called}() during import"
        if called in ("processor", "Processor"):
            yield f"calls {called}() during import"


def _calls_at_import(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.Call):
        yield ast.unparse(node.func)
    inner = list(ast.iter_child_nodes(node))
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
        # The body runs later, but not decorators and defaults.
        inner = [*getattr(node, "decorator_list", []), *node.args.defaults, *filter(None, node.args.kw_defaults)]
    for child in inner:
        yield from _calls_at_import(child)
