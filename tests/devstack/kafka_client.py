"""A Kafka client in a process of its own.

`kafka_client.py BROKERS TOPIC TEXT ...` sends the texts and writes what it reads. With `--patience SECONDS` it gives up
sending, or reading, after so long; it then says what the client complained of.
"""

import argparse
import sys
import time

from confluent_kafka import Consumer, Producer

parser = argparse.ArgumentParser()
parser.add_argument("brokers")
parser.add_argument("topic")
parser.add_argument("texts", nargs="+")
parser.add_argument("--patience", type=float, default=120.0)
options = parser.parse_args()

begun = time.monotonic()
failures: list[str] = []
complaints: list[str] = []


def note(error: object, _message: object) -> None:
    if error is not None:
        failures.append(str(error))


def complain(error: object) -> None:
    complaints.append(f"{time.monotonic() - begun:.1f} s: {error}")


common = {"bootstrap.servers": options.brokers, "error_cb": complain, "log_level": 2}
producer = Producer({**common, "enable.idempotence": True})
for text in options.texts:
    producer.produce(options.topic, text, key=text, on_delivery=note)
undelivered = producer.flush(options.patience)
if failures or undelivered:
    sys.exit(f"failed: {failures}, undelivered: {undelivered}")

consumer = Consumer(
    {
        **common,
        "group.id": "reader",
        "group.protocol": "consumer",
        "auto.offset.reset": "earliest",
        "fetch.wait.max.ms": 10,
    }
)
consumer.subscribe([options.topic])
received: list[str] = []
deadline = time.monotonic() + options.patience
while len(received) < len(options.texts) and time.monotonic() < deadline:
    for message in consumer.consume(100, 0.1):
        if message.error() is None:
            received.append(message.value().decode())
        else:
            complain(message.error())
assigned = [f"{part.topic}[{part.partition}]" for part in consumer.assignment()]
consumer.close()
sys.stdout.write(" ".join(sorted(received)) + "\n")
if len(received) < len(options.texts):
    sys.exit("\n".join([f"read {received} in {options.patience:g} s, assigned: {assigned}", *complaints]))
