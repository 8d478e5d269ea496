"""What the broker's access control allows us: asked when something is refused, to name it, and until it is allowed."""

import time
from collections.abc import Iterable, Sequence

from confluent_kafka import KafkaError, KafkaException, TopicCollection
from confluent_kafka.admin import AclOperation, AdminClient
from django.core.exceptions import ImproperlyConfigured

from eventbus.conf import bus_settings
from eventbus.exceptions import BrokerUnavailableError
from eventbus.kafka.connection import Connection, common_settings, made

ASK_SECONDS = 5.0
TIMEOUT_SECONDS = 5.0
DENIALS = frozenset(
    {
        KafkaError.TOPIC_AUTHORIZATION_FAILED,
        KafkaError.GROUP_AUTHORIZATION_FAILED,
        KafkaError.CLUSTER_AUTHORIZATION_FAILED,
    }
)


def is_denial(reason: str) -> bool:
    """Whether a client ended for good because of access control; it keeps only the words of that."""
    return "authorization failed" in reason.lower()


class DeniedTopics:
    """The topics that a relay may not write to, left alone until it may, so that those of others go on.

    A permission is a matter of a whole topic and of the operator, not of one event: no key is held for it.
    """

    def __init__(self, connection: Connection) -> None:
        self.topics: list[str] = []
        self.everything = False  # the cluster itself refuses a producer like ours
        self._connection = connection
        self._asked_at = 0.0

    def found_among(self, suspects: Iterable[str], *, broken: str) -> bool:
        """Leave alone those of these topics that are forbidden, and say so; False when none of them is."""
        suspected = set(suspects)
        try:
            forbidden = unwritable(suspected)
        except (BrokerUnavailableError, ImproperlyConfigured):
            forbidden = []
        if not forbidden and not is_denial(broken):
            forbidden = sorted(suspected)  # the broker has just said so of these
        self.everything = not forbidden
        self._leave_alone(sorted({*self.topics, *forbidden}))
        return bool(forbidden)

    def ask_again(self) -> None:
        """Now and then, take up again what is allowed meanwhile."""
        if not self.topics or time.monotonic() - self._asked_at < ASK_SECONDS:
            return
        try:
            self._leave_alone(unwritable(self.topics))
        except (BrokerUnavailableError, ImproperlyConfigured):
            self._asked_at = time.monotonic()

    def something_went(self) -> None:
        """The broker took an event, so the cluster lets us in."""
        if self.everything:
            self.everything = False
            self._leave_alone(self.topics)

    def _leave_alone(self, topics: list[str]) -> None:
        self._asked_at = time.monotonic()
        self.topics = topics
        if topics:
            self._connection.is_denied(cannot_write(topics))
        elif self.everything:
            self._connection.is_denied(f"{us()} needs IDEMPOTENT_WRITE on the cluster")
        else:
            self._connection.is_allowed()


def unwritable(topics: Iterable[str]) -> list[str]:
    """Those of these topics that the relay may not write to; raises BrokerUnavailableError."""
    return _forbidden(_admin("relay-access"), topics, AclOperation.WRITE)


def cannot_write(topics: Sequence[str]) -> str:
    """What to tell the operator about topics that the relay may not write to."""
    return f"{us()} needs WRITE on the topics {', '.join(sorted(topics))}: their events wait, those of others go on"


def cannot_read(group: str, topics: Iterable[str]) -> str:
    """What a consumer of these topics lacks, for the operator, or nothing; raises BrokerUnavailableError."""
    admin = _admin("consumer-access")
    lacking = []
    forbidden = _forbidden(admin, topics, AclOperation.READ)
    if forbidden:
        lacking.append(f"READ on the topics {', '.join(forbidden)}")
    if not _may_use(admin, group):
        lacking.append(f"READ on the group {group}")
    return f"{us()} needs {' and '.join(lacking)}" if lacking else ""


def us() -> str:
    """How an operator knows the user that we are on the broker."""
    security = bus_settings().security
    if security.sasl_mechanism == "OAUTHBEARER":
        return f"the client {security.oauth_client_id!r}"
    if security.sasl_username:
        return f"user {security.sasl_username!r}"
    if security.ssl_certificate:
        return "the subject of KAFKA_SSL_CERTIFICATE"
    return "the anonymous user"


def _admin(client_id: str) -> AdminClient:
    return made(AdminClient, common_settings(client_id))


def _forbidden(admin: AdminClient, topics: Iterable[str], operation: AclOperation) -> list[str]:
    asked = admin.describe_topics(
        TopicCollection(sorted(topics)), include_authorized_operations=True, request_timeout=TIMEOUT_SECONDS
    )
    found = []
    for topic, future in asked.items():
        try:
            allowed = future.result().authorized_operations
        except KafkaException as error:
            code = error.args[0].code()
            if code == KafkaError.UNKNOWN_TOPIC_OR_PART:  # told only to those who might see it
                continue
            if code not in DENIALS:
                raise BrokerUnavailableError(error.args[0].str()) from error
            allowed = []
        if allowed is not None and operation not in allowed:
            found.append(topic)
    return found


def _may_use(admin: AdminClient, group: str) -> bool:
    future = admin.describe_consumer_groups(
        [group], include_authorized_operations=True, request_timeout=TIMEOUT_SECONDS
    )[group]
    try:
        allowed = future.result().authorized_operations
    except KafkaException as error:
        code = error.args[0].code()
        if code in DENIALS:
            return False
        if code == KafkaError.GROUP_ID_NOT_FOUND:
            return True
        raise BrokerUnavailableError(error.args[0].str()) from error
    return not allowed or AclOperation.READ in allowed
