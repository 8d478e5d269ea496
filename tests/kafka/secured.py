"""One Apache Kafka that asks who is there: a SASL_SSL and a mutual TLS listener, and access control lists."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from confluent_kafka.admin import (
    AclBinding,
    AclBindingFilter,
    AclOperation,
    AclPermissionType,
    AdminClient,
    ResourcePatternType,
    ResourceType,
    ScramCredentialInfo,
    ScramMechanism,
    UserScramCredentialUpsertion,
)

from devstack.kafka_apache import Layout, format_storage, new_layout, node_programs, properties
from devstack.kafka_jars import installed_jars
from devstack.ports import LOOPBACK, free_port
from devstack.processes import ProcessManager
from tests.kafka.certificates import Authority

SCRAM = "SCRAM-SHA-512"
# Later lines win. The plain listener is the test's own way in: its anonymous user may do everything.
SECURITY = """
listeners=PLAINTEXT://{host}:{plain},SASL://{host}:{sasl},MTLS://{host}:{mtls},CONTROLLER://{host}:{controller}
advertised.listeners=PLAINTEXT://{host}:{plain},SASL://{host}:{sasl},MTLS://{host}:{mtls}
listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,SASL:SASL_SSL,MTLS:SSL
inter.broker.listener.name=PLAINTEXT
listener.name.sasl.sasl.enabled.mechanisms=SCRAM-SHA-512
listener.name.sasl.scram-sha-512.sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required;
listener.name.mtls.ssl.client.auth=required
ssl.keystore.type=PEM
ssl.keystore.location={directory}/broker.pem
ssl.truststore.type=PEM
ssl.truststore.location={directory}/authority.pem
ssl.principal.mapping.rules=RULE:^CN=([^,]+).*$/$1/,DEFAULT
authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer
super.users=User:ANONYMOUS
allow.everyone.if.no.acl.found=false
"""


@dataclass
class SecuredKafka:
    """The running broker; users and permissions are made by the tests."""

    inside: str  # for the test itself: no encryption, every permission
    sasl: str
    mtls: str
    authority: Authority
    _admin: AdminClient = field(init=False)

    def __post_init__(self) -> None:
        self._admin = AdminClient({"bootstrap.servers": self.inside})

    def set_password(self, user: str, password: str) -> None:
        """Make a user, or give them another password."""
        credential = UserScramCredentialUpsertion(
            user, ScramCredentialInfo(ScramMechanism.SCRAM_SHA_512, 4096), password.encode()
        )
        self._admin.alter_user_scram_credentials([credential])[user].result()

    def allow(self, user: str, operation: AclOperation, kind: ResourceType, name: str) -> None:
        """Let a user do this with what is called so; a name that ends in a dot stands for all that begin with it."""
        pattern = ResourcePatternType.PREFIXED if name.endswith(".") else ResourcePatternType.LITERAL
        rule = AclBinding(kind, name, pattern, f"User:{user}", "*", operation, AclPermissionType.ALLOW)
        [future] = self._admin.create_acls([rule]).values()
        future.result()

    def forbid(self, user: str) -> None:
        """Take every permission from a user."""
        rule = AclBindingFilter(
            ResourceType.ANY, None, ResourcePatternType.ANY, f"User:{user}", None, AclOperation.ANY,
            AclPermissionType.ANY,
        )  # fmt: skip
        [future] = self._admin.delete_acls([rule]).values()
        future.result()


@contextmanager
def secured_kafka(directory: Path) -> Iterator[SecuredKafka]:
    """One node with its certificates, on free ports."""
    installed_jars()
    authority, layout = Authority(), new_layout(1, free_ports=True)
    [node] = layout.nodes
    kafka = SecuredKafka(
        inside=layout.brokers,
        sasl=f"{LOOPBACK}:{free_port()}",
        mtls=f"{LOOPBACK}:{free_port()}",
        authority=authority,
    )
    write_files(directory / node.name, layout, kafka)
    format_storage(directory / node.name, layout)
    with ProcessManager(logs=directory / "logs") as manager:
        manager.start(*node_programs(directory, layout, restarts=False))
        yield kafka


def write_files(folder: Path, layout: Layout, kafka: SecuredKafka) -> None:
    """The broker's properties, key and certificates."""
    folder.mkdir(parents=True)
    [node] = layout.nodes
    own = kafka.authority.issue("broker")
    (folder / "broker.pem").write_text(own.key + own.certificate)
    (folder / "authority.pem").write_text(kafka.authority.certificate())
    security = SECURITY.format(
        host=LOOPBACK,
        plain=node.port,
        sasl=kafka.sasl.rpartition(":")[2],
        mtls=kafka.mtls.rpartition(":")[2],
        controller=node.controller_port,
        directory=folder.resolve(),
    )
    (folder / "server.properties").write_text(properties(layout, node, folder) + security)
