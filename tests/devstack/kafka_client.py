"""A Kafka client in a process of its own.

`kafka_client.py BROKERS TOPIC TEXT ...` sends the texts and writes what it reads.
"""

import sys

from confluent_kafka import Consumer, Producer

brokers, topic, *texts = sys.argv[1:]
failures: list[str] = []

FLUSH_SECONDS = 5


def note(error: object, _message: object) -> None:
    if error is not None:
        failures.append(str(error))


producer = Producer({"bootstrap.servers": brokers, "enable.idempotence": True, "log_level": 2})
for text in texts:
    producer.produce(topic, text, key=text, on_delivery=note)
undelivered = producer.flush(FLUSH_SECONDS)
if failures or undelivered:
    sys.exit(f"failed: {failures}, undelivered: {undelivered}")

consumer = Consumer(
    {
        "bootstrap.servers": brokers,
        "group.id": "reader",
        "group.protocol": "consumer",
        "auto.offset.reset": "earliest",
        "fetch.wait.max.ms": 10,
        "log_level": 2,
    }
)
consumer.subscribe([topic])
received: list[str] = []
for _ in range(300):
    received += [message.value().decode() for message in consumer.consume(100, 0.1) if message.error() is None]
    if len(received) >= len(texts):
        break
consumer.close()
sys.stdout.write(" ".join(sorted(received)) + "\n")
