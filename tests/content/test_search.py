"""Posts are found by what the viewer may read of them, and a locked one tells nothing by being found or not."""

from datetime import timedelta

import pytest
from django.utils import timezone
from hypothesis import given, settings
from hypothesis import strategies as st
from uuid_utils.compat import uuid7

from content import selectors, views
from content.access import ANONYMOUS, Viewer
from content.models.posts import Post
from content.selectors import found_posts
from content.services.lifecycle import withdraw_post
from content.services.moderation import moderate_post
from tests.content import factories
from tests.content.pages import first_page

TEXTS = {"title": "Harbour lights", "teaser": "An evening walk", "body": "We met the lighthouse keeper"}


def titles(words: str, viewer: Viewer = ANONYMOUS) -> list[str]:
    return [post.title for post in first_page(viewer, *found_posts(words, viewer, timezone.now()))]


@pytest.mark.parametrize(
    ("words", "is_found"),
    [
        ("harbour", True),
        ("HARBOUR Keeper", True),
        ("evening lighthouse", True),
        ('"lighthouse keeper"', True),
        ('"keeper lighthouse"', False),
        ("keeper -evening", False),
        ("keeper -morning", True),
        ("captain or keeper", True),
        ("captain", False),
        ("light", False),
    ],
)
def test_a_post_one_may_read_is_found_by_all_its_words(creator_id, words, is_found):
    factories.published_post(creator_id, **TEXTS)

    assert titles(words) == (["Harbour lights"] if is_found else [])


@pytest.mark.parametrize("visibility", ["subscribers", "tiers", "ppv"])
@pytest.mark.parametrize(
    ("words", "is_found"),
    [
        ("harbour", True),
        ("evening walk", True),
        ("lighthouse", False),
        ("harbour lighthouse", False),
        ('"lighthouse keeper"', False),
        # Both: were the body asked, the first would say that it does not hold the word, the second that it does.
        ("harbour -captain", True),
        ("harbour -lighthouse", True),
        ("captain or lighthouse", False),
    ],
)
def test_a_locked_post_is_found_by_what_anyone_sees_of_it(creator_id, visibility, words, is_found):
    more = {
        "subscribers": {},
        "tiers": {"tier_ids": [factories.tier(creator_id).pk]},
        "ppv": {"price": factories.PRICE},
    }[visibility]
    factories.published_post(creator_id, visibility=visibility, **TEXTS, **more)

    for viewer in (ANONYMOUS, Viewer(user_id=uuid7())):
        assert titles(words, viewer) == (["Harbour lights"] if is_found else [])


def test_a_title_kept_for_readers_finds_nothing_for_others(creator_id, reader):
    factories.published_post(creator_id, visibility="subscribers", title_is_public=False, **TEXTS)
    factories.subscription(reader.user_id, creator_id)

    assert titles("harbour") == []
    assert titles("harbour", reader) == ["Harbour lights"]


def test_access_opens_the_body_to_the_search(creator_id, creator, reader, stranger):
    post = factories.published_post(creator_id, visibility="ppv", price=factories.PRICE, **TEXTS)
    factories.purchase(reader.user_id, post)

    assert [titles("keeper", viewer) for viewer in (creator, reader, stranger)] == [[post.title], [post.title], []]
    assert titles("harbour -keeper", reader) == []


def test_only_what_is_out_is_found(creator_id, creator):
    factories.draft(creator_id, **TEXTS)
    hidden, withdrawn = (factories.published_post(creator_id, **TEXTS) for _ in range(2))
    moderate_post(post_id=hidden.pk, moderation="hidden", actor_id=uuid7())
    withdraw_post(post_id=withdrawn.pk, creator_id=creator_id)

    for viewer in (ANONYMOUS, creator, Viewer(user_id=uuid7(), is_moderator=True)):
        assert titles("harbour", viewer) == []


def test_any_language_is_searched_by_its_words(creator_id):
    factories.published_post(creator_id, title="Über die Brücke", body="Привет, мир")

    assert titles("brücke") == titles("ПРИВЕТ") == ["Über die Brücke"]


# Over HTTP


@pytest.mark.parametrize(
    "words", ["", "a", "?!", "x" * 101, "nul\x00", "- - -", "\u202eharbour", '""', "\ud800"], ids=repr
)
def test_what_is_no_word_is_refused(guest_client, words):
    answer = guest_client.get("/api/v1/posts/search", {"q": words.encode("utf-8", "surrogatepass")})

    assert (answer.status_code, answer.json()["code"], list(answer.json()["errors"])) == (
        400,
        "validation_error",
        ["q"],
    )


def test_q_is_required(guest_client):
    answer = guest_client.get("/api/v1/posts/search")

    assert (answer.status_code, list(answer.json()["errors"])) == (400, ["q"])


@pytest.mark.parametrize(
    "words",
    [
        "harbour & | ! <-> (",
        "harbour' OR 1=1 --",
        "harbour:*",
        "-" * 50 + "harbour",
        "or " * 30 + "x",
        '"harbour',
        "%_\\a",
    ],
)
def test_signs_are_no_operators(guest_client, creator_id, words):
    factories.published_post(creator_id, **TEXTS)

    assert guest_client.get("/api/v1/posts/search", {"q": words}).status_code == 200


@given(st.text(alphabet="-\"'() &|!:*<>\\orx", max_size=100))
@settings(max_examples=200, deadline=None)
def test_no_row_of_signs_breaks_the_parser(words):
    assert titles(words) == []


def test_pages_are_complete_and_newest_first_while_posts_come_and_go(guest_client, creator_id):
    posts = [factories.published_post(creator_id, title=f"Harbour {n}") for n in range(45)]
    for age, post in enumerate(posts):
        Post.objects.filter(pk=post.pk).update(published_at=timezone.now() - timedelta(minutes=age // 3))
    gone = posts[44]
    seen, address = [], "/api/v1/posts/search?q=harbour"
    while address:
        page = guest_client.get(address).json()
        seen += [row["id"] for row in page["results"]]
        factories.published_post(creator_id, title="Harbour new")
        withdraw_post(post_id=gone.pk, creator_id=creator_id) if len(seen) == 20 else None
        address = page["next"]

    there_all_the_time = {str(post.pk) for post in posts} - {str(gone.pk)}
    assert len(seen) == len(set(seen))
    assert set(seen) >= there_all_the_time
    assert str(gone.pk) not in seen


def test_a_search_that_takes_too_long_is_refused_and_says_what_to_do(guest_client, creator_id, monkeypatch):
    factories.published_post(creator_id, **TEXTS)
    monkeypatch.setattr(views, "LONGEST_SEARCH", timedelta(milliseconds=100))
    monkeypatch.setattr(selectors, "listed_posts", slowly(selectors.listed_posts))

    answer = guest_client.get("/api/v1/posts/search?q=harbour")

    assert (answer.status_code, answer.json()["code"]) == (422, "search_too_wide")
    assert guest_client.get("/api/v1/posts").status_code == 200  # only the search was bounded, and is over


def slowly(listed_posts):
    """The same posts, each after a second."""
    return lambda viewer: listed_posts(viewer).extra(where=["pg_sleep(1) IS NOT NULL"])


def test_a_locked_answer_shows_the_locked_view(fan_client, creator_id):
    factories.published_post(creator_id, visibility="subscribers", **TEXTS)

    [row] = fan_client.get("/api/v1/posts/search?q=harbour").json()["results"]

    assert row["is_locked"] is True
    assert "keeper" not in str(row)
