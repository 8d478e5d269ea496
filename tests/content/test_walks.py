"""A walk through a list that is made of several: every post once, there and back, in one order."""

from datetime import timedelta

import pytest
from django.utils import timezone
from uuid_utils.compat import uuid7

from content import selectors
from content.models.posts import Post
from tests.content import factories

POSTS = 31


@pytest.fixture
def posts_of_three(fan, creator_id):
    """Of three creators in turn, in pairs of one moment, public and locked; the newest first."""
    creators = [creator_id, *(uuid7() for _ in range(2))]
    now = timezone.now()
    for number in range(POSTS):
        post = factories.published_post(
            creators[number % 3], visibility=("public", "subscribers")[number % 2], title="Harbour"
        )
        Post.objects.filter(pk=post.pk).update(published_at=now - timedelta(minutes=number // 2))
    for creator in creators[:2]:
        factories.subscription(fan.pk, creator)
    return [(str(post.pk), post.creator_id in creators[:2]) for post in Post.objects.order_by("-published_at", "-id")]


def walk(client, address, direction):
    """The pages from this address on, and the last page's answer."""
    pages = []
    while address:
        answer = client.get(address).json()
        pages.append([row["id"] for row in answer["results"]])
        address, last = answer[direction], answer
    return pages, last


@pytest.mark.parametrize("newest", [3, 500], ids=["mostly by the indexes", "all among the newest"])
@pytest.mark.parametrize("address", ["/api/v1/feed?page_size=4", "/api/v1/posts/search?q=harbour&page_size=4"])
def test_there_and_back_is_every_post_once_in_order(fan_client, posts_of_three, address, newest, monkeypatch):
    monkeypatch.setattr(selectors, "NEWEST", newest)
    wanted = [pk for pk, is_followed in posts_of_three if is_followed or "search" in address]

    there, last = walk(fan_client, address, "next")
    back, _ = walk(fan_client, last["previous"], "previous")

    assert [pk for page in there for pk in page] == wanted
    assert [*reversed(back), there[-1]] == there
