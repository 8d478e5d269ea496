"""From here on no refund is given back without saying whose money it was."""

import django.db.models.expressions
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("payments", "0003_book_the_past")]

    operations = [
        migrations.AddConstraint(
            model_name='refund',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('amount', django.db.models.expressions.CombinedExpression(django.db.models.expressions.CombinedExpression(models.F('creator_share'), '+', models.F('platform_share')), '+', models.F('processor_share'))), ('creator_share__gte', 0), ('creator_share__isnull', False), ('platform_share__gte', 0), ('platform_share__isnull', False), ('processor_share__gte', 0), ('processor_share__isnull', False), ('status', 'succeeded')), models.Q(('status', 'succeeded'), _negated=True), _connector='OR'), name='what_went_back_was_shared_out'),
        ),
    ]
