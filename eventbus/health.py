"""/healthz, /readyz and /metrics of a relay or a consumer, and a dump of its stacks when its loop stands still."""

import faulthandler
import json
import logging
import threading
import time
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

logger = logging.getLogger(__name__)

STILL_SECONDS = 60.0  # a loop that has not come round for so long is stuck: /healthz turns red, the stacks are dumped


class Health:
    """What one process knows of itself: when its loop last came round, and what it waits for."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._beat_at = time.monotonic()
        self._armed_at = 0.0
        self._ends_after = 0.0
        self._troubles: dict[str, str] = {}
        self._server: ThreadingHTTPServer | None = None

    def beat(self) -> None:
        """The loop came round."""
        self._beat_at = time.monotonic()
        if self._beat_at - self._armed_at <= 1.0:
            return
        if self._ends_after:
            faulthandler.dump_traceback_later(self._ends_after, exit=True)
        elif self._server is not None:
            faulthandler.dump_traceback_later(STILL_SECONDS)
        self._armed_at = self._beat_at

    def end_when_stuck(self, seconds: float) -> None:
        """From now on, dump the stacks and end this process when its loop stands still for so long; 0 never does.

        Nothing is finished then: the database rolls back and the broker gives the messages to another, as in a crash.
        """
        self._ends_after = seconds
        self._armed_at = 0.0

    def waits_for(self, what: str, reason: str) -> None:
        """The process cannot work until this is back."""
        self._troubles[what] = reason

    def has(self, what: str) -> None:
        """This works."""
        self._troubles.pop(what, None)

    def is_alive(self) -> bool:
        """Whether the loop comes round."""
        return time.monotonic() - self._beat_at < STILL_SECONDS

    def troubles(self) -> dict[str, str]:
        """What it waits for, and why; empty when it is ready."""
        return dict(self._troubles)

    def serve(self, port: int) -> None:
        """Answer over HTTP on this port until close(); 0 serves nothing."""
        if not port:
            return
        health = self

        class Handler(_Handler):
            subject = health

        self._server = ThreadingHTTPServer(("0.0.0.0", port), Handler)  # noqa: S104 - scraped from other hosts
        threading.Thread(target=self._server.serve_forever, name="health", daemon=True).start()
        logger.info("%s: health and metrics on port %d", self.name, self._server.server_port)

    @property
    def port(self) -> int:
        """Where it answers; 0 when it does not."""
        return self._server.server_port if self._server else 0

    def close(self) -> None:
        """Stop answering, and stop watching the loop."""
        if self._server is not None or self._ends_after:
            faulthandler.cancel_dump_traceback_later()
            self._ends_after = 0.0
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None


class _Handler(BaseHTTPRequestHandler):
    subject: Health

    def do_GET(self) -> None:
        """The three pages."""
        if self.path == "/metrics":
            self._answer(HTTPStatus.OK, CONTENT_TYPE_LATEST, generate_latest())
        elif self.path == "/healthz":
            self._tell(self.subject.is_alive(), {} if self.subject.is_alive() else {"loop": "has not come round"})
        elif self.path == "/readyz":
            troubles = self.subject.troubles()
            self._tell(self.subject.is_alive() and not troubles, troubles)
        else:
            self._tell(False, {"path": "there are /healthz, /readyz and /metrics"}, refusal=HTTPStatus.NOT_FOUND)  # noqa: FBT003

    def _tell(
        self,
        is_well: bool,  # noqa: FBT001 - the answer itself
        troubles: dict[str, str],
        *,
        refusal: HTTPStatus = HTTPStatus.SERVICE_UNAVAILABLE,
    ) -> None:
        body = {"process": self.subject.name, "status": "ok" if is_well else "waiting", "waits_for": troubles}
        self._answer(HTTPStatus.OK if is_well else refusal, "application/json", json.dumps(body).encode())

    def _answer(self, status: HTTPStatus, content_type: str, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """A probe every few seconds is no news."""
