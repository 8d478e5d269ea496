"""A plain reader of a topic that notes when it has each event: not before the broker has acknowledged it.

python -m benchmarks.watcher BROKERS TOPIC: prints `ready`, and a line of JSON, id to Unix time, when its input ends.
"""

import json
import select
import sys
import time

from confluent_kafka import OFFSET_END, Consumer, TopicPartition

EMPTY_SECONDS = 0.05


def watch(brokers: str, topic: str) -> dict[str, float]:
    """Every event id that came before the input ended, and when."""
    settings = {"bootstrap.servers": brokers, "group.id": "benchmark-watcher", "enable.auto.commit": False}
    consumer = Consumer(settings)
    partitions = consumer.list_topics(topic).topics[topic].partitions
    consumer.assign([TopicPartition(topic, number, OFFSET_END) for number in partitions])
    for number in partitions:  # the end is looked up once for each partition: only then is nothing missed
        consumer.get_watermark_offsets(TopicPartition(topic, number))
    consumer.poll(1.0)
    print("ready", flush=True)
    seen: dict[str, float] = {}
    while not select.select([sys.stdin], [], [], 0)[0]:
        message = consumer.poll(EMPTY_SECONDS)
        if message is not None and message.error() is None:
            now = time.time()
            event_id = dict(message.headers() or ())["ce_id"]
            seen[event_id.decode() if isinstance(event_id, bytes) else str(event_id)] = now
    consumer.close()
    return seen


if __name__ == "__main__":
    print(json.dumps(watch(*sys.argv[1:])))
