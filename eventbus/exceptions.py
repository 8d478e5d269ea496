"""Every error of the bus, and the base of every room's errors.

EventBusError
├── DomainError            a rule says no, and will say no again: HTTP answer, or dead letter at once
├── NotYetError            something this needs has not arrived: wait and try again
├── HandlerCrashedError    the process ended in each attempt at the event: dead letter
├── PublishError           the call of publish() is wrong
│   ├── OutsideTransactionError
│   ├── UnregisteredEventError
│   └── OversizedEventError
├── DecodeError            the bytes on the topic are not the event they claim to be: dead letter at once
├── TopicsPausedError      what was to be read to its end is paused: a person looks at its handlers
├── CatalogError           two events or handlers claim the same place, or one is declared wrongly
└── TransportError         the broker cannot be used
    ├── BrokerUnavailableError   it does not answer: wait
    └── BrokerRefusedError       it answers no: topic, size, authorisation
"""

from typing import ClassVar


class EventBusError(Exception):
    """Base of every error this project raises on purpose."""


class DomainError(EventBusError):
    """A rule of the domain refuses; trying again cannot help.

    Subclasses say it to both sides: `code` and `status` to an HTTP client, the class name to a dead letter.
    """

    code: ClassVar[str] = "domain_error"
    status: ClassVar[int] = 409
    title: ClassVar[str] = "The request cannot be fulfilled"

    def __init__(self, detail: str = "") -> None:
        super().__init__(detail or self.title)
        self.detail = detail or self.title


class NotYetError(EventBusError):
    """A prerequisite has not arrived; the event waits with growing delay, its key in order behind it."""


class HandlerCrashedError(EventBusError):
    """No attempt at this event was seen to end: the process was killed, or ended itself, each time."""


class PublishError(EventBusError):
    """publish() was called in a way that cannot be honoured."""


class OutsideTransactionError(PublishError):
    """publish() was called where no transaction could make the event atomic with its cause."""


class UnregisteredEventError(PublishError):
    """The class handed to publish() carries no @event(...)."""


class OversizedEventError(PublishError):
    """The encoded event is larger than EVENTBUS_MAX_EVENT_BYTES."""


class DecodeError(EventBusError):
    """The message is not a readable event of its topic."""


class TopicsPausedError(EventBusError):
    """Topics that should be read to their end are paused, or nothing is read because too much is parked."""


class CatalogError(EventBusError):
    """An event or a handler is declared wrongly."""


class TransportError(EventBusError):
    """The broker cannot be used."""


class BrokerUnavailableError(TransportError):
    """The broker does not answer."""


class BrokerRefusedError(TransportError):
    """The broker answered, and refused for good."""
