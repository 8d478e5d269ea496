from django.contrib.postgres.operations import ValidateConstraint
from django.db import migrations


class Migration(migrations.Migration):
    """On its own, so that payments are received while the rows are read."""

    dependencies = [
        ('subscriptions', '0006_why_access_was_revoked'),
    ]

    operations = [
        ValidateConstraint(
            model_name='receivedpayment',
            name='revoke_reason_is_known',
        ),
    ]
