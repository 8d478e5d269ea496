"""What a post is found by, as PostgreSQL keeps it in its indexes.

Words as they are written: posts are in any language, and the rules of one would cripple the others.
"""

import re

from django.contrib.postgres.search import SearchQuery, SearchVector
from django.db.models import Case, F, Value, When

CONFIG = "simple"
# What anyone may know of a published post, and so all that a locked one is found by.
PUBLIC_WORDS = SearchVector(
    Case(When(title_is_public=True, then=F("title")), default=Value("")), "teaser", config=CONFIG
)
ALL_WORDS = SearchVector("title", "teaser", "body", config=CONFIG)


# A minus excludes where it stands alone before a word or a phrase; PostgreSQL's parser stumbles over a row of them.
IDLE_MINUS = re.compile(r"-(?![\w\"])|(?<=\S)-(?=\")")


def query_of(words: str) -> SearchQuery:
    """A query as people type it: words, "a phrase", -without, or."""
    return SearchQuery(IDLE_MINUS.sub(" ", words), search_type="websearch", config=CONFIG)
