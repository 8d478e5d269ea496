"""Every metric of the bus, one comment each. Labels are bounded: topics, groups, outcomes; never a key or an id."""

from prometheus_client import Counter, Gauge, Histogram

LATENCY = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30, 60, 300)  # seconds
SIZES = (1, 10, 50, 100, 200, 500, 1000, 2000, 4000, 8000)

# --- relay ---------------------------------------------------------------------------------------------------------

# Age of the oldest event that waits in the outbox: the figure to alert on.
outbox_oldest_age = Gauge("tributary_outbox_oldest_age_seconds", "Age of the oldest event waiting in the outbox")
# How many wait, as far as it is worth counting.
outbox_waiting = Gauge("tributary_outbox_waiting_events", "Events waiting in the outbox, counted up to 100,000")
# Events that the broker has acknowledged and that have left the outbox.
relay_published = Counter("tributary_relay_published_total", "Events acknowledged by the broker", ["topic"])
# From the fetch to the deletion of one round that had work.
relay_round_seconds = Histogram("tributary_relay_round_seconds", "Duration of a round with work", buckets=LATENCY)
# How many rows a round took.
relay_round_rows = Histogram("tributary_relay_round_rows", "Rows taken by a round with work", buckets=SIZES)
# Buckets whose lease this relay holds.
relay_buckets = Gauge("tributary_relay_buckets", "Buckets leased by this relay")
# Rounds that ended because the broker or the database was away.
relay_troubles = Counter("tributary_relay_troubles_total", "Rounds cut short", ["cause"])
# Keys that wait for an operator: the broker refused their event, or a person holds them.
held_keys = Gauge("tributary_held_keys", "Keys held until an operator releases them")

# --- consumers -----------------------------------------------------------------------------------------------------

# What became of each message: handled, duplicate, queued, parked, dead; journaled by the journal.
consumer_messages = Counter("tributary_consumer_messages_total", "Messages by outcome", ["group", "topic", "outcome"])
# From the recording of an event, which its transaction commits a little later, to the commit of its effect at the first
# attempt; by the clocks of the writer and of this process.
consumer_end_to_end = Histogram(
    "tributary_consumer_end_to_end_seconds", "From an event to its effect's commit", ["group", "topic"], buckets=LATENCY
)
# The last part of it: from the relay's sending to the commit of the effect.
consumer_from_kafka = Histogram(
    "tributary_consumer_from_kafka_seconds",
    "From a message's sending to its effect's commit",
    ["group", "topic"],
    buckets=LATENCY,
)
# How far this process is behind on the partitions that it reads.
consumer_lag = Gauge("tributary_consumer_lag_messages", "Messages not taken yet", ["group", "topic"])
# When the loop last asked the broker: one that does not move has been stuck since then.
consumer_polled_at = Gauge("tributary_consumer_last_poll_timestamp_seconds", "Time of the last poll", ["group"])
# One batch: claim, handlers, commit.
consumer_batch_seconds = Histogram(
    "tributary_consumer_batch_seconds", "Duration of a batch", ["group"], buckets=LATENCY
)
# Attempts at parked events.
consumer_retries = Counter("tributary_consumer_retries_total", "Attempts at parked events", ["group"])
# Changes in the share of partitions that this process reads: assigned, revoked, lost.
consumer_rebalances = Counter("tributary_consumer_rebalances_total", "Changes of assignment", ["group", "kind"])
# 1 while a topic is not read because its handlers fail for too many keys: alert on any.
paused_topics = Gauge("tributary_paused_topics", "Topics paused by the breaker", ["group", "topic"])
# 1 while nothing is read because too much is parked: alert on any.
parked_full = Gauge("tributary_parked_full", "Groups that stopped reading at the parked limit", ["group"])
# Processes of the group that ended without saying so, as this process noticed.
consumer_crashes = Counter("tributary_consumer_crashes_total", "Processes found dead", ["group"])
# Dead letters and parked keys at the last look.
parked_events = Gauge("tributary_parked_events", "Parked events by state", ["group", "state"])
# Messages copied into the journal; one that came twice is copied once.
journal_rows = Counter("tributary_journal_rows_total", "Messages copied into the journal")
