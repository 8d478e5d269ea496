"""The whole platform in real processes, its people, and what its database says in the end."""

import json
import logging
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from uuid import uuid4

import httpx
import psycopg

from devstack.programs import PROJECT
from devstack.stack import KafkaKind, Stack

PEOPLE = """
import json
from rest_framework_simplejwt.tokens import RefreshToken
from accounts.models import User
from accounts.services import become_creator, register
names = {names}
tokens = {{}}
for name in names:
    user = register(email=f"{{name}}@example.com", password="a-long-enough-password-1", display_name=name)
    if name.startswith("creator"):
        become_creator(user_id=user.pk, handle=name.replace("-", "_") + "_page")
    tokens[name] = [str(user.pk), str(RefreshToken.for_user(user).access_token)]
print(json.dumps(tokens))
"""

# A killed web process holds its request's Idempotency-Key for 60 s, and the one that takes over may be killed as well.
PATIENCE_SECONDS = 200.0
LONGEST_PAUSE_SECONDS = 10.0

logging.getLogger("httpx").setLevel(logging.WARNING)  # a line for each request would hide the rest


@dataclass(slots=True)
class Client:
    """Somebody who repeats a request, with the same Idempotency-Key, until it is answered."""

    base_url: str
    id: str
    token: str

    def request(
        self, method: str, path: str, body: Any = None, *, patience: float = PATIENCE_SECONDS
    ) -> httpx.Response:
        headers = {"Authorization": f"Bearer {self.token}", "Idempotency-Key": uuid4().hex}
        deadline = time.monotonic() + patience
        while True:
            pause = 0.2
            try:
                answer = httpx.request(
                    method, f"{self.base_url}/api/v1{path}", json=body, headers=headers, timeout=10, trust_env=False
                )
                if not is_to_be_repeated(answer):
                    return answer
                pause = min(float(answer.headers.get("Retry-After", pause)), LONGEST_PAUSE_SECONDS)
            except httpx.TransportError:
                pass
            if time.monotonic() > deadline:
                raise AssertionError(f"{method} {path} was not answered in {patience} s")
            time.sleep(pause)

    def get(self, path: str) -> Any:
        answer = self.request("GET", path)
        assert answer.is_success, answer.text
        return answer.json()

    def post(self, path: str, body: Any = None) -> Any:
        answer = self.request("POST", path, body or {})
        assert answer.is_success, answer.text
        return answer.json()


def is_to_be_repeated(answer: httpx.Response) -> bool:
    """Whether the same request may fare better later: the server is in trouble, busy with it, or asked too often."""
    if answer.status_code == HTTPStatus.CONFLICT:
        return bool(answer.json()["code"] == "idempotency_in_progress")
    return answer.is_server_error or answer.status_code == HTTPStatus.TOO_MANY_REQUESTS


class Platform:
    """A running stack."""

    def __init__(self, stack: Stack) -> None:
        self.stack = stack

    def people(self, *names: str) -> dict[str, Client]:
        """Registered users with access tokens; a name that begins with `creator` is one."""
        found = json.loads(self.manage("shell", "--no-imports", "-c", PEOPLE.format(names=names)).splitlines()[-1])
        return {name: Client(self.stack.base_url, *found[name]) for name in names}

    def manage(self, *arguments: str, check: bool = True) -> str:
        """What a management command prints."""
        result = subprocess.run(
            [sys.executable, "manage.py", *arguments],
            cwd=PROJECT,
            env={"PATH": "/usr/bin:/bin", **self.stack.env},
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
        if check:
            assert result.returncode == 0, result.stderr
        return result.stdout + result.stderr

    def rows(self, query: str, *parameters: Any) -> list[tuple[Any, ...]]:
        """What the platform's database answers."""
        with psycopg.connect(self.stack.database_url, autocommit=True) as connection:
            return connection.execute(query, parameters).fetchall()

    def log(self, process: str) -> str:
        """Everything a process wrote."""
        return (self.stack.directory.logs / f"{process}.log").read_text()

    def is_serving(self) -> bool:
        """Whether the web answers."""
        try:
            return httpx.get(f"{self.stack.base_url}/healthz", timeout=5, trust_env=False).is_success
        except httpx.TransportError:
            return False

    def report(self) -> str:
        """What an operator would look at first, for the message of a failed assertion."""
        parked = self.rows('SELECT "group", topic, state, attempts, next_attempt_at, error FROM eventbus_parkedevent')
        logs = [f"--- {name}\n{self.log(name)[-3000:]}" for name in ("relay", "consumers", "worker")]
        return "\n".join([self.manage("bus_status", check=False), *map(str, parked), *logs])

    def is_quiet(self) -> bool:
        """Whether nothing waits anywhere: outbox, lag, parked keys."""
        status = json.loads(self.manage("bus_status", "--json"))
        behind = sum(row["lag"] for row in status["lag"])
        return not (status["outbox"]["waiting"] or behind or status["parked"] or status["held_keys"])


def new_tier(creator: Client, amount: int = 500) -> dict[str, Any]:
    price = {"interval": "month", "amount": amount, "currency": "USD"}
    tier: dict[str, Any] = creator.post("/tiers", {"name": f"Tier {uuid4().hex[:6]}", "prices": [price]})
    return tier


def subscribe(fan: Client, tier: dict[str, Any], token: str = "tok_ok") -> str:  # noqa: S107 - a sandbox card
    """Save a card and subscribe; the subscription's id."""
    method = fan.post("/payment-methods", {"token": token})["id"]
    price = tier["prices"][0]
    body = {
        "tier_id": tier["id"],
        "price_id": price["id"],
        "payment_method_id": method,
        "expected_amount": price["amount"],
        "expected_currency": price["currency"],
    }
    return str(fan.post("/subscriptions", body)["id"])


def at_once(work: Callable[[Any], Any], items: list[Any], *, workers: int = 8) -> list[Any]:
    """Do it for all items on threads."""
    with ThreadPoolExecutor(workers) as pool:
        return list(pool.map(work, items))


def eventually(condition: Callable[[], bool], *, seconds: float = 60.0) -> bool:
    """Whether this comes true in time."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.2)
    return True


@contextmanager
def running_platform(kafka: KafkaKind = "builtin") -> Iterator[Platform]:
    """A stack on free ports that leaves nothing behind."""
    with (
        TemporaryDirectory(prefix="tributary-flow-") as directory,
        Stack(directory=Path(directory), kafka=kafka, free_ports=True) as stack,
    ):
        yield Platform(stack)
