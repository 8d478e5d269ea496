"""The whole catalog as one AsyncAPI 3 document: channels, who sends and receives, keys, headers, payloads."""

from typing import Any

from eventbus.catalog.entries import Entry
from eventbus.catalog.schemas import Schema
from eventbus.topics import DAY_MS

KAFKA_BINDING = "0.5.0"
TEXT: Schema = {"type": "string"}
HEADERS: Schema = {
    "title": "CloudEvents 1.0 in Kafka's binary mode, and W3C trace context",
    "type": "object",
    "required": [
        "ce_specversion",
        "ce_id",
        "ce_type",
        "ce_source",
        "ce_time",
        "ce_subject",
        "ce_partitionkey",
        "ce_correlationid",
        "content-type",
    ],
    "properties": {
        "ce_specversion": {**TEXT, "const": "1.0"},
        "ce_id": {
            **TEXT,
            "format": "uuid",
            "description": "The event's id, as in the value; handled once by each group.",
        },
        "ce_type": {**TEXT, "description": "The event's type: the topic without its prefix."},
        "ce_source": {**TEXT, "format": "uri-reference", "description": "The room that tells it, as /room."},
        "ce_time": {**TEXT, "format": "date-time", "description": "When the fact was recorded."},
        "ce_subject": {**TEXT, "description": "The id of the aggregate that changed."},
        "ce_partitionkey": {**TEXT, "description": "The message's key."},
        "ce_correlationid": {**TEXT, "description": "The same for everything that one request caused."},
        "ce_causationid": {**TEXT, "description": "The id of the event whose handling caused this one."},
        "ce_actor": {**TEXT, "description": "Who acted, when somebody did."},
        "content-type": {**TEXT, "const": "application/json"},
        "traceparent": {**TEXT, "description": "W3C trace context."},
    },
}


def document_of(entries: list[Entry], schemas: dict[str, dict[int, Schema]], samples: dict[str, Any]) -> dict[str, Any]:
    """The document; `schemas` by topic and major version, `samples` by the schema's $id."""
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Tributary's events",
            "version": "1.0.0",
            "description": "What the rooms tell each other, and anyone who listens: facts, in the order of each key.",
            "license": {"name": "Apache-2.0", "url": "https://www.apache.org/licenses/LICENSE-2.0"},
        },
        "defaultContentType": "application/json",
        "channels": {entry.spec.topic: _channel(entry, schemas[entry.spec.topic]) for entry in entries},
        "operations": {
            name: operation
            for entry in entries
            for name, operation in _operations(entry, schemas[entry.spec.topic]).items()
        },
        "components": {
            "schemas": {"headers": HEADERS},
            "messages": {
                _message_name(schema): _message(schema, samples)
                for entry in entries
                for schema in schemas[entry.spec.topic].values()
            },
        },
    }


def _message_name(schema: Schema) -> str:
    return f"{schema['x-topic']}.v{schema['x-version'].partition('.')[0]}"


def _channel(entry: Entry, schemas: dict[int, Schema]) -> dict[str, Any]:
    spec = entry.spec
    return {
        "address": spec.topic,
        "description": f"{schemas[spec.major]['description']} Behind KAFKA_TOPIC_PREFIX where a platform has one.",
        "messages": {
            _message_name(schema): {"$ref": f"#/components/messages/{_message_name(schema)}"}
            for schema in schemas.values()
        },
        "bindings": {
            "kafka": {
                "topicConfiguration": {
                    "cleanup.policy": ["delete"],
                    "retention.ms": spec.retention_days * DAY_MS,
                },
                "bindingVersion": KAFKA_BINDING,
            }
        },
    }


def _operations(entry: Entry, schemas: dict[int, Schema]) -> dict[str, Any]:
    """The producer sends the present version; who receives must bear the older ones as well."""
    topic = entry.spec.topic
    channel = {"$ref": f"#/channels/{topic}"}
    references = {
        major: {"$ref": f"#/channels/{topic}/messages/{_message_name(schema)}"} for major, schema in schemas.items()
    }
    operations: dict[str, Any] = {
        f"{entry.producer}.send.{topic}": {
            "action": "send",
            "channel": channel,
            "summary": f"{entry.producer} tells it.",
            "messages": [references[entry.spec.major]],
        }
    }
    for room in entry.consumers:
        operations[f"{room}.receive.{topic}"] = {
            "action": "receive",
            "channel": channel,
            "summary": " ".join(answer.does for answer in entry.answers if answer.room == room),
            "messages": list(references.values()),
        }
    return operations


def _message(schema: Schema, samples: dict[str, Any]) -> dict[str, Any]:
    payload = {name: value for name, value in schema.items() if name not in {"$schema", "$id"}}
    key = schema["properties"][schema["x-key"]]
    return {
        "name": schema["title"],
        "title": f"{schema['x-topic']} {schema['x-version']}",
        "summary": schema["description"],
        "contentType": "application/json",
        "headers": {"$ref": "#/components/schemas/headers"},
        "payload": payload,
        "correlationId": {"location": "$message.header#/ce_correlationid"},
        "bindings": {
            "kafka": {
                "key": {**TEXT, "format": key["format"], "description": f"`{schema['x-key']}`"}
                if "format" in key
                else {**TEXT, "description": f"`{schema['x-key']}`"},
                "bindingVersion": KAFKA_BINDING,
            }
        },
        "examples": [{"name": f"v{schema['x-version']}", "payload": samples[schema["$id"]]}],
    }
