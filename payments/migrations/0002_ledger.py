"""The books, which the database itself keeps balanced and unchanged."""

import django.db.models.deletion
import django.db.models.expressions
import django.utils.timezone
import uuid_utils.compat
from django.db import migrations, models

APPEND_ONLY = """
CREATE FUNCTION payments_refuse_to_rewrite_the_ledger() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'the ledger is append-only: % on % is refused; book a correcting transaction instead',
        TG_OP, TG_TABLE_NAME USING ERRCODE = 'restrict_violation';
END $$;
"""
TABLES = ("payments_ledgeraccount", "payments_ledgertransaction", "payments_ledgerentry")
REFUSE = "".join(
    f"""
CREATE TRIGGER ledger_is_append_only BEFORE UPDATE OR DELETE ON {table}
    FOR EACH ROW EXECUTE FUNCTION payments_refuse_to_rewrite_the_ledger();
CREATE TRIGGER ledger_is_never_emptied BEFORE TRUNCATE ON {table}
    FOR EACH STATEMENT EXECUTE FUNCTION payments_refuse_to_rewrite_the_ledger();
"""
    for table in TABLES
)
BALANCED = """
CREATE FUNCTION payments_refuse_an_unbalanced_transaction() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    wanted uuid;
    surplus record;
BEGIN
    IF TG_TABLE_NAME = 'payments_ledgertransaction' THEN
        wanted := NEW.id;
        IF NOT EXISTS (SELECT FROM payments_ledgerentry WHERE transaction_id = wanted) THEN
            RAISE EXCEPTION 'ledger transaction % has no entries', wanted USING ERRCODE = 'check_violation';
        END IF;
    ELSE
        wanted := NEW.transaction_id;
    END IF;
    SELECT account.currency, sum(entry.amount) AS amount INTO surplus
        FROM payments_ledgerentry entry JOIN payments_ledgeraccount account ON account.id = entry.account_id
        WHERE entry.transaction_id = wanted
        GROUP BY account.currency HAVING sum(entry.amount) <> 0 LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'ledger transaction % does not sum to zero: % % too much', wanted, surplus.amount, surplus.currency
            USING ERRCODE = 'check_violation';
    END IF;
    RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER a_transaction_has_entries AFTER INSERT ON payments_ledgertransaction
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION payments_refuse_an_unbalanced_transaction();
CREATE CONSTRAINT TRIGGER a_transaction_sums_to_zero AFTER INSERT ON payments_ledgerentry
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION payments_refuse_an_unbalanced_transaction();
"""
UNDO = """
DROP TRIGGER a_transaction_sums_to_zero ON payments_ledgerentry;
DROP TRIGGER a_transaction_has_entries ON payments_ledgertransaction;
DROP FUNCTION payments_refuse_an_unbalanced_transaction();
""" + "".join(
    f"DROP TRIGGER ledger_is_never_emptied ON {table}; DROP TRIGGER ledger_is_append_only ON {table};" for table in TABLES
) + "DROP FUNCTION payments_refuse_to_rewrite_the_ledger();"


