from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models


class Migration(migrations.Migration):
    """Built while orders are charged: every attempt is a row."""

    atomic = False
    dependencies = [
        ('payments', '0009_refunds_may_fail_later'),
    ]

    operations = [
        AddIndexConcurrently(
            model_name='paymentattempt',
            index=models.Index(condition=models.Q(('status', 'declined')), fields=['finished_at'], name='declines_by_time'),
        ),
    ]
