"""Groups of subscription states, in the words the database knows them by."""

LIVE = ("incomplete", "trialing", "active", "past_due")
RUNNING = ("trialing", "active", "past_due")
TERMINAL = ("cancelled", "expired")