class Migration(migrations.Migration):

    dependencies = [
        ('payments', '0001_initial'),
    ]

    operations = [
        migrations.CreateModel(
            name='LedgerAccount',
            fields=[
                ('id', models.UUIDField(default=uuid_utils.compat.uuid7, editable=False, primary_key=True, serialize=False)),
                ('kind', models.CharField(choices=[('payer_clearing', 'paid in by payers'), ('creator_pending', "a creator's, may still go back"), ('creator_payable', "a creator's, cleared"), ('dispute_hold', "a creator's, held while a payment is disputed"), ('platform_revenue', "the platform's"), ('processor_fee', "the processor's")], max_length=20)),
                ('owner_id', models.UUIDField(null=True)),
                ('currency', models.CharField(max_length=3)),
            ],
            options={
                'ordering': ['kind', 'currency', 'id'],
            },
        ),
        migrations.CreateModel(
            name='LedgerEntry',
            fields=[
                ('id', models.UUIDField(default=uuid_utils.compat.uuid7, editable=False, primary_key=True, serialize=False)),
                ('amount', models.BigIntegerField()),
                ('created_at', models.DateTimeField(default=django.utils.timezone.now)),
            ],
            options={
                'ordering': ['-created_at', '-id'],
            },
        ),
        migrations.CreateModel(
            name='LedgerTransaction',
            fields=[
                ('id', models.UUIDField(default=uuid_utils.compat.uuid7, editable=False, primary_key=True, serialize=False)),
                ('source_type', models.CharField(choices=[('order', 'payment'), ('refund', 'refund'), ('dispute', 'dispute')], max_length=10)),
                ('source_id', models.UUIDField()),
                ('kind', models.CharField(choices=[('capture', 'paid'), ('clearing', 'cleared'), ('refund', 'given back'), ('dispute_opened', 'held for a dispute'), ('dispute_won', 'dispute won'), ('dispute_lost', 'dispute lost')], max_length=20)),
                ('created_at', models.DateTimeField(default=django.utils.timezone.now)),
            ],
            options={
                'ordering': ['-created_at', '-id'],
            },
        ),
        migrations.AddField(
            model_name='paymentorder',
            name='cleared_at',
            field=models.DateTimeField(null=True),
        ),
        migrations.AddField(
            model_name='refund',
            name='creator_share',
            field=models.BigIntegerField(null=True),
        ),
        migrations.AddField(
            model_name='refund',
            name='platform_share',
            field=models.BigIntegerField(null=True),
        ),
        migrations.AddField(
            model_name='refund',
            name='processor_share',
            field=models.BigIntegerField(null=True),
        ),
        migrations.AddIndex(
            model_name='paymentorder',
            index=models.Index(condition=models.Q(('cleared_at__isnull', True), ('status__in', ['succeeded', 'partially_refunded'])), fields=['completed_at'], name='orders_to_clear'),
        ),
        migrations.AddConstraint(
            model_name='ledgeraccount',
            constraint=models.UniqueConstraint(fields=('owner_id', 'currency', 'kind'), name='one_account_of_a_kind', nulls_distinct=False),
        ),
        migrations.AddConstraint(
            model_name='ledgeraccount',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('kind__in', ['creator_pending', 'creator_payable', 'dispute_hold']), ('owner_id__isnull', False)), models.Q(('kind__in', ['payer_clearing', 'platform_revenue', 'processor_fee']), ('owner_id__isnull', True)), _connector='OR'), name='creators_own_their_accounts'),
        ),
        migrations.AddConstraint(
            model_name='ledgeraccount',
            constraint=models.CheckConstraint(condition=models.Q(('currency__regex', '^[A-Z]{3}$')), name='account_currency_is_a_code'),
        ),
        migrations.AddConstraint(
            model_name='ledgeraccount',
            constraint=models.CheckConstraint(condition=models.Q(('kind__in', ['payer_clearing', 'creator_pending', 'creator_payable', 'dispute_hold', 'platform_revenue', 'processor_fee'])), name='ledger_account_kind_is_known'),
        ),
        migrations.AddField(
            model_name='ledgerentry',
            name='account',
            field=models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='entries', to='payments.ledgeraccount'),
        ),
        migrations.AddField(
            model_name='ledgertransaction',
            name='order',
            field=models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='ledger_transactions', to='payments.paymentorder'),
        ),
        migrations.AddField(
            model_name='ledgerentry',
            name='transaction',
            field=models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='entries', to='payments.ledgertransaction'),
        ),
        migrations.AddConstraint(
            model_name='ledgertransaction',
            constraint=models.UniqueConstraint(fields=('source_type', 'source_id', 'kind'), name='a_source_moves_money_once_a_kind'),
        ),
        migrations.AddConstraint(
            model_name='ledgertransaction',
            constraint=models.CheckConstraint(condition=models.Q(('source_type__in', ['order', 'refund', 'dispute'])), name='ledger_source_type_is_known'),
        ),
        migrations.AddConstraint(
            model_name='ledgertransaction',
            constraint=models.CheckConstraint(condition=models.Q(('kind__in', ['capture', 'clearing', 'refund', 'dispute_opened', 'dispute_won', 'dispute_lost'])), name='ledger_transaction_kind_is_known'),
        ),
        migrations.AddIndex(
            model_name='ledgerentry',
            index=models.Index(fields=['account', '-created_at', '-id'], include=('amount',), name='entries_of_account'),
        ),
        migrations.AddConstraint(
            model_name='ledgerentry',
            constraint=models.UniqueConstraint(fields=('transaction', 'account'), name='an_account_moves_once_in_a_transaction'),
        ),
        migrations.AddConstraint(
            model_name='ledgerentry',
            constraint=models.CheckConstraint(condition=models.Q(('amount', 0), _negated=True), name='an_entry_moves_something'),
        ),
        migrations.RunSQL(sql=APPEND_ONLY + REFUSE + BALANCED, reverse_sql=UNDO),
    ]
