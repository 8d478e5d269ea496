"""What a test that commits leaves behind: only the tables it wrote to are emptied.

Django empties every table, written or not, and makes content types and permissions anew: 0.3 s for each such test.
"""

from typing import Any

from django.db import connection

# Filled when the database is made, out of the models alone.
KEPT = {"django_content_type", "auth_permission"}
# A table without a page was not written to since it was last emptied, not even by what was rolled back; of one in
# partitions they have the pages.
WRITTEN = """
SELECT relname FROM pg_class
 WHERE oid = ANY(%s::regclass[])
   AND (pg_relation_size(oid) > 0
        OR EXISTS (SELECT FROM pg_partition_tree(oid) WHERE isleaf AND pg_relation_size(relid) > 0))
"""


def empty_what_was_written(_test_case: Any) -> None:
    """Leave the tables of all models as they are in a fresh database."""
    models = set(connection.introspection.django_table_names(only_existing=True, include_views=False)) - KEPT
    quote = connection.ops.quote_name
    with connection.cursor() as cursor:
        cursor.execute(WRITTEN, [sorted(map(quote, models))])
        written = [quote(name) for (name,) in cursor.fetchall()]
        if written:
            cursor.execute(f"TRUNCATE {', '.join(written)} CASCADE")  # empty ones that point to these, too
