from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('subscriptions', '0008_one_index_of_tiers'),
    ]

    operations = [
        migrations.AddField(
            model_name='receivedpayment',
            name='refunded_total',
            field=models.BigIntegerField(null=True),
        ),
    ]
