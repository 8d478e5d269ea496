"""A producer that sends what Python's client refuses to: librdkafka itself, as a program in C would use it."""

import ctypes
from ctypes import c_char_p, c_int, c_size_t, c_ssize_t, c_void_p

from devstack.mock_cluster import load_library

PRODUCER = 0
END, TOPIC, VALUE, KEY, COPIED, HEADERS = 0, 1, 4, 5, 7, 10  # what the next argument of producev is
COPY = 2


def produce_with_header(brokers: str, *, topic: str, key: bytes, value: bytes, name: bytes, text: bytes) -> None:
    """Send one message with one header, whatever bytes its name has."""
    library = load_library()
    library.rd_kafka_headers_new.restype = c_void_p
    library.rd_kafka_header_add.argtypes = [c_void_p, c_char_p, c_ssize_t, c_char_p, c_ssize_t]
    library.rd_kafka_flush.argtypes = [c_void_p, c_int]
    library.rd_kafka_destroy.argtypes = [c_void_p]
    error = ctypes.create_string_buffer(512)
    settings = library.rd_kafka_conf_new()
    assert library.rd_kafka_conf_set(settings, b"bootstrap.servers", brokers.encode(), error, len(error)) == 0
    client = library.rd_kafka_new(PRODUCER, settings, error, len(error))
    headers = library.rd_kafka_headers_new(1)
    assert library.rd_kafka_header_add(headers, name, len(name), text, len(text)) == 0
    arguments = [
        (TOPIC, c_char_p(topic.encode())),
        (COPIED, c_int(COPY)),
        (HEADERS, c_void_p(headers)),
    ]
    flat = [part for kind, argument in arguments for part in (c_int(kind), argument)]
    sized = [c_int(KEY), c_char_p(key), c_size_t(len(key)), c_int(VALUE), c_char_p(value), c_size_t(len(value))]
    assert library.rd_kafka_producev(c_void_p(client), *flat, *sized, c_int(END)) == 0
    assert library.rd_kafka_flush(client, 30_000) == 0
    library.rd_kafka_destroy(client)
