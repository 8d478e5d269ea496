"""From the environment to a client's properties, and what is refused before any broker is asked."""

import logging
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest
from confluent_kafka import Consumer, KafkaError, Producer
from django.core.exceptions import ImproperlyConfigured
from django.core.management import CommandError, call_command

from config.settings.environment import Environment
from eventbus.conf import bus_settings
from eventbus.kafka import consumer, producer
from eventbus.kafka.connection import Connection, check_connection_settings, common_settings
from eventbus.kafka.security import security_settings, without_secrets
from tests.kafka.certificates import Authority

SECRET = "a-secret-that-no-message-may-show"
SCRAM = {"protocol": "SASL_SSL", "sasl_mechanism": "SCRAM-SHA-512", "sasl_username": "ann", "sasl_password": SECRET}
OIDC = {
    "protocol": "SASL_SSL",
    "sasl_mechanism": "OAUTHBEARER",
    "oauth_token_url": "https://127.0.0.1:1/token",
    "oauth_client_id": "tributary",
    "oauth_client_secret": SECRET,
}


@pytest.fixture
def configure(bus: Any) -> Any:
    """Set the bus's connection: the security by field, the passed-through properties by name."""

    def configure(security: dict[str, str], config: dict[str, str] | None = None) -> None:
        changes = {"brokers": "127.0.0.1:1", "security": security, "client_config": config or {}}
        bus.EVENTBUS = {**bus.EVENTBUS, **changes}

    return configure


def test_without_any_variable_nothing_is_encrypted(configure: Any) -> None:
    configure({})

    assert security_settings() == {"security.protocol": "PLAINTEXT"}
    check_connection_settings()


def test_a_password_over_tls(configure: Any) -> None:
    configure(SCRAM)

    assert security_settings() == {
        "security.protocol": "SASL_SSL",
        "sasl.mechanism": "SCRAM-SHA-512",
        "sasl.username": "ann",
        "sasl.password": SECRET,
    }
    check_connection_settings()


def test_tokens_by_openid_connect(configure: Any) -> None:
    configure({**OIDC, "oauth_scope": "kafka"})

    assert security_settings() == {
        "security.protocol": "SASL_SSL",
        "sasl.mechanism": "OAUTHBEARER",
        "sasl.oauthbearer.method": "oidc",
        "sasl.oauthbearer.token.endpoint.url": "https://127.0.0.1:1/token",
        "sasl.oauthbearer.client.id": "tributary",
        "sasl.oauthbearer.client.secret": SECRET,
        "sasl.oauthbearer.scope": "kafka",
    }
    check_connection_settings()


def test_certificates_as_text_or_as_files(configure: Any, tmp_path: Path) -> None:
    authority = Authority()
    own = authority.issue("relay", password="of-the-key")
    file = tmp_path / "authority.pem"
    file.write_text(authority.certificate())
    configure(
        {
            "protocol": "SSL",
            "ssl_ca": str(file),
            "ssl_certificate": own.certificate.replace("\n", "\\n"),
            "ssl_key": own.key,
            "ssl_key_password": "of-the-key",
        }
    )

    assert security_settings() == {
        "security.protocol": "SSL",
        "ssl.ca.location": str(file),
        "ssl.certificate.pem": own.certificate,
        "ssl.key.pem": own.key,
        "ssl.key.password": "of-the-key",
    }
    check_connection_settings()


