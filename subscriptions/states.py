"""The states of a subscription and the moves between them, in the words the database knows them by."""

LIVE = ("incomplete", "trialing", "active", "past_due")
RUNNING = ("trialing", "active", "past_due")
TERMINAL = ("cancelled", "expired")

# How a subscription may begin, and where it may go from where it stands; the database refuses every other move.
BEGINNINGS = ("incomplete", "trialing", "active")
TRANSITIONS: dict[str, frozenset[str]] = {
    "incomplete": frozenset({"active", "expired", "cancelled"}),
    "trialing": frozenset({"active", "past_due", "expired", "cancelled"}),
    "active": frozenset({"active", "past_due", "expired", "cancelled"}),
    "past_due": frozenset({"active", "expired", "cancelled"}),
    "cancelled": frozenset(),
    "expired": frozenset(),
}
