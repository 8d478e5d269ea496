"""faststream-outbox on the template's rows, tuned: large claims, many workers, deletes in batches.

python with_faststream_outbox.py EVENTS: prints the seconds from the relay's start to the empty outbox.
"""

import asyncio
import os
import sys
import time
from typing import Any

from faststream import StreamMessage
from faststream.confluent import KafkaBroker
from faststream_outbox import OutboxBroker, make_outbox_table
from faststream_outbox.annotations import OutboxMessage
from sqlalchemy import MetaData, text
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

TABLE = "peer_faststream_outbox"
WORKERS = 32
metadata = MetaData()
outbox = make_outbox_table(metadata, table_name=TABLE)


async def fill(engine: AsyncEngine, events: int) -> None:
    """The template's first rows in the library's table."""
    async with engine.begin() as connection:
        await connection.run_sync(metadata.drop_all)
        await connection.run_sync(metadata.create_all)
        await connection.execute(
            text(
                f"INSERT INTO {TABLE} (queue, payload, headers)"
                " SELECT 'events', payload, headers || jsonb_build_object('correlation_id', event_id, 'key', key)"
                " FROM benchmark_template ORDER BY id LIMIT :events"
            ),
            {"events": events},
        )


async def as_it_is(message: StreamMessage[Any]) -> bytes:
    """The value's bytes: parsing them and writing them again would only cost time."""
    return bytes(message.body)


async def empty(engine: AsyncEngine) -> None:
    """Until every delete is written."""
    while True:
        async with engine.connect() as connection:
            if not await connection.scalar(text(f"SELECT count(*) FROM {TABLE}")):
                return
        await asyncio.sleep(0.01)


async def main(events: int) -> None:
    engine = create_async_engine(
        os.environ["DATABASE_URL"].replace("postgres://", "postgresql+asyncpg://"), pool_size=WORKERS + 8
    )
    await fill(engine, events)
    kafka = KafkaBroker(os.environ["KAFKA_BROKERS"], acks="all", enable_idempotence=True, logger=None)
    broker = OutboxBroker(engine, outbox_table=outbox, logger=None)
    done = asyncio.Event()
    sent = 0

    @broker.subscriber(  # type: ignore[untyped-decorator]  # the library is not installed here
        "events",
        max_workers=WORKERS,
        fetch_batch_size=1000,
        min_fetch_interval=0.01,
        max_fetch_interval=0.05,
        terminal_flush_batch_size=100,
        decoder=as_it_is,
    )
    async def relay(body: bytes, message: OutboxMessage) -> None:
        nonlocal sent
        headers = dict(message.headers)
        key = headers.pop("key").encode()
        await kafka.publish(body, topic=os.environ["TOPIC"], key=key, headers=headers)
        sent += 1
        if sent == events:
            done.set()

    await kafka.connect()
    started = time.perf_counter()
    await broker.start()
    await done.wait()
    await empty(engine)
    print(time.perf_counter() - started)
    await broker.stop()
    await kafka.stop()
    await engine.dispose()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1])))
