"""A file's page in the admin: its story from the upload to its end, with ways to what it touched."""

from django.urls import reverse
from uuid_utils.compat import uuid7

from eventbus.testing import deliver
from media.admin import CHAPTERS
from media.models.assets import MediaAsset
from tests.media.factories import post_created, processed


def page_of(office, asset):
    return office.get(reverse("admin:media_mediaasset_change", args=[asset.pk])).content.decode()


def test_every_column_has_its_place_in_the_story_once():
    placed = [name for names in CHAPTERS.values() for name in names]
    columns = {field.name for field in MediaAsset._meta.concrete_fields}

    assert len(placed) == len(set(placed))
    assert set(placed) - columns == {"thumbnail", "posts", "told", "untold", "unheard"}
    assert columns <= set(placed)


def test_a_files_page_shows_its_picture_variants_posts_and_events(office):
    asset, post_id = processed(), uuid7()
    deliver(post_created(post_id, [asset]), to="media")

    page = page_of(office, asset)

    assert reverse("admin:media_asset_thumbnail", args=[asset.pk]) in page
    for variant in asset.variants.all():
        assert variant.storage_key in page
    assert reverse("admin:content_post_change", args=[post_id]) in page
    for events in ("journalevent", "outboxevent", "parkedevent"):
        assert f"{reverse(f'admin:eventbus_{events}_changelist')}?q={asset.pk}" in page


def test_a_file_that_was_refused_says_why(office):
    asset = processed()
    MediaAsset.objects.filter(pk=asset.pk).update(upload_refusal="checksum_mismatch")

    assert "checksum_mismatch" in page_of(office, asset)
    assert "checksum_mismatch" not in page_of(office, processed())
