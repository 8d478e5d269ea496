"""Subscriptions and payments between a broker, a queue of jobs and a gateway that all do as a history says."""

import json
import time
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import ClassVar

import time_machine
from celery.app.task import Task
from django.core.cache import cache
from django.db import transaction
from django.test import TestCase
from uuid_utils.compat import uuid7

from config.celery import app
from eventbus.events import registered, spec_of
from eventbus.handlers import handlers_of
from eventbus.models import OutboxEvent, ParkedEvent
from eventbus.processing import Processor
from eventbus.testing import message_of
from payments import tasks as payment_tasks
from payments.gateways.base import GatewayUnavailableError
from payments.gateways.sandbox import DELIVERY, SIGNATURE_HEADER, SandboxGateway
from payments.gateways.signatures import signed
from payments.models.orders import PaymentAttempt
from payments.models.webhooks import GatewayEvent
from payments.services.charging import STALE_AFTER
from payments.services.outcomes import record_outcome
from payments.services.refunds import record_refund
from payments.services.webhooks import receive_webhook
from subscriptions import tasks as subscription_tasks
from subscriptions.services.tiers import PriceTerms
from tests.flows.billing_invariants import AS_TOLD
from tests.payments.factories import PostStory, make_method
from tests.subscriptions.conftest import NOW
from tests.subscriptions.factories import forget_events, make_creator, make_tier, make_user, monthly

ROOMS = ("subscriptions", "payments")
SECRET = "whsec_of_the_machine"
SUBSCRIPTION_CLOCK = (
    subscription_tasks.expire_unpaid_subscriptions,
    subscription_tasks.end_cancelled_subscriptions,
    subscription_tasks.renew_subscriptions,
    subscription_tasks.give_up_unpaid_renewals,
)
PAYMENT_CLOCK = (
    payment_tasks.charge_due_orders,
    payment_tasks.expire_orders,
    payment_tasks.void_due,
    payment_tasks.refund_due,
    payment_tasks.gateway_events_due,
    payment_tasks.clear_due,
)
CLOCK = (*SUBSCRIPTION_CLOCK, *PAYMENT_CLOCK)
ROUNDS = 60


@dataclass(slots=True)
class Job:
    """Work that somebody will do: a task that was sent, a webhook on its way, an answer that comes late."""

    name: str
    work: partial

    @property
    def may_be_lost(self):
        """Tasks may: a sweeper finds what they left. A gateway sends its webhooks until they are taken."""
        return self.name not in {DELIVERY, "late answer"}


class MoodyGateway(SandboxGateway):
    """The sandbox behind a bad line: the next calls fare as the history says, and all others well."""

    fates: ClassVar[list[str]] = []
    jobs: ClassVar[list[Job]] = []

    def fare(self, call, late):
        """Make the call, or lose it, or its answer, or let the answer come when everybody has given it up."""
        fate = self.fates.pop(0) if self.fates else "well"
        if fate == "never arrives":
            raise GatewayUnavailableError("the line is dead")
        answer = call()
        if fate == "well":
            return answer
        if fate == "answers late":
            self.jobs.append(Job("late answer", partial(late, answer)))
        raise GatewayUnavailableError("the answer was lost")

    def create_payment(self, charge):
        return self.fare(partial(super().create_payment, charge), partial(record, charge.key))

    def confirm(self, key, **named):
        return self.fare(partial(super().confirm, key, **named), partial(record, key))

    def cancel(self, key, **named):
        return self.fare(partial(super().cancel, key, **named), partial(record, key))

    def retrieve(self, key, **named):
        return self.fare(partial(super().retrieve, key, **named), partial(record, key))

    def refund(self, reversal):
        return self.fare(
            partial(super().refund, reversal), lambda answer: record_refund(refund_id=reversal.key, answer=answer)
        )


def record(key, outcome):
    """What the worker does that waited for this answer all along."""
    attempt = PaymentAttempt.objects.filter(gateway_idempotency_key=key).first()
    if attempt and outcome:
        record_outcome(attempt_id=attempt.id, outcome=outcome)


def queue_tasks(patch):
    """Every task that is sent becomes a job of the machine."""
    app.loader.import_default_modules()

    def send(task, args=None, kwargs=None, **_):
        MoodyGateway.jobs.append(Job(task.name, partial(task.run, *(args or ()))))

    patch.setattr(Task, "apply_async", send)


