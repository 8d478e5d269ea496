import django.contrib.postgres.indexes
import django.db.models.functions.datetime
from django.db import migrations, models

# Partitioned by day, which Django cannot say. Days are added by eventbus/journal/partitions.py; what belongs to none of
# them lies in the default partition, so that no message is refused a place.
TABLE = [
    """
    CREATE TABLE eventbus_journalevent (
        id bigint NOT NULL,
        time timestamptz NOT NULL,
        topic varchar(249) NOT NULL,
        partition integer NOT NULL,
        "offset" bigint NOT NULL,
        key text NOT NULL,
        event_id varchar(400) NOT NULL,
        correlation_id text NOT NULL,
        causation_id text NOT NULL,
        payload bytea,
        headers jsonb NOT NULL,
        recorded_at timestamptz NOT NULL DEFAULT statement_timestamp(),
        PRIMARY KEY (id, time),
        CONSTRAINT a_message_is_journaled_once UNIQUE (topic, partition, "offset", time)
    ) PARTITION BY RANGE (time)
    """,
    "CREATE SEQUENCE eventbus_journalevent_id_seq OWNED BY eventbus_journalevent.id",
    "ALTER TABLE eventbus_journalevent ALTER id SET DEFAULT nextval('eventbus_journalevent_id_seq')",
    "CREATE INDEX journal_by_event ON eventbus_journalevent (event_id)",
    "CREATE INDEX journal_by_key ON eventbus_journalevent USING hash (key)",
    "CREATE INDEX journal_by_story ON eventbus_journalevent USING hash (correlation_id)",
    "CREATE INDEX journal_by_cause ON eventbus_journalevent USING hash (causation_id) WHERE causation_id <> ''",
    "CREATE TABLE eventbus_journalevent_default PARTITION OF eventbus_journalevent DEFAULT",
]


class Migration(migrations.Migration):
    dependencies = [
        ("eventbus", "0001_initial"),
    ]

    operations = [
        migrations.AlterField(
            model_name="operatoraction",
            name="action",
            field=models.CharField(
                choices=[
                    ("retry", "retry a dead letter"),
                    ("edit", "edit a dead letter"),
                    ("discard", "discard a dead letter"),
                    ("release", "release a held key"),
                    ("skip", "skip a refused event"),
                    ("replay", "replay events"),
                    ("rebuild", "rebuild a projection"),
                ],
                max_length=20,
            ),
        ),
        migrations.SeparateDatabaseAndState(
            database_operations=[migrations.RunSQL(TABLE, reverse_sql="DROP TABLE eventbus_journalevent")],
            state_operations=[
                migrations.CreateModel(
                    name="JournalEvent",
                    fields=[
                        ("id", models.BigAutoField(primary_key=True, serialize=False)),
                        ("time", models.DateTimeField()),
                        ("topic", models.CharField(max_length=249)),
                        ("partition", models.IntegerField()),
                        ("offset", models.BigIntegerField()),
                        ("key", models.TextField()),
                        ("event_id", models.CharField(max_length=400)),
                        ("correlation_id", models.TextField()),
                        ("causation_id", models.TextField(blank=True, default="")),
                        ("payload", models.BinaryField(null=True)),
                        ("headers", models.JSONField(default=dict)),
                        ("recorded_at", models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                    ],
                    options={
                        "ordering": ["id"],
                        "indexes": [
                            models.Index(fields=["event_id"], name="journal_by_event"),
                            django.contrib.postgres.indexes.HashIndex(fields=["key"], name="journal_by_key"),
                            django.contrib.postgres.indexes.HashIndex(
                                fields=["correlation_id"], name="journal_by_story"
                            ),
                            django.contrib.postgres.indexes.HashIndex(
                                condition=models.Q(("causation_id", ""), _negated=True),
                                fields=["causation_id"],
                                name="journal_by_cause",
                            ),
                        ],
                        "constraints": [
                            models.UniqueConstraint(
                                fields=("topic", "partition", "offset", "time"), name="a_message_is_journaled_once"
                            )
                        ],
                    },
                ),
            ],
        ),
        migrations.CreateModel(
            name="Replay",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("room", models.CharField(max_length=100)),
                ("group", models.CharField(max_length=100)),
                ("source", models.CharField(choices=[("journal", "the journal"), ("kafka", "Kafka")], max_length=10)),
                ("choice", models.JSONField()),
                ("again", models.JSONField(default=list)),
                ("actor", models.CharField(max_length=200)),
                ("reason", models.TextField()),
                (
                    "state",
                    models.CharField(
                        choices=[("running", "running"), ("stopped", "stopped at a failure"), ("done", "done")],
                        default="running",
                        max_length=10,
                    ),
                ),
                ("position", models.JSONField(default=dict)),
                ("end", models.JSONField(default=dict)),
                ("handled", models.BigIntegerField(default=0)),
                ("handled_again", models.BigIntegerField(default=0)),
                ("skipped", models.BigIntegerField(default=0)),
                ("error", models.TextField(blank=True, default="")),
                ("started_at", models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ("moved_at", models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
            ],
            options={
                "ordering": ["-id"],
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(("state__in", ("running", "stopped", "done"))), name="replay_state_is_known"
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("source__in", ("journal", "kafka"))), name="replay_source_is_known"
                    ),
                ],
            },
        ),
    ]
