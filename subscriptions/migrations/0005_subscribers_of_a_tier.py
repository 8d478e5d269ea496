from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models


class Migration(migrations.Migration):
    """Built while subscriptions change."""

    atomic = False
    dependencies = [
        ('subscriptions', '0004_trials'),
    ]

    operations = [
        AddIndexConcurrently(
            model_name='subscription',
            index=models.Index(models.F('creator_id'), models.F('tier'), models.OrderBy(models.F('created_at'), descending=True), models.OrderBy(models.F('id'), descending=True), name='subscribers_of_a_tier'),
        ),
    ]