class Billing:
    """One creator, two fans, five prices, two posts; and everything that is on its way between them."""

    def __init__(self):
        MoodyGateway.fates.clear()
        MoodyGateway.jobs.clear()
        cache.clear()
        self.travel = time_machine.travel(NOW, tick=False)
        self.clock = self.travel.start()
        self.atomic = transaction.atomic()
        self.atomic.__enter__()
        self.jobs, self.fates = MoodyGateway.jobs, MoodyGateway.fates
        self.creator, self.fans = make_creator(), [make_user(), make_user()]
        self.cards = {}
        tiers = [
            make_tier(self.creator, monthly(500), name="Cheap"),
            make_tier(self.creator, monthly(700), name="To try", trial_days=14),
            make_tier(self.creator, monthly(1501), name="Dear", max_subscribers=1),
            make_tier(self.creator, PriceTerms(interval="year", amount=9000, currency="USD"), name="Yearly"),
            make_tier(self.creator, monthly(0), name="Free"),
        ]
        self.prices = [tier.prices.get() for tier in tiers]
        forget_events()
        self.told, self.told_of_posts = [], []
        self.ids_told, self.sequences = set(), {}
        self.queues = {}
        self.stories = [PostStory(self.creator.id), PostStory(self.creator.id)]
        self.snapshots = {}
        for story in self.stories:
            self.tell_of_post(story, story.created(1))

    def close(self):
        transaction.set_rollback(True)
        self.atomic.__exit__(None, None, None)
        self.travel.stop()

    @contextmanager
    def acting(self):
        """What is committed here is sent and told."""
        with TestCase.captureOnCommitCallbacks(execute=True):
            yield
        self.collect()

    def card(self, fan, token):
        """The fan's card of this behaviour, saved once."""
        if (fan, token) not in self.cards:
            self.cards[fan, token] = make_method(self.fans[fan].id, token=f"{token}:{fan}")
        return self.cards[fan, token]

    # --- news ---------------------------------------------------------------------------------------------------------

    def collect(self):
        """What was told lies with the broker, for each room in the order of its topic and key."""
        rows = list(OutboxEvent.objects.order_by("id"))
        for row in rows:
            raw = bytes(row.payload)
            event = registered()[row.headers["ce_type"]].decode(raw, fallback_id="")
            for invariant in AS_TOLD:
                invariant(self, event, raw)
            self.told.append(event)
            self.send(event)
        if rows:
            OutboxEvent.objects.all().delete()

    def tell_of_post(self, story, event):
        """Content tells of a post."""
        self.told_of_posts.append(event)
        self.snapshots[story.post_id] = event
        self.send(event)

    def send(self, event):
        topic = spec_of(type(event)).topic
        for room in ROOMS:
            if topic in handlers_of(room):
                self.queues.setdefault((room, topic, event.key), []).append(message_of(event))

    def waiting(self):
        return [place for place, messages in self.queues.items() if messages]

    def carry(self, place, again="once"):
        """A room hears the first message of a queue, which may come again, or say more than the room knows of."""
        message = self.queues[place].pop(0)
        if again == "says more":
            message = altered(message, lambda fields: {**fields, "unheardOf": {"by": ["anybody"]}})
        if again == "comes again":
            self.queues[place].append(message)
        if again == "is retold":
            self.queues[place].append(altered(message, lambda fields: {**fields, "id": str(uuid7())}))
        with self.acting():
            Processor(place[0]).process([message])
        assert_only_waiting()

    def retry_parked(self):
        """What waits for other news is tried again; whether there was any."""
        ParkedEvent.objects.filter(state="retrying").update(next_attempt_at="2020-01-01T00:00:00Z")
        with self.acting():
            done = [Processor(room).retry_due() for room in ROOMS]
        assert_only_waiting()
        return any(done)

    # --- work ---------------------------------------------------------------------------------------------------------

    def do(self, job):
        """Somebody does a job."""
        with self.acting():
            if job.name == DELIVERY:
                deliver_webhook(*job.work.args)
            else:
                job.work()

    def work(self, tasks):
        """These of the clock's tasks, in this order."""
        with self.acting():
            for task in tasks:
                task()

    # --- rest ---------------------------------------------------------------------------------------------------------

    def come_to_rest(self):
        """The line is mended, everybody works, and so little time passes that only sweepers notice."""
        self.fates.clear()
        for _ in range(ROUNDS):
            self.drain()
            self.clock.shift(STALE_AFTER * 1.5)
            GatewayEvent.objects.filter(handled_at=None, next_attempt_at__isnull=False).update(next_attempt_at=NOW)
            self.work(PAYMENT_CLOCK)
            if not (self.jobs or self.waiting()):
                return
        raise AssertionError(f"It is not quiet after {ROUNDS} rounds")

    def drain(self):
        """All jobs, all news, and what they cause."""
        for _ in range(ROUNDS):
            while self.jobs or self.waiting():
                while self.jobs:
                    self.do(self.jobs.pop(0))
                for place in self.waiting():
                    self.carry(place)
            if not ParkedEvent.objects.exists() or not self.retry_parked():
                return
        raise AssertionError(f"It is not quiet after {ROUNDS} rounds")


def altered(message, change):
    """The same message with other fields."""
    return replace(message, value=json.dumps(change(json.loads(message.value))).encode())


def deliver_webhook(body, _):
    """The gateway signs anew each time it sends."""
    header = signed(body.encode(), secret=SECRET, at=int(time.time()))
    receive_webhook(gateway="sandbox", raw=body.encode(), headers={SIGNATURE_HEADER: header})


def assert_only_waiting():
    """Nothing is parked but what waits for news that has not come."""
    failed = ParkedEvent.objects.exclude(state="queued").exclude(error_class__endswith="NotYetError")
    assert list(failed.values_list("topic", "traceback")) == []
