"""What was captured and given back before there were books gets its entries, dated when it happened."""

from django.db import migrations

from payments.fees import Split, share_out

BATCH = 500
CAPTURED = ("succeeded", "partially_refunded", "refunded")


def book_the_past(apps, schema_editor):
    """Write the capture of each captured order and then its refunds, in the order in which they were given."""
    order_model = apps.get_model("payments", "PaymentOrder")
    books = Books(apps)
    last = None
    while True:
        orders = order_model.objects.filter(status__in=CAPTURED, ledger_transactions=None).order_by("pk")
        page = list(orders.filter(pk__gt=last)[:BATCH] if last else orders[:BATCH])
        for order in page:
            books.book(order)
        if len(page) < BATCH:
            return
        last = page[-1].pk


class Books:
    """The tables of the ledger as they are in this migration."""

    def __init__(self, apps):
        self.account_model = apps.get_model("payments", "LedgerAccount")
        self.transaction_model = apps.get_model("payments", "LedgerTransaction")
        self.entry_model = apps.get_model("payments", "LedgerEntry")

    def book(self, order):
        left = Split(
            platform_fee=order.platform_fee_amount,
            processor_fee=order.processor_fee_amount,
            creator_net=order.creator_net_amount,
        )
        self.post(order, "order", order.id, "capture", order.completed_at, left, sign=1)
        for refund in order.refunds.filter(status="succeeded").order_by("finished_at", "id"):
            shares = share_out(refund.amount, left=left)
            left = left.less(shares)
            refund.creator_share = shares.creator_net
            refund.platform_share = shares.platform_fee
            refund.processor_share = shares.processor_fee
            refund.save(update_fields=["creator_share", "platform_share", "processor_share"])
            self.post(order, "refund", refund.id, "refund", refund.finished_at, shares, sign=-1)

    def post(self, order, source_type, source_id, kind, at, parts, *, sign):
        lines = [
            ("payer_clearing", None, -parts.total),
            ("creator_pending", order.payee_id, parts.creator_net),
            ("platform_revenue", None, parts.platform_fee),
            ("processor_fee", None, parts.processor_fee),
        ]
        written = self.transaction_model.objects.create(
            source_type=source_type, source_id=source_id, kind=kind, order=order, created_at=at
        )
        for account_kind, owner_id, amount in lines:
            if amount:
                account, _ = self.account_model.objects.get_or_create(
                    kind=account_kind, owner_id=owner_id, currency=order.currency
                )
                self.entry_model.objects.create(
                    transaction=written, account=account, amount=sign * amount, created_at=at
                )


class Migration(migrations.Migration):
    dependencies = [("payments", "0002_ledger")]

    operations = [migrations.RunPython(book_the_past, migrations.RunPython.noop)]
