from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models


class Migration(migrations.Migration):

    atomic = False  # built beside the traffic, for the table may be large

    dependencies = [
        ('media', '0006_turns_of_owners'),
    ]

    operations = [
        AddIndexConcurrently(
            model_name='mediaasset',
            index=models.Index(condition=models.Q(('kind', 'image'), ('last_attempt_at__isnull', False)), fields=['owner_id', '-last_attempt_at'], name='media_last_turn_images'),
        ),
        AddIndexConcurrently(
            model_name='mediaasset',
            index=models.Index(condition=models.Q(('kind__in', ('video', 'audio')), ('last_attempt_at__isnull', False)), fields=['owner_id', '-last_attempt_at'], name='media_last_turn_clips'),
        ),
        AddIndexConcurrently(
            model_name='mediaasset',
            index=models.Index(condition=models.Q(('files_missing_since__isnull', False)), fields=['files_missing_since'], name='media_lost'),
        ),
    ]
