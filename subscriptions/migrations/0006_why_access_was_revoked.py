from django.contrib.postgres.operations import AddConstraintNotValid
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('subscriptions', '0005_subscribers_of_a_tier'),
    ]

    operations = [
        migrations.AddField(
            model_name='receivedpayment',
            name='revoke_reason',
            field=models.CharField(choices=[('refunded', 'the money went back'), ('disputed', 'the payment was disputed')], max_length=10, null=True),
        ),
        AddConstraintNotValid(
            model_name='receivedpayment',
            constraint=models.CheckConstraint(condition=models.Q(('revoke_reason__isnull', True), ('revoke_reason__in', ('refunded', 'disputed')), _connector='OR'), name='revoke_reason_is_known'),
        ),
    ]
