"""txoutbox on the template's rows, tuned: large rounds, every key of a round at once, rows deleted when acknowledged.

python with_txoutbox.py EVENTS: prints the seconds from the relay's start to the empty outbox.
"""

import asyncio
import os
import sys
import time
from datetime import timedelta

import asyncpg
from aiokafka import AIOKafkaProducer
from txoutbox import OutboxMessage, Relay, RelayConfig
from txoutbox.adapters.postgres import PostgresStorage

TABLE = "peer_txoutbox"
CONFIG = RelayConfig(
    batch_size=1000, concurrency=1000, lease=timedelta(seconds=60), poll_min=0.005, poll_max=0.05, publish_timeout=30.0
)


async def main(events: int) -> None:
    pool = await asyncpg.create_pool(os.environ["DATABASE_URL"])
    storage = PostgresStorage(pool, table=TABLE, delete_on_ack=True)
    await pool.execute(f"DROP TABLE IF EXISTS {TABLE}")
    await storage.create_schema()
    await pool.execute(
        f"INSERT INTO {TABLE} (topic, key, payload, headers)"
        " SELECT topic, key, payload, headers FROM benchmark_template ORDER BY id LIMIT $1",
        events,
    )
    await pool.execute(f"ANALYZE {TABLE}")
    producer = AIOKafkaProducer(
        bootstrap_servers=os.environ["KAFKA_BROKERS"], acks="all", enable_idempotence=True, linger_ms=5
    )
    await producer.start()

    async def publish(message: OutboxMessage) -> None:
        headers = [(name, value.encode()) for name, value in message.headers.items()]
        key = message.key.encode() if message.key else None
        await producer.send_and_wait(message.topic, message.payload, key=key, headers=headers)

    relay = Relay(storage, publish, config=CONFIG)
    started = time.perf_counter()
    async with relay:
        while await pool.fetchval(f"SELECT EXISTS (SELECT FROM {TABLE})"):
            await asyncio.sleep(0.01)
        print(time.perf_counter() - started)
    await producer.stop()
    await pool.close()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1])))
