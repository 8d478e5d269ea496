"""A whole platform in one process: people act over HTTP, the bus carries what is told, background work follows."""

from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from uuid import uuid4

from django.core.files.uploadedfile import SimpleUploadedFile
from django.db.models import Sum
from msgspec.structs import replace
from rest_framework.test import APIClient
from uuid_utils.compat import uuid7

from eventbus.models import OutboxEvent, ParkedEvent
from eventbus.testing import deliver, published, run_bus
from payments import tasks as payment_tasks
from payments.encryption import encrypt
from payments.models.methods import PaymentMethod
from payments.models.orders import PaymentOrder
from payments.models.refunds import Refund
from payments.models.sandbox import SandboxCharge, SandboxDispute, SandboxRefund
from payments.services.charging import STALE_AFTER
from tests.accounts.factories import make_creator, make_user
from tests.media.factories import jpeg

OK = "tok_ok"
NOW = datetime(2031, 3, 10, 12, 0, tzinfo=UTC)


class World:
    """People, what they do, and what becomes of it; nothing is told on until `settle()` or `deliver()`."""

    def __init__(self, commits, clock):
        self.commits = commits
        self.clock = clock
        self.told = []
        self.creator = make_creator()
        self.fan = make_user()

    # --- time and the bus -------------------------------------------------------------------------------------------

    @contextmanager
    def background(self):
        """What the block asked for after its commit runs at its end."""
        with self.commits(execute=True):
            yield

    def settle(self):
        """Deliver everything that waits, and what that causes, until nothing is left."""
        while OutboxEvent.objects.exists():
            with self.background():
                self.told += run_bus()

    def take(self):
        """What waits to be told, taken off the bus: the test delivers it, when and where it likes."""
        events = published()
        OutboxEvent.objects.all().delete()
        self.told += events
        return events

    def deliver(self, *events, to=None):
        for event in events:
            with self.background():
                deliver(event, to=to)

    def wait(self, **time):
        self.clock.shift(timedelta(**time))

    def reconcile(self):
        """The clock's round that asks after answers that never came."""
        self.clock.shift(STALE_AFTER + timedelta(seconds=1))
        with self.background():
            payment_tasks.charge_due_orders()

    def run(self, task):
        with self.background():
            task()

    # --- HTTP -------------------------------------------------------------------------------------------------------

    def client(self, user):
        client = APIClient()
        client.force_authenticate(user)
        return client

    def call(self, method, user, path, body=None, *, expect, **headers):
        """One request; its Idempotency-Key is new and its status is the expected one."""
        keyed = {"Idempotency-Key": uuid4().hex, **headers}
        with self.background():
            response = getattr(self.client(user), method)(f"/api/v1/{path}", body, headers=keyed)
        assert response.status_code == expect, response.content
        return response.json() if response.content else None

    def get(self, user, path, *, expect=200):
        response = self.client(user).get(f"/api/v1/{path}")
        assert response.status_code == expect, response.content
        return response.json()

    def post(self, user, path, body=None, *, expect=201):
        return self.call("post", user, path, body, expect=expect)

    # --- what people do ---------------------------------------------------------------------------------------------

    def card(self, user=None, token=OK):
        return self.post(user or self.fan, "payment-methods", {"token": token})["id"]

    def tier(self, amount=1200, name="Backstage", **fields):
        price = {"interval": "month", "amount": amount, "currency": "USD"}
        return self.post(self.creator, "tiers", {"name": name, "prices": [price], **fields})

    def subscribe(self, tier, card=None, user=None, *, expect=201):
        price = tier["prices"][0]
        choice = {"tier_id": tier["id"], "price_id": price["id"], "payment_method_id": card}
        seen = {"expected_amount": price["amount"], "expected_currency": price["currency"]}
        return self.post(user or self.fan, "subscriptions", {**choice, **seen}, expect=expect)

    def subscribed(self, token=OK, **fields):
        """A fan whose first payment has been tried."""
        tier = self.tier(**fields)
        subscription = self.subscribe(tier, self.card(token=token))
        self.settle()
        return tier, self.subscription(subscription)

    def subscription(self, subscription, user=None):
        return self.get(user or self.fan, f"subscriptions/{subscription['id']}")

    def cancel(self, subscription, user=None, *, expect=200, **choice):
        return self.post(user or self.fan, f"subscriptions/{subscription['id']}/cancel", choice, expect=expect)

    def resume(self, subscription):
        return self.post(self.fan, f"subscriptions/{subscription['id']}/resume", expect=200)

    def upload(self, content=None):
        file = SimpleUploadedFile("photo.jpg", content or jpeg(), "image/jpeg")
        with self.background():
            response = self.client(self.creator).post(
                "/api/v1/media",
                {"kind": "image", "file": file},
                format="multipart",
                headers={"Idempotency-Key": uuid4().hex},
            )
        assert response.status_code == 202, response.content
        return response.json()["id"]

    def write(self, **fields):
        texts = {"title": "A walk", "body": "The whole story", "teaser": "How it began"}
        return self.post(self.creator, "posts", {**texts, "visibility": "subscribers", "publish": True, **fields})

    def sell(self, amount=700, **fields):
        """A post for sale, known to everybody."""
        post = self.write(visibility="ppv", price={"amount": amount, "currency": "USD"}, **fields)
        self.settle()
        return post

    def read(self, post, user=None, *, expect=200):
        return self.get(user or self.fan, f"posts/{post['id']}", expect=expect)

    def opens(self, post, user=None):
        """Whether the post stands open before this reader."""
        return not self.read(post, user)["is_locked"]

    def delete(self, post, *, expect=204):
        return self.call("delete", self.creator, f"posts/{post['id']}", expect=expect)

    def buy(self, post, card, user=None, *, expect=201):
        seen = {"expected_amount": post["price"]["amount"], "expected_currency": post["price"]["currency"]}
        body = {"post_id": post["id"], "payment_method_id": card, **seen}
        return self.post(user or self.fan, "post-purchases", body, expect=expect)

    def purchase(self, purchase, user=None):
        return self.get(user or self.fan, f"post-purchases/{purchase['id']}")

    def tip(self, card, amount=500, **fields):
        gift = {"recipient_id": str(self.creator.id), "amount": amount, "currency": "USD", "payment_method_id": card}
        return self.post(self.fan, "tips", {**gift, **fields})

    def payments(self, reference, user=None):
        return self.get(user or self.fan, f"payments?reference={reference['id']}")["results"]

    def payment(self, reference, user=None):
        [payment] = self.payments(reference, user)
        return payment

    def confirm(self, payment):
        return self.post(self.fan, f"payments/{payment['id']}/confirm", expect=200)

    def refund(self, payment, *, expect=201, **choice):
        choice = {"reason": "requested_by_customer", **choice}
        return self.post(self.creator, f"payments/{payment['id']}/refunds", choice, expect=expect)

    def like(self, post, user=None):
        self.call("put", user or self.fan, f"posts/{post['id']}/like", expect=200)

    def unlike(self, post, user=None):
        self.call("delete", user or self.fan, f"posts/{post['id']}/like", expect=200)

    # --- what must hold ---------------------------------------------------------------------------------------------

    def check(self):
        """What holds after any story: nothing parked, and the books agree."""
        assert list(ParkedEvent.objects.values_list("topic", "traceback")) == []
        assert_the_books_agree()


