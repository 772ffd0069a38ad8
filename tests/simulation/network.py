"""The network between the code and the services: latency, injected faults, and the trace."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from types import GeneratorType
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from tests.simulation import errors
from tests.simulation.world import World, serve


class Fault(StrEnum):
    """A fault of one call."""

    THROTTLED = "throttled"
    SERVER_ERROR = "server error"
    RESET = "connection reset"
    TIMEOUT = "timeout before"
    LOST = "reply lost"  # applied, but the caller sees a timeout
    LATE = "applied late"  # the caller sees a timeout, and the call is applied after that
    TWICE = "applied twice"  # botocore retried; the caller sees the second response
    CUT = "body cut"  # the download ends early
    PARTIAL = "kept some"  # DeleteObjects or PutEvents responds with errors for some entries
    RACING = "conditional conflict"  # S3: another client is writing that key
    KILL_BEFORE = "killed before"
    KILL_AFTER = "killed after"  # applied, and the process dies
    PAUSE = "paused"  # for longer than the lease


BEFORE: dict[Fault | None, Callable[[str, str], Exception]] = {
    Fault.THROTTLED: errors.throttled,
    Fault.SERVER_ERROR: errors.server_error,
    Fault.RESET: lambda *_: errors.unreachable(),
    Fault.TIMEOUT: lambda *_: errors.timed_out(),
    Fault.RACING: lambda service, operation: errors.refusal(
        service, operation, "ConditionalRequestConflict", http=409
    ),
}


@dataclass(frozen=True)
class Call:
    """One call of a client, numbered within the run."""

    number: int
    actor: str
    service: str
    operation: str
    arguments: dict[str, Any]

    @property
    def is_read(self) -> bool:
        return self.operation.startswith(("get", "head", "list", "query", "scan", "batch_get"))

    def can_have(self, fault: Fault) -> bool:
        """Return whether this fault can happen to this call."""
        if fault is Fault.CUT:
            return self.operation == "get_object"
        if fault is Fault.PARTIAL:
            return self.operation in ("delete_objects", "put_events")
        if fault is Fault.RACING:
            return self.operation == "delete_object" and "IfMatch" in self.arguments
        if fault is Fault.TWICE:
            # A repeated transaction has the same token and changes nothing.
            return not self.is_read and self.operation != "transact_write_items"
        if fault in (Fault.LOST, Fault.LATE):
            return not self.is_read
        return True


@dataclass(frozen=True)
class Step:
    """One line of the trace."""

    time: float
    actor: str
    what: str
    outcome: str


class Network:
    """Passes calls to the fakes. `faults` returns the fault of a call, `latency` its duration in seconds."""

    def __init__(
        self,
        world: World,
        *,
        faults: Callable[[Call], Fault | None],
        latency: Callable[[], float],
        pause: Callable[[], float],
    ) -> None:
        self.world = world
        self.faults = faults
        self.latency = latency
        self.pause = pause
        self.calls = 0
        self.caller = ""
        """The process that made the current call."""
        self.injected: Counter[str] = Counter()
        self.trace: deque[Step] = deque(maxlen=400)

    def note(self, actor: str, what: str, outcome: str = "") -> None:
        """Add a line to the trace that is not a call."""
        self.trace.append(Step(self.world.now, actor, what, outcome))

    def call(self, service: str, operation: str, apply: Callable[..., Any], arguments: dict[str, Any]) -> Any:
        """Make one call in the current thread."""
        world = self.world
        actor = world.current
        self.calls += 1
        call = Call(self.calls, actor.name, service, operation, arguments)
        fault = self.faults(call) if actor.process.alive else None
        if fault is not None:
            self.injected[fault.value] += 1
        if fault is Fault.PAUSE:
            actor.process.frozen = True
            world.sleep(self.pause())
        world.sleep(self.latency())
        result = f"{fault or ''}"
        try:
            if fault is Fault.KILL_BEFORE:
                world.kill(actor.process)
                world.sleep(0)
            if fault in BEFORE:
                raise BEFORE[fault](service, _pascal(operation))
            if fault is Fault.LATE:
                if hasattr(arguments.get("Body"), "read"):
                    arguments["Body"] = arguments["Body"].read()
                world.at(
                    self.latency() + world.rng.uniform(0, 5),
                    partial(self._late, actor.process.name, apply, arguments),
                )
                raise errors.timed_out()
            self.caller = actor.process.name
            if fault is Fault.PARTIAL and operation == "put_events":
                response = self._put_some(apply, arguments["Entries"])
            elif fault is Fault.PARTIAL:
                kept, *rest = arguments["Delete"]["Objects"]
                response = apply(**arguments | {"Delete": {"Objects": rest}}) if rest else {}
                response["Errors"] = [{"Key": kept["Key"], "Code": "InternalError"}]
            else:
                response = self._applied(apply, arguments, twice=fault is Fault.TWICE)
            if fault is Fault.KILL_AFTER:
                world.kill(actor.process)
                world.sleep(0)
            if fault is Fault.LOST:
                raise errors.timed_out()
            if fault is Fault.CUT:
                response["Body"].broken = True
        except ClientError as error:
            result = f"{result} {error.response['Error']['Code']}"
            raise
        except BotoCoreError as error:
            result = f"{result} {type(error).__name__}"
            raise
        except Exception as error:
            # No service raises this error, so the simulation itself is wrong.
            world.report(f"{service}.{operation} ended with {error!r}")
            raise
        finally:
            self.trace.append(Step(world.now, actor.name, _summary(call), result))
        return response

    def _put_some(self, apply: Callable[..., Any], entries: list[dict[str, Any]]) -> dict[str, Any]:
        """Let the bus accept only some of the entries, chosen at random."""
        refused = {self.world.rng.randrange(len(entries)) for _ in range(1 + len(entries) // 3)}
        accepted = [entry for number, entry in enumerate(entries) if number not in refused]
        results = iter(apply(Entries=accepted)["Entries"] if accepted else [])
        every = [
            {"ErrorCode": "ThrottlingException"} if n in refused else next(results) for n in range(len(entries))
        ]
        return {"FailedEntryCount": len(refused), "Entries": every}

    def _applied(self, apply: Callable[..., Any], arguments: dict[str, Any], *, twice: bool = False) -> Any:
        if twice:
            apply(**arguments)
            self.world.sleep(self.latency())
            self.caller = self.world.current.process.name
        response = apply(**arguments)
        if isinstance(response, GeneratorType):
            return serve(self.world, response).result()
        return response

    def _late(self, caller: str, apply: Callable[..., Any], arguments: dict[str, Any]) -> None:
        self.note("the network", f"a call of {caller} arrives late")
        self.caller = caller
        try:
            response = apply(**arguments)
        except ClientError:
            return
        if isinstance(response, GeneratorType):
            serve(self.world, response)


class Client:
    """Replaces boto3's client."""

    def __init__(self, network: Network, service: str, fake: Any) -> None:
        self._network = network
        self._service = service
        self._fake = fake
        self.exceptions = errors.exceptions_of(service)

    def __getattr__(self, operation: str) -> Any:
        apply = getattr(self._fake, operation)

        def call(**arguments: Any) -> Any:
            return self._network.call(self._service, operation, apply, arguments)

        return call

    def get_paginator(self, operation: str) -> Pages:
        assert operation == "list_objects_v2"
        return Pages(self)

    def generate_presigned_url(self, operation: str, Params: dict[str, Any], ExpiresIn: int) -> str:
        """Return a URL without a call. The fake knows what it allows."""
        return str(self._fake.presign(operation, Params, ExpiresIn))


