"""The posts of many creators and what many readers hold, written by the database itself."""

from uuid import UUID

from django.db import connection

READER_HOLDS = 100  # four subscriptions to each purchase
CREATOR_WROTE = 125  # so that a feed has 10,000 posts
QUIET_READERS, QUIET_HOLDS = 100, 5  # of those who wrote the oldest tenth of the posts, and nothing since
CREATOR, POST, READER, QUIET_READER = 1, 2, 3, 6
WROTE = "CASE WHEN n < %(posts)s * 0.9 THEN n %% %(creators)s ELSE %(creators)s + n %% %(quiet)s END"

POSTS = f"""
INSERT INTO content_post (id, creator_id, status, moderation, content_type, title, title_is_public, body, teaser,
                          visibility, price_amount, price_currency, price_version, published_at, comments_enabled,
                          like_count, comment_count, sequence, version, created_at, updated_at)
SELECT pg_temp.id_of(2, n), pg_temp.id_of(1, {WROTE}), 'published', 'clear', 'text', 'walk ' || n, true,
       'story word' || n %% 5000, 'teaser', shown,
       CASE shown WHEN 'ppv' THEN 500 END, CASE shown WHEN 'ppv' THEN 'USD' END, 1,
       moment, true, 0, 0, 1, 1, moment, moment
  FROM (SELECT n, (ARRAY['public', 'subscribers', 'tiers', 'ppv'])[1 + n / %(creators)s %% 4] shown,
               now() - n * interval '1 second' AS moment
          FROM generate_series(0, %(posts)s - 1) n) made
"""
TIERS = """
INSERT INTO content_tierref (tier_id, creator_id, name, status, source_sequence)
SELECT pg_temp.id_of(4, n), pg_temp.id_of(1, n), 'Gold', 'active', 1
  FROM generate_series(0, %(creators)s + %(quiet)s - 1) n
"""
POST_TIERS = f"""
INSERT INTO content_posttier (post_id, tier_id)
SELECT pg_temp.id_of(2, n), pg_temp.id_of(4, {WROTE}) FROM generate_series(0, %(posts)s - 1) n
 WHERE n / %(creators)s %% 4 = 2
"""
ENTITLEMENTS = """
INSERT INTO content_entitlement (id, kind, source_id, user_id, creator_id, tier_id, post_id, valid_from, valid_until,
                                 source_sequence, updated_at)
SELECT made.id, kind, made.id, pg_temp.id_of(3, n / 100), pg_temp.id_of(1, other %% %(creators)s),
       CASE kind WHEN 'subscription' THEN pg_temp.id_of(4, other %% %(creators)s) END,
       CASE kind WHEN 'purchase' THEN pg_temp.id_of(2, other %% %(posts)s) END,
       now() - interval '1 day', CASE kind WHEN 'subscription' THEN now() + interval '30 days' END, 1, now()
  FROM (SELECT n, pg_temp.id_of(5, n) id, CASE WHEN n %% 5 = 4 THEN 'purchase' ELSE 'subscription' END kind,
               n / 100 * 7919 + n %% 100 * 61 other
          FROM generate_series(0::bigint, %(entitlements)s - 1) n) made
"""
QUIET_SUBSCRIPTIONS = """
INSERT INTO content_entitlement (id, kind, source_id, user_id, creator_id, tier_id, valid_from, valid_until,
                                 source_sequence, updated_at)
SELECT pg_temp.id_of(7, n), 'subscription', pg_temp.id_of(7, n), pg_temp.id_of(6, n / %(quiet_holds)s),
       pg_temp.id_of(1, %(creators)s + n), pg_temp.id_of(4, %(creators)s + n),
       now() - interval '1 day', now() + interval '30 days', 1, now()
  FROM generate_series(0, %(quiet)s - 1) n
"""


def id_of(kind: int, number: int) -> UUID:
    """The same as the function of that name in the database."""
    return UUID(f"{kind:08x}-0000-7000-8000-{number:012x}")


def fill(*, posts: int) -> int:
    """So many posts, and ten times as many entitlements; how many readers hold them."""
    entitlements = posts * 10
    sizes = {
        "posts": posts,
        "entitlements": entitlements,
        "creators": max(READER_HOLDS, posts // CREATOR_WROTE),
        "quiet": QUIET_READERS * QUIET_HOLDS,
        "quiet_holds": QUIET_HOLDS,
    }
    with connection.cursor() as cursor:
        cursor.execute(
            "CREATE FUNCTION pg_temp.id_of(kind int, number bigint) RETURNS uuid IMMUTABLE LANGUAGE sql AS $$ SELECT "
            "(lpad(to_hex(kind), 8, '0') || '-0000-7000-8000-' || lpad(to_hex(number), 12, '0'))::uuid $$"
        )
        for statement in (TIERS, POSTS, POST_TIERS, ENTITLEMENTS, QUIET_SUBSCRIPTIONS):
            cursor.execute(statement, sizes)
        cursor.execute("VACUUM ANALYZE")
    return entitlements // READER_HOLDS