def retold(event):
    """The same fact as another event: what a producer that published twice would have sent."""
    return replace(event, id=str(uuid7()))


def behave_as(card, token):
    """From now on the card does what this token says."""
    PaymentMethod.objects.filter(pk=card).update(encrypted_token=encrypt(token))


def pick(events, event_class):
    """The one event of this class."""
    [event] = [event for event in events if type(event) is event_class]
    return event


def total(queryset):
    return queryset.aggregate(total=Sum("amount"))["total"] or 0


def kept_by(order_id):
    """What the gateway holds of an order: captured, not given back and not lost to the payer's bank."""
    charges = SandboxCharge.objects.filter(idempotency_key__startswith=f"{order_id}:", status="captured")
    lost = SandboxDispute.objects.filter(charge__in=charges, status="lost")
    return total(charges) - total(SandboxRefund.objects.filter(charge__in=charges)) - total(lost)


def assert_the_books_agree():
    """The gateway's books and ours say the same of every order, and nobody has paid twice for one thing."""
    captured = PaymentOrder.objects.filter(status__in=PaymentOrder.CAPTURED)
    refunds = Refund.objects.filter(status="succeeded")
    went_back = total(SandboxRefund.objects.all()) + total(SandboxDispute.objects.filter(status="lost"))
    at_gateway = total(SandboxCharge.objects.filter(status="captured")) - went_back
    assert at_gateway == total(captured) - total(refunds)
    assert sum(order.refunded_amount for order in captured) == total(refunds)
    paid = {}
    for order in PaymentOrder.objects.all():
        kept = kept_by(order.id)
        expected = order.amount - order.refunded_amount if order.is_captured else 0
        assert kept == expected, f"order {order.id} is {order.status}, and the gateway keeps {kept} of {order.amount}"
        debt = (order.kind, order.reference_id, order.cycle_number)
        paid[debt] = paid.get(debt, 0) + kept
        assert paid[debt] <= order.amount