def test_any_other_property_is_passed_through_and_ours_stay(configure: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KAFKA_CONFIG__SOCKET_TIMEOUT_MS", "61000")
    monkeypatch.setenv("KAFKA_CONFIG__RECONNECT_BACKOFF_MAX_MS", "2000")
    environment = Environment()
    configure({}, environment.properties("KAFKA_CONFIG__"))

    settings = common_settings("relay")

    assert (settings["socket.timeout.ms"], settings["reconnect.backoff.max.ms"]) == ("61000", "2000")
    assert settings["bootstrap.servers"] == "127.0.0.1:1"
    assert "KAFKA_CONFIG__SOCKET_TIMEOUT_MS" in environment.names_read
    check_connection_settings()


@pytest.mark.parametrize(("config", "wanted"), [({}, 10_000), ({"socket.timeout.ms": "4000"}, 4000)])
def test_a_broker_that_stands_still_is_left_well_before_everything_is_given_up(
    configure: Any, bus: Any, monkeypatch: pytest.MonkeyPatch, config: dict[str, str], wanted: int
) -> None:
    configure({}, config)
    bus.EVENTBUS = {**bus.EVENTBUS, "delivery_timeout_seconds": 30.0, "fetch_wait_ms": 0}
    given: dict[Any, dict[str, Any]] = {}

    def made(kind: Any, settings: dict[str, Any]) -> Mock:
        given[kind] = settings
        return Mock(spec=kind)

    monkeypatch.setattr(producer, "made", made)
    monkeypatch.setattr(consumer, "made", made)
    producer.EventProducer()
    consumer.EventConsumer("tests", ["sample.counted"])

    assert {kind: int(settings["socket.timeout.ms"]) for kind, settings in given.items()} == {
        Producer: wanted,
        Consumer: wanted,
    }


@pytest.mark.parametrize(
    ("security", "sentence"),
    [
        ({"protocol": "TLS"}, "KAFKA_SECURITY_PROTOCOL must be one of PLAINTEXT, SSL, SASL_PLAINTEXT, SASL_SSL"),
        (
            {**SCRAM, "protocol": "PLAINTEXT"},
            (
                "KAFKA_SASL_MECHANISM, KAFKA_SASL_USERNAME, KAFKA_SASL_PASSWORD would not be used, because "
                "KAFKA_SECURITY_PROTOCOL is PLAINTEXT; set it to SASL_SSL"
            ),
        ),
        (
            {"ssl_ca": "/etc/ca.pem"},
            "KAFKA_SSL_CA would not be used, because KAFKA_SECURITY_PROTOCOL is PLAINTEXT; set it to SSL or SASL_SSL",
        ),
        (
            {**SCRAM, "sasl_mechanism": ""},
            (
                "KAFKA_SASL_MECHANISM must be one of PLAIN, SCRAM-SHA-256, SCRAM-SHA-512, OAUTHBEARER with "
                "KAFKA_SECURITY_PROTOCOL=SASL_SSL"
            ),
        ),
        (
            {"protocol": "SASL_SSL", "sasl_mechanism": "PLAIN", "sasl_username": "ann"},
            "KAFKA_SASL_MECHANISM=PLAIN needs KAFKA_SASL_PASSWORD",
        ),
        (
            {**OIDC, "oauth_token_url": "", "oauth_client_id": ""},
            "KAFKA_SASL_MECHANISM=OAUTHBEARER needs KAFKA_OAUTH_TOKEN_URL, KAFKA_OAUTH_CLIENT_ID",
        ),
        (
            {**SCRAM, "oauth_client_secret": SECRET},
            (
                "KAFKA_OAUTH_CLIENT_SECRET would not be used, because KAFKA_SASL_MECHANISM is SCRAM-SHA-512; "
                "they are for OAUTHBEARER"
            ),
        ),
        (
            {**OIDC, "sasl_password": SECRET},
            (
                "KAFKA_SASL_PASSWORD would not be used, because KAFKA_SASL_MECHANISM is OAUTHBEARER; "
                "use KAFKA_OAUTH_CLIENT_ID"
            ),
        ),
        (
            {"protocol": "SSL", "ssl_certificate": "/etc/own.pem"},
            "KAFKA_SSL_CERTIFICATE and KAFKA_SSL_KEY must be set together",
        ),
        ({"protocol": "SSL", "ssl_key_password": SECRET}, "KAFKA_SSL_KEY_PASSWORD is set, but no KAFKA_SSL_KEY"),
        (
            {"protocol": "SSL", "ssl_ca": "/no/such/file"},
            "KAFKA_SSL_CA is neither PEM text nor the path of a file that can be read",
        ),
    ],
)
def test_what_cannot_work_is_refused_at_start_in_one_sentence(
    configure: Any, security: dict[str, str], sentence: str
) -> None:
    configure(security)

    with pytest.raises(ImproperlyConfigured) as refused:
        check_connection_settings()
    assert str(refused.value) == sentence
    for command in (["relay_outbox", "--once"], ["run_consumers", "tests"], ["sync_topics"]):
        with pytest.raises(CommandError) as ended:
            call_command(*command)
        assert str(ended.value) == sentence


@pytest.mark.parametrize(
    ("config", "sentence"),
    [
        ({"sasl.password": SECRET}, "KAFKA_CONFIG__SASL_PASSWORD must be set as KAFKA_SASL_PASSWORD"),
        (
            {"enable.idempotence": "false"},
            "KAFKA_CONFIG__ENABLE_IDEMPOTENCE would break what the event bus promises and is not accepted",
        ),
        (
            {"socket.timeuot.ms": "1"},
            'Kafka\'s client does not accept its settings: No such configuration property: "socket.timeuot.ms"',
        ),
    ],
)
def test_a_property_that_is_not_accepted_is_named(configure: Any, config: dict[str, str], sentence: str) -> None:
    configure({}, config)

    with pytest.raises(ImproperlyConfigured) as refused:
        check_connection_settings()
    assert str(refused.value) == sentence


@pytest.mark.parametrize(
    ("broken", "variable"),
    [("authority", "KAFKA_SSL_CA"), ("password", "KAFKA_SSL_KEY"), ("key of another", "KAFKA_SSL_KEY")],
)
def test_certificates_that_cannot_be_used_are_refused_at_start(configure: Any, broken: str, variable: str) -> None:
    authority = Authority()
    own = authority.issue("relay", password=SECRET)
    security = {
        "protocol": "SSL",
        "ssl_ca": authority.certificate(),
        "ssl_certificate": own.certificate,
        "ssl_key": own.key,
        "ssl_key_password": SECRET,
    }
    changes = {
        "authority": {"ssl_ca": "-----BEGIN CERTIFICATE-----\nnonsense\n-----END CERTIFICATE-----"},
        "password": {"ssl_key_password": "another-" + SECRET},
        "key of another": {"ssl_key": authority.issue("other", password=SECRET).key},
    }
    configure({**security, **changes[broken]})

    with pytest.raises(ImproperlyConfigured) as refused:
        check_connection_settings()

    assert variable in str(refused.value)
    assert SECRET not in str(refused.value)
    assert "PRIVATE KEY" not in str(refused.value)


def test_secrets_are_in_no_representation_and_in_no_explanation(configure: Any, caplog: Any) -> None:
    configure({**OIDC, "oauth_client_secret": SECRET}, {"ssl.keystore.password": SECRET + "2"})
    connection = Connection("relay")

    connection.on_error(KafkaError(KafkaError._AUTHENTICATION, f"no token: client_secret={SECRET}, {SECRET}2"))

    assert "KAFKA_OAUTH_CLIENT_SECRET" in connection.trouble
    for text in (repr(bus_settings()), caplog.text, connection.trouble, without_secrets(f"{SECRET} {SECRET}2")):
        assert SECRET not in text


def test_many_errors_are_one_line_until_the_broker_is_back(configure: Any, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    configure(SCRAM)
    connection = Connection("relay")

    for _ in range(3):
        connection.on_error(KafkaError(KafkaError._AUTHENTICATION, "refused (after 7ms in state AUTH_REQ)"))
        connection.on_error(KafkaError(KafkaError._ALL_BROKERS_DOWN, "1/1 brokers are down"))
        connection.is_down("no answer in time")
    connection.is_up()
    connection.is_up()

    assert caplog.messages == [
        (
            "relay: waiting for Kafka: the broker refuses user 'ann': "
            "check KAFKA_SASL_USERNAME and KAFKA_SASL_PASSWORD, and that it has a SCRAM-SHA-512 credential"
        ),
        "relay: Kafka is back",
    ]
    assert connection.trouble == ""
