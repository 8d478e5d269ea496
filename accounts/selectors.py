"""What the rooms above may ask about people."""

from collections.abc import Collection, Iterable
from uuid import UUID

from django.db.models import Q, QuerySet

from accounts.models import DEFAULT_GRACE_DAYS, Block, CreatorProfile, User


def user(user_id: UUID) -> User:
    """The user, their creator profile read along; raises User.DoesNotExist."""
    return User.objects.select_related("creator_profile").get(pk=user_id)


def is_creator(user_id: UUID) -> bool:
    """Whether this user is a creator who may act."""
    return visible_creators().filter(pk=user_id).exists()


def is_active(user_id: UUID) -> bool:
    """Whether this user exists and may act: neither closed nor suspended."""
    return User.objects.filter(pk=user_id, is_active=True, is_suspended=False).exists()


def grace_days_of(creator_id: UUID) -> int:
    """How many days of grace the creator gives a fan whose payment failed."""
    days = CreatorProfile.objects.filter(pk=creator_id).values_list("grace_days", flat=True).first()
    return DEFAULT_GRACE_DAYS if days is None else days


def display_names(user_ids: Iterable[UUID]) -> dict[UUID, str]:
    """The names to show for these users, in one query; who does not exist is left out."""
    return dict(User.objects.filter(pk__in=set(user_ids)).values_list("pk", "display_name"))


def creator_profile(handle_or_id: str | UUID) -> CreatorProfile:
    """The public profile of a creator; raises CreatorProfile.DoesNotExist, also for one who is suspended."""
    creators = visible_creators()
    creator_id = uuid_or_none(handle_or_id)
    if creator_id is not None:
        return creators.get(pk=creator_id)
    return creators.get(handle=str(handle_or_id).lower())


def visible_creators() -> QuerySet[CreatorProfile]:
    """The creators that anyone may see, their users read along."""
    return CreatorProfile.objects.select_related("user").filter(user__is_active=True, user__is_suspended=False)


def blocks_of(user_id: UUID) -> QuerySet[Block]:
    """Whom this user blocks, their names read along; never who blocks this user."""
    return Block.objects.select_related("blocked").filter(blocker=user_id)


def is_blocked_between(one: UUID, other: UUID) -> bool:
    """Whether either of the two blocks the other."""
    return Block.objects.filter(Q(blocker=one, blocked=other) | Q(blocker=other, blocked=one)).exists()


def blocked_pairs(pairs: Collection[tuple[UUID, UUID]]) -> set[tuple[UUID, UUID]]:
    """Those of these pairs of whom either blocks the other, in one query."""
    ones, others = {one for one, _ in pairs}, {other for _, other in pairs}
    blocks = set(
        Block.objects.filter(
            Q(blocker__in=ones, blocked__in=others) | Q(blocker__in=others, blocked__in=ones)
        ).values_list("blocker_id", "blocked_id")
    )
    return {(one, other) for one, other in pairs if (one, other) in blocks or (other, one) in blocks}


def blocked_with(user_id: UUID) -> QuerySet[Block, UUID]:
    """The ids of whom this user blocks and of who blocks this user, for `creator_id__in` and its like."""
    made = Block.objects.filter(blocker=user_id).values_list("blocked_id", flat=True)
    return made.union(Block.objects.filter(blocked=user_id).values_list("blocker_id", flat=True))


def uuid_or_none(text: str | UUID) -> UUID | None:
    """The id, if the text is one."""
    if isinstance(text, UUID):
        return text
    try:
        return UUID(text)
    except ValueError:
        return None
