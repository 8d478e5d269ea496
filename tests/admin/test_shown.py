"""Money, ids and times in the admin are shown as people read them, wherever they stand."""

import pytest
from django.contrib.admin.models import LogEntry
from django.urls import reverse
from django.utils import timezone
from uuid_utils.compat import uuid7

from payments.models.ledger import LedgerTransaction
from payments.models.orders import PaymentOrder
from payments.models.refunds import Refund
from tests.admin.rows import journaled_event, make_payments

pytestmark = pytest.mark.django_db


def page(office, model, key):
    return office.get(reverse(f"admin:{model}_change", args=[key])).content.decode()


def listed(office, model, **query):
    return office.get(reverse(f"admin:{model}_changelist"), query).content.decode()


def beside(office, model, key, inline):
    """The rows of an inline, as lists of what each cell says."""
    answer = office.get(reverse(f"admin:{model}_change", args=[key]))
    [rows] = [each for each in answer.context["inline_admin_formsets"] if each.opts.model.__name__ == inline]
    return [[str(field.contents()) for line in form for fields in line for field in fields] for form in rows]


def test_what_stands_beside_a_payment_is_money_as_people_read_it(office):
    make_payments()
    refund = Refund.objects.first()

    [cells] = beside(office, "payments_paymentorder", refund.order_id, "Refund")

    assert cells[0] == f"{refund.amount / 100:.2f} USD"


def test_the_lines_of_a_transaction_are_money_as_people_read_it(office):
    make_payments()
    transaction = LedgerTransaction.objects.first()

    lines = beside(office, "payments_ledgertransaction", transaction.pk, "LedgerEntry")

    amounts = transaction.entries.values_list("amount", flat=True)
    assert [line[1] for line in lines] == [f"{amount / 100:.2f} USD" for amount in amounts]


def test_a_payment_leads_to_what_it_pays(office):
    make_payments()
    pages = {
        "tip": "payments_tip",
        "post_purchase": "payments_postpurchase",
        "subscription": "subscriptions_subscription",
    }
    orders = PaymentOrder.objects.all()

    assert {order.kind for order in orders} == set(pages)
    for order in orders:
        address = reverse(f"admin:{pages[order.kind]}_change", args=[order.reference_id])
        assert f'href="{address}"' in page(office, "payments_paymentorder", order.pk)


def test_the_name_of_a_payment_and_of_a_price_has_its_decimals(office):
    assert str(PaymentOrder(kind="tip", amount=250, currency="USD", status="succeeded")) == "tip 2.50 USD paid"
    assert str(PaymentOrder(kind="tip", amount=250, currency="JPY", status="succeeded")) == "tip 250 JPY paid"


def test_the_bus_shows_the_end_of_an_id_and_the_whole_on_its_page(office):
    key = str(uuid7())
    event = journaled_event(key=key)

    assert f'title="{key}"' in listed(office, "eventbus_journalevent")
    assert f"…{key[-8:]}" in listed(office, "eventbus_journalevent")
    assert f">{key}<" in page(office, "eventbus_journalevent", event.pk)


def test_the_journal_shows_the_last_first_and_tells_a_story_from_its_beginning(office):
    first, last = (journaled_event(correlation_id="story") for _ in range(2))

    def ids(**query):
        return [
            row.pk
            for row in office.get(reverse("admin:eventbus_journalevent_changelist"), query).context["cl"].result_list
        ]

    assert ids() == [last.pk, first.pk]
    assert ids(q="story") == [first.pk, last.pk]


def test_times_are_written_alike_everywhere(office, operator, time_machine):
    time_machine.move_to("2026-03-01T12:30:05Z", tick=False)
    LogEntry.objects.log_actions(operator.pk, [operator], action_flag=2, change_message="Suspended: spam")

    history = office.get(reverse("admin:accounts_user_history", args=[operator.pk])).content.decode()

    assert "2026-03-01 12:30:05" in history
    assert timezone.now().strftime("%B") not in history


def test_view_site_leads_to_a_page_that_is_there(office):
    assert office.get(office.get("/admin/").context["site_url"]).status_code == 200
