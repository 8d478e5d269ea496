"""librdkafka's built-in Kafka cluster through ctypes.

The Kafka client's wheel carries it for librdkafka's own tests; Python has no binding. The interface is declared
experimental, so a missing function is refused at start instead of crashing later, and the whole thing lives in a
process of its own (kafka_builtin.py).
"""

import ctypes
from importlib.util import find_spec
from pathlib import Path

from devstack.exceptions import BuiltinBrokerError

BROKER_ID = 1
PRODUCER = 0
SESSION_TIMEOUT_MS = 6000
HEARTBEAT_INTERVAL_MS = 500

Pointer = ctypes.c_void_p
Text = ctypes.c_char_p
Int = ctypes.c_int
Int16 = ctypes.c_int16
Int32 = ctypes.c_int32
Size = ctypes.c_size_t

# name: (result, arguments), after librdkafka's rdkafka.h and rdkafka_mock.h.
PROTOTYPES = {
    "rd_kafka_conf_new": (Pointer, ()),
    "rd_kafka_conf_set": (Int, (Pointer, Text, Text, Text, Size)),
    "rd_kafka_new": (Pointer, (Int, Pointer, Text, Size)),
    "rd_kafka_err2str": (Text, (Int,)),
    "rd_kafka_mock_cluster_new": (Pointer, (Pointer, Int)),
    "rd_kafka_mock_cluster_bootstraps": (Text, (Pointer,)),
    "rd_kafka_mock_topic_create": (Int, (Pointer, Text, Int, Int)),
    "rd_kafka_mock_topic_set_error": (None, (Pointer, Text, Int)),
    "rd_kafka_mock_broker_set_host_port": (None, (Pointer, Int32, Text, Int)),
    "rd_kafka_mock_broker_set_down": (Int, (Pointer, Int32)),
    "rd_kafka_mock_broker_set_up": (Int, (Pointer, Int32)),
    "rd_kafka_mock_broker_set_rtt": (Int, (Pointer, Int32, Int)),
    "rd_kafka_mock_set_controller_id": (None, (Pointer, Int32)),
    "rd_kafka_mock_push_request_errors_array": (None, (Pointer, Int16, Size, ctypes.POINTER(Int))),
    "rd_kafka_mock_clear_request_errors": (None, (Pointer, Int16)),
    "rd_kafka_mock_group_initial_rebalance_delay_ms": (None, (Pointer, Int32)),
    "rd_kafka_mock_set_group_consumer_session_timeout_ms": (None, (Pointer, Int)),
    "rd_kafka_mock_set_group_consumer_heartbeat_interval_ms": (None, (Pointer, Int)),
}


def load_library() -> ctypes.CDLL:
    """The librdkafka of the installed client, with every function declared."""
    client = find_spec("confluent_kafka")
    if client is None or client.origin is None:
        raise BuiltinBrokerError("the Kafka client is not installed: pip install -r requirements.txt")
    folder = Path(client.origin).parent
    # Linux wheels keep their libraries beside the package, macOS wheels inside it.
    found = [*folder.with_name("confluent_kafka.libs").glob("librdkafka*"), *folder.glob(".dylibs/librdkafka*")]
    if not found:
        raise BuiltinBrokerError("the installed Kafka client carries no librdkafka of its own; set KAFKA_BROKERS")
    library = ctypes.CDLL(str(found[0]))
    missing = [name for name in PROTOTYPES if not hasattr(library, name)]
    if missing:
        raise BuiltinBrokerError(f"this librdkafka lacks {', '.join(missing)}")
    for name, (result, arguments) in PROTOTYPES.items():
        function = getattr(library, name)
        function.restype = result
        function.argtypes = arguments
    return library


class MockCluster:
    """One broker in this process; it ends with the process."""

    def __init__(self) -> None:
        self._library = load_library()
        error = ctypes.create_string_buffer(512)
        settings = self._library.rd_kafka_conf_new()
        # The cluster hangs on a client that connects nowhere; its notices about that help nobody.
        self._library.rd_kafka_conf_set(settings, b"log_level", b"3", error, len(error))
        client = self._library.rd_kafka_new(PRODUCER, settings, error, len(error))
        if not client:
            raise BuiltinBrokerError(f"librdkafka did not start: {error.value.decode()}")
        self._cluster = self._library.rd_kafka_mock_cluster_new(client, 1)
        if not self._cluster:
            raise BuiltinBrokerError("librdkafka did not start its built-in cluster")
        # Without a controller, admin calls wait for one until they time out.
        self._library.rd_kafka_mock_set_controller_id(self._cluster, BROKER_ID)
        self._library.rd_kafka_mock_group_initial_rebalance_delay_ms(self._cluster, 0)
        self._library.rd_kafka_mock_set_group_consumer_session_timeout_ms(self._cluster, SESSION_TIMEOUT_MS)
        self._library.rd_kafka_mock_set_group_consumer_heartbeat_interval_ms(self._cluster, HEARTBEAT_INTERVAL_MS)

    @property
    def port(self) -> int:
        """The port that librdkafka chose; it cannot be told which."""
        bootstraps: bytes = self._library.rd_kafka_mock_cluster_bootstraps(self._cluster)
        return int(bootstraps.decode().rpartition(":")[2])

    def advertise(self, host: str, port: int) -> None:
        """Tell clients to come back to this address."""
        self._library.rd_kafka_mock_broker_set_host_port(self._cluster, BROKER_ID, host.encode(), port)

    def create_topic(self, name: str, partitions: int) -> None:
        """Create a topic with this many partitions."""
        self._check(self._library.rd_kafka_mock_topic_create(self._cluster, name.encode(), partitions, 1))

    def set_topic_error(self, name: str, error: int) -> None:
        """Answer whoever asks for this topic with this error code; 0 ends that."""
        self._library.rd_kafka_mock_topic_set_error(self._cluster, name.encode(), error)

    def set_down(self) -> None:
        """Close every connection and refuse new ones."""
        self._check(self._library.rd_kafka_mock_broker_set_down(self._cluster, BROKER_ID))

    def set_up(self) -> None:
        """Accept connections again."""
        self._check(self._library.rd_kafka_mock_broker_set_up(self._cluster, BROKER_ID))

    def set_round_trip(self, milliseconds: int) -> None:
        """Answer every request this much later."""
        self._check(self._library.rd_kafka_mock_broker_set_rtt(self._cluster, BROKER_ID, milliseconds))

    def push_errors(self, api_key: int, *errors: int) -> None:
        """Answer the next requests of this kind with these error codes, one each."""
        codes = (Int * len(errors))(*errors)
        self._library.rd_kafka_mock_push_request_errors_array(self._cluster, api_key, len(errors), codes)

    def clear_errors(self, api_key: int) -> None:
        """Forget the errors that were not used up."""
        self._library.rd_kafka_mock_clear_request_errors(self._cluster, api_key)

    def _check(self, code: int) -> None:
        if code:
            text: bytes = self._library.rd_kafka_err2str(code)
            raise BuiltinBrokerError(text.decode())
