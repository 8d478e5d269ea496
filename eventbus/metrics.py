"""Every metric of the bus, one comment each. Labels are bounded: topics, groups, outcomes; never a key or an id."""

from prometheus_client import Counter, Gauge, Histogram

LATENCY = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30, 60, 300)  # seconds
SIZES = (1, 10, 50, 100, 200, 500, 1000, 2000, 4000, 8000)

# --- relay ---------------------------------------------------------------------------------------------------------

# Age of the oldest event that waits in the outbox: the figure to alert on.
outbox_oldest_age = Gauge("tributary_outbox_oldest_age_seconds", "Age of the oldest event waiting in the outbox")
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

# What became of each message: handled, duplicate, queued, parked, dead.
consumer_messages = Counter("tributary_consumer_messages_total", "Messages by outcome", ["group", "topic", "outcome"])
# From the recording of an event to the commit of its effect.
consumer_end_to_end = Histogram(
    "tributary_consumer_end_to_end_seconds", "From an event to its effect's commit", ["group", "topic"], buckets=LATENCY
)
# One batch: claim, handlers, commit.
consumer_batch_seconds = Histogram(
    "tributary_consumer_batch_seconds", "Duration of a batch", ["group"], buckets=LATENCY
)
# Attempts at parked events.
consumer_retries = Counter("tributary_consumer_retries_total", "Attempts at parked events", ["group"])
# Dead letters and parked keys at the last look.
parked_events = Gauge("tributary_parked_events", "Parked events by state", ["group", "state"])