class Pages:
    """A paginator of list_objects_v2."""

    def __init__(self, client: Client) -> None:
        self._client = client

    def paginate(self, **arguments: Any) -> Iterator[dict[str, Any]]:
        while True:
            page = self._client.list_objects_v2(**arguments)
            yield page
            if not page["IsTruncated"]:
                return
            arguments = {**arguments, "ContinuationToken": page["NextContinuationToken"]}


def _pascal(operation: str) -> str:
    return "".join(part.capitalize() for part in operation.split("_"))


def _summary(call: Call) -> str:
    """Describe a call in a few words."""
    words = []
    arguments = call.arguments
    writes = arguments.get("TransactItems") or [{"Put": arguments}]
    for write in writes:
        for kind, detail in write.items():
            item = detail.get("Item")
            if item is not None and "status" in item:
                words.append(f"{_brief(item['image_id']['S'])} {item['status']['S']} rev {item['rev']['N']}")
            elif kind == "Update":
                values = detail["ExpressionAttributeValues"].values()
                names = detail["ExpressionAttributeNames"].values()
                words.append(" ".join(f"{n} {v.get('N')}" for n, v in zip(names, values, strict=False)))
    for name in ("Key", "Prefix", "VersionId", "IfMatch", "IndexName", "ReceiptHandle", "MessageBody"):
        if name in arguments:
            value = arguments[name]
            words.append(_brief(str(next(iter(value.values()))["S"] if isinstance(value, dict) else value)))
    if "Entries" in arguments:
        words.append(" ".join(entry["DetailType"] for entry in arguments["Entries"]))
    if "Delete" in arguments:
        words.append(" ".join(_brief(entry["Key"]) for entry in arguments["Delete"]["Objects"]))
    return f"{call.number}: {call.service}.{call.operation} {'; '.join(words)}"


def _brief(text: str) -> str:
    return text if len(text) <= 60 else f"{text[:40]}…{text[-16:]}"
