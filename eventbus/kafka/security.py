"""What a client tells Kafka about who it is, and what a refusal by the broker means in terms of our variables."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from confluent_kafka import KafkaError
from cryptography import x509
from django.core.exceptions import ImproperlyConfigured

from eventbus.conf import Security, bus_settings

PROTOCOLS = ("PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL")
BY_PASSWORD = ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512")
MECHANISMS = (*BY_PASSWORD, "OAUTHBEARER")
SASL = {
    "sasl_mechanism": "KAFKA_SASL_MECHANISM",
    "sasl_username": "KAFKA_SASL_USERNAME",
    "sasl_password": "KAFKA_SASL_PASSWORD",
}
OAUTH = {
    "oauth_token_url": "KAFKA_OAUTH_TOKEN_URL",
    "oauth_client_id": "KAFKA_OAUTH_CLIENT_ID",
    "oauth_client_secret": "KAFKA_OAUTH_CLIENT_SECRET",
    "oauth_scope": "KAFKA_OAUTH_SCOPE",
}
SSL = {
    "ssl_ca": "KAFKA_SSL_CA",
    "ssl_certificate": "KAFKA_SSL_CERTIFICATE",
    "ssl_key": "KAFKA_SSL_KEY",
    "ssl_key_password": "KAFKA_SSL_KEY_PASSWORD",
}
PEM_PROPERTIES = {"ssl_ca": "ssl.ca", "ssl_certificate": "ssl.certificate", "ssl_key": "ssl.key"}
PROPERTIES = {
    "security.protocol": "KAFKA_SECURITY_PROTOCOL",
    "sasl.mechanism": "KAFKA_SASL_MECHANISM",
    "sasl.mechanisms": "KAFKA_SASL_MECHANISM",
    "sasl.username": "KAFKA_SASL_USERNAME",
    "sasl.password": "KAFKA_SASL_PASSWORD",
    "ssl.key.password": "KAFKA_SSL_KEY_PASSWORD",
    "sasl.oauthbearer.token.endpoint.url": "KAFKA_OAUTH_TOKEN_URL",
    "sasl.oauthbearer.client.id": "KAFKA_OAUTH_CLIENT_ID",
    "sasl.oauthbearer.client.secret": "KAFKA_OAUTH_CLIENT_SECRET",
    "sasl.oauthbearer.scope": "KAFKA_OAUTH_SCOPE",
    **{f"{name}.{form}": SSL[field] for field, name in PEM_PROPERTIES.items() for form in ("location", "pem")},
    "bootstrap.servers": "KAFKA_BROKERS",
    "client.id": "KAFKA_CLIENT_ID_<ROOM>",
    "group.id": "KAFKA_GROUP_ID_<ROOM>",
    "group.protocol": "KAFKA_GROUP_PROTOCOL",
    "compression.type": "KAFKA_COMPRESSION",
    "fetch.wait.max.ms": "KAFKA_FETCH_WAIT_MS",
}
# What the bus promises stands on these: nobody may change them from outside.
OURS = frozenset(
    {
        "acks",
        "request.required.acks",
        "auto.offset.reset",
        "delivery.timeout.ms",
        "message.timeout.ms",
        "enable.auto.commit",
        "enable.auto.offset.store",
        "enable.gapless.guarantee",
        "enable.idempotence",
        "isolation.level",
        "partitioner",
        "transactional.id",
    }
)
DETAIL = re.compile(r"^\S+://\S+: | \(after [^)]*\)|: SSL alert number \d+")


def security_settings() -> dict[str, Any]:
    """The client's properties for encryption, identity and whatever else the environment adds.

    Raises ImproperlyConfigured, naming the variables, when they do not fit together.
    """
    security = bus_settings().security
    _refuse_misfits(security)
    settings: dict[str, Any] = {"security.protocol": security.protocol}
    if security.protocol.endswith("SSL"):
        settings |= _ssl(security)
    if security.protocol.startswith("SASL"):
        settings |= _sasl(security)
    return settings | _passed_through()


def credential_files() -> tuple[tuple[str, int, int], ...]:
    """The files that clients were given, with time of change and size: they read them only when they are made."""
    security = bus_settings().security
    found = []
    for field in PEM_PROPERTIES:
        value = getattr(security, field)
        if value and not _is_pem(value) and Path(value).exists():
            state = Path(value).stat()
            found.append((value, state.st_mtime_ns, state.st_size))
    return tuple(found)


def explanation(error: KafkaError) -> str:
    """What to do about an error of the connection, or nothing when time may heal it."""
    text = error.str()
    if error.code() == KafkaError._AUTHENTICATION:
        return _about_sign_in(text)
    if "PLAINTEXT broker listener" in text:
        return f"the broker does not speak {bus_settings().security.protocol}: correct KAFKA_SECURITY_PROTOCOL"
    if "verify failed" in text:
        return _about_the_authority()
    if "alert" in text and ("certificate" in text or "unknown ca" in text):
        return _about_our_certificate()
    if error.code() == KafkaError._SSL:
        return f"the broker refuses the TLS connection: {without_secrets(text)}"
    return ""


def without_secrets(text: str) -> str:
    """A client's sentence for our logs: with our variables' names, without secrets and what differs each time."""
    for secret in sorted(_secrets(), key=len, reverse=True):
        text = text.replace(secret, "***")
    text = DETAIL.sub("", text)
    for name in sorted(PROPERTIES, key=len, reverse=True):
        text = text.replace(name, PROPERTIES[name])
    return text


def _refuse_misfits(security: Security) -> None:
    protocol, mechanism = security.protocol, security.sasl_mechanism
    if protocol not in PROTOCOLS:
        raise ImproperlyConfigured(f"KAFKA_SECURITY_PROTOCOL must be one of {', '.join(PROTOCOLS)}")
    if not protocol.endswith("SSL"):
        _refuse_set(security, SSL, f"KAFKA_SECURITY_PROTOCOL is {protocol}; set it to SSL or SASL_SSL")
    if not protocol.startswith("SASL"):
        _refuse_set(security, SASL | OAUTH, f"KAFKA_SECURITY_PROTOCOL is {protocol}; set it to SASL_SSL")
        return
    if mechanism not in MECHANISMS:
        raise ImproperlyConfigured(
            f"KAFKA_SASL_MECHANISM must be one of {', '.join(MECHANISMS)} with KAFKA_SECURITY_PROTOCOL={protocol}"
        )
    if mechanism in BY_PASSWORD:
        _require(security, SASL, mechanism)
        _refuse_set(security, OAUTH, f"KAFKA_SASL_MECHANISM is {mechanism}; they are for OAUTHBEARER")
    else:
        _require(security, {name: OAUTH[name] for name in OAUTH if name != "oauth_scope"}, mechanism)
        by_password = {name: SASL[name] for name in ("sasl_username", "sasl_password")}
        _refuse_set(security, by_password, f"KAFKA_SASL_MECHANISM is {mechanism}; use KAFKA_OAUTH_CLIENT_ID")


def _refuse_set(security: Security, names: dict[str, str], reason: str) -> None:
    found = [variable for name, variable in names.items() if getattr(security, name)]
    if found:
        raise ImproperlyConfigured(f"{', '.join(found)} would not be used, because {reason}")


def _require(security: Security, names: dict[str, str], mechanism: str) -> None:
    missing = [variable for name, variable in names.items() if not getattr(security, name)]
    if missing:
        raise ImproperlyConfigured(f"KAFKA_SASL_MECHANISM={mechanism} needs {', '.join(missing)}")


def _ssl(security: Security) -> dict[str, Any]:
    if bool(security.ssl_certificate) != bool(security.ssl_key):
        raise ImproperlyConfigured("KAFKA_SSL_CERTIFICATE and KAFKA_SSL_KEY must be set together")
    if security.ssl_key_password and not security.ssl_key:
        raise ImproperlyConfigured("KAFKA_SSL_KEY_PASSWORD is set, but no KAFKA_SSL_KEY")
    settings = {}
    for field, name in PEM_PROPERTIES.items():
        value = getattr(security, field)
        if _is_pem(value):
            settings[f"{name}.pem"] = value.replace("\\n", "\n")  # as env files must write it
        elif value:
            if not Path(value).is_file():
                raise ImproperlyConfigured(f"{SSL[field]} is neither PEM text nor the path of a file that can be read")
            settings[f"{name}.location"] = value
    if security.ssl_key_password:
        settings["ssl.key.password"] = security.ssl_key_password
    return settings


def _sasl(security: Security) -> dict[str, Any]:
    if security.sasl_mechanism in BY_PASSWORD:
        return {
            "sasl.mechanism": security.sasl_mechanism,
            "sasl.username": security.sasl_username,
            "sasl.password": security.sasl_password,
        }
    settings = {
        "sasl.mechanism": "OAUTHBEARER",
        "sasl.oauthbearer.method": "oidc",
        "sasl.oauthbearer.token.endpoint.url": security.oauth_token_url,
        "sasl.oauthbearer.client.id": security.oauth_client_id,
        "sasl.oauthbearer.client.secret": security.oauth_client_secret,
    }
    if security.oauth_scope:
        settings["sasl.oauthbearer.scope"] = security.oauth_scope
    return settings


def _passed_through() -> dict[str, str]:
    config = bus_settings().client_config
    for name in config:
        if name in PROPERTIES:
            raise ImproperlyConfigured(f"{_variable(name)} must be set as {PROPERTIES[name]}")
        if name in OURS:
            raise ImproperlyConfigured(f"{_variable(name)} would break what the event bus promises and is not accepted")
    return dict(config)


def _variable(name: str) -> str:
    return "KAFKA_CONFIG__" + name.replace("_", "__").replace(".", "_").upper()


def _is_pem(value: str) -> bool:
    return "-----BEGIN" in value


def _secrets() -> Iterator[str]:
    security, config = bus_settings().security, bus_settings().client_config
    secrets = [security.sasl_password, security.ssl_key_password, security.oauth_client_secret]
    secrets += [value for name, value in config.items() if re.search("password|secret|key|token|pem", name)]
    secrets += [security.ssl_key] if _is_pem(security.ssl_key) else []
    yield from filter(None, secrets)


def _about_sign_in(text: str) -> str:
    security = bus_settings().security
    supported = re.search(r"supported mechanisms: ([^()]+?)(?: \(|$)", text)
    if supported:
        return f"the broker does not know {security.sasl_mechanism}: set KAFKA_SASL_MECHANISM to one of {supported[1]}"
    if security.sasl_mechanism == "OAUTHBEARER":
        return (
            "the broker or the token endpoint refuses us: check KAFKA_OAUTH_TOKEN_URL, KAFKA_OAUTH_CLIENT_ID and "
            f"KAFKA_OAUTH_CLIENT_SECRET ({without_secrets(text)})"
        )
    return (
        f"the broker refuses user {security.sasl_username!r}: check KAFKA_SASL_USERNAME and KAFKA_SASL_PASSWORD, "
        f"and that it has a {security.sasl_mechanism} credential"
    )


def _about_the_authority() -> str:
    given = bus_settings().security.ssl_ca
    if not given:
        return (
            "the broker's certificate is signed by nobody this system trusts: "
            "set KAFKA_SSL_CA to the authority that signed it"
        )
    ended = _ended(given)
    if ended:
        return f"the authority in KAFKA_SSL_CA expired on {ended:%Y-%m-%d}: replace it"
    return (
        "the broker's certificate is not accepted: it must be signed by the authority in KAFKA_SSL_CA, not be expired, "
        "and name the host that is written in KAFKA_BROKERS"
    )


def _about_our_certificate() -> str:
    given = bus_settings().security.ssl_certificate
    if not given:
        return "the broker asks for a certificate: set KAFKA_SSL_CERTIFICATE and KAFKA_SSL_KEY"
    ended = _ended(given)
    if ended:
        return f"the certificate in KAFKA_SSL_CERTIFICATE expired on {ended:%Y-%m-%d}: replace it"
    return "the broker refuses the certificate in KAFKA_SSL_CERTIFICATE: it must be signed by an authority it trusts"


def _ended(given: str) -> datetime | None:
    """When the first of these certificates ended, if one has."""
    try:
        text = given.replace("\\n", "\n") if _is_pem(given) else Path(given).read_text()
        ends = [found.not_valid_after_utc for found in x509.load_pem_x509_certificates(text.encode())]
    except (OSError, ValueError):
        return None
    return min((end for end in ends if end < datetime.now(UTC)), default=None)
