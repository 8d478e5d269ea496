"""The story: a creator, a fan and somebody without money, and every promise checked where a person would see it."""

import io
from collections.abc import Callable
from dataclasses import dataclass, field
from http import HTTPStatus

from PIL import Image

from devstack.demo.people import Json, Person, UnexpectedAnswerError, eventually, photo
from devstack.output import Output

MONTHLY = {"amount": 500, "currency": "USD"}
PRICE = {"amount": 300, "currency": "USD"}
TIP = 250
WEB_WIDTH = 1280
EXPECTED_MONTHLY = {"expected_amount": 500, "expected_currency": "USD"}
EXPECTED_PRICE = {"expected_amount": 300, "expected_currency": "USD"}


@dataclass(slots=True)
class Story:
    """Plays the acts in order; `missing` names every effect that did not come."""

    base_url: str
    output: Output
    seen: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    people: dict[str, Person] = field(default_factory=dict)
    posts: dict[str, str] = field(default_factory=dict)
    tier: Json = field(default_factory=dict)
    subscription: str = ""

    def play(self) -> None:
        """All acts; one that cannot go on is itself a missing effect."""
        acts = [
            self.the_creator_opens,
            self.the_fan_is_refused,
            self.the_fan_subscribes,
            self.the_fan_buys_a_post,
            self.the_fan_is_generous,
            self.a_card_is_declined,
            self.the_creator_changes_things,
            self.the_creator_deletes_a_post,
            self.the_creator_gives_money_back,
            self.the_fan_leaves,
        ]
        for act in acts:
            self.tell(act.__name__.replace("_", " "))
            try:
                act()
            except UnexpectedAnswerError as error:
                self.missing.append(f"{act.__name__.replace('_', ' ')}: {error}")
                return

    def the_creator_opens(self) -> None:
        """Mia makes a tier and three posts, one of them with a photo."""
        mia = self.enter("Mia", "mia@example.com")
        mia.post("/me/creator-profile", {"handle": "mia"}, key=False)
        mia.sign_in()
        price = {"interval": "month", **MONTHLY}
        self.tier = mia.post("/tiers", {"name": "Backstage", "benefits": ["Photos"], "prices": [price]})
        picture = mia.upload(photo((200, 80, 40)))
        self.await_effect(
            "the photo is processed into variants", lambda: mia.get(f"/media/{picture}")["status"] == "ready"
        )
        texts = {"public": {}, "subscribers": {}, "ppv": {"price": PRICE, "media_ids": [picture]}}
        for visibility, extra in texts.items():
            self.posts[visibility] = self.publish(visibility, f"Words for {visibility}", **extra)

    def the_fan_is_refused(self) -> None:
        """Finn may read what is public, and sees locks on the rest."""
        finn = self.enter("Finn", "finn@example.com")
        self.await_effect("the public post can be read", lambda: self.can_read(finn, "public"))
        self.check("the subscribers' post is locked", self.is_locked(finn, "subscribers"))
        self.check("the post for sale is locked", self.is_locked(finn, "ppv"))
        problem = finn.refused("PUT", f"/posts/{self.posts['subscribers']}/like")
        self.check("a locked post cannot be liked", problem["code"] == "locked")

    def the_fan_subscribes(self) -> None:
        """Finn subscribes, and is let in when the money has come, not before."""
        finn = self.people["Finn"]
        method = finn.post("/payment-methods", {"token": "tok_ok"})["id"]
        self.posts["method"] = method
        self.subscription = self.subscribe(finn, method)["id"]
        self.await_effect("the payment made the subscription active", lambda: self.subscription_of(finn) == "active")
        self.await_effect("the fan reads the subscribers' post", lambda: self.can_read(finn, "subscribers"))
        self.check("the post for sale is still locked", self.is_locked(finn, "ppv"))

    def the_fan_buys_a_post(self) -> None:
        """Finn buys the single post and opens its photo."""
        finn = self.people["Finn"]
        self.await_effect("the post can be bought", lambda: self.is_known_to_payments(finn))
        body = {"post_id": self.posts["ppv"], "payment_method_id": self.posts["method"], **EXPECTED_PRICE}
        self.posts["purchase"] = finn.post("/post-purchases", body)["id"]
        self.await_effect("the buyer reads the bought post", lambda: self.can_read(finn, "ppv"))
        media = finn.get(f"/posts/{self.posts['ppv']}")["media"][0]["id"]
        address = finn.get(f"/posts/{self.posts['ppv']}/media/{media}/url", variant="web_1280")["url"]
        picture = Image.open(io.BytesIO(finn.bytes_of(address)))
        self.check("the photo opens, smaller, without EXIF", picture.width == WEB_WIDTH and not picture.getexif())

    def the_fan_is_generous(self) -> None:
        """Finn tips, likes, takes the like back, likes again, and comments."""
        finn, mia = self.people["Finn"], self.people["Mia"]
        post = self.posts["subscribers"]
        tip = {"recipient_id": mia.id, "post_id": post, "amount": TIP, "currency": "USD"}
        sent = finn.post("/tips", {**tip, "payment_method_id": self.posts["method"], "message": "Thank you!"})["id"]
        self.await_effect("the tip is paid", lambda: finn.get(f"/tips/{sent}")["status"] == "completed")
        self.await_effect("the creator sees the tip at her post", lambda: tips_of(mia, post) == TIP)
        finn.put(f"/posts/{post}/like")
        finn.delete(f"/posts/{post}/like")
        self.check("a like counts once", finn.put(f"/posts/{post}/like")["like_count"] == 1)
        finn.post(f"/posts/{post}/comments", {"body": "Wonderful."})
        self.check("the comment is there", len(mia.get(f"/posts/{post}/comments")["results"]) == 1)

    def a_card_is_declined(self) -> None:
        """Nora's card is refused: no access, and the subscription says why."""
        nora = self.enter("Nora", "nora@example.com")
        method = nora.post("/payment-methods", {"token": "tok_decline_hard"})["id"]
        subscription = self.subscribe(nora, method)["id"]
        path = f"/subscriptions/{subscription}"
        self.await_effect("the declined subscription expired", lambda: nora.get(path)["status"] == "expired")
        [payment] = nora.get("/payments", reference=subscription)["results"]
        self.check("the payment says that the card is expired", payment["failure_code"] == "expired_card")
        self.check("nobody gets in without paying", self.is_locked(nora, "subscribers"))

    def the_creator_changes_things(self) -> None:
        """Mia edits her tier and a post."""
        mia = self.people["Mia"]
        version = mia.get(f"/tiers/{self.tier['id']}")["version"]
        tier = mia.patch(f"/tiers/{self.tier['id']}", {"name": "Front row"}, version=version)
        self.check("the tier has its new name", tier["name"] == "Front row")
        post = f"/posts/{self.posts['public']}"
        changed = mia.patch(post, {"body": "New words"}, version=mia.get(post)["version"])
        self.check("the post has its new words", changed["body"] == "New words")

    def the_creator_deletes_a_post(self) -> None:
        """Mia deletes a post, and its photo goes with it."""
        mia = self.people["Mia"]
        picture = mia.upload(photo((40, 80, 200)))
        self.await_effect("the second photo is ready", lambda: mia.get(f"/media/{picture}")["status"] == "ready")
        post = self.publish("public", "Not for long", media_ids=[picture])
        mia.delete(f"/posts/{post}")
        self.check("the deleted post is gone", self.people["Finn"].status_of(f"/posts/{post}") == HTTPStatus.NOT_FOUND)
        self.await_effect("its photo is gone too", lambda: mia.status_of(f"/media/{picture}") == HTTPStatus.NOT_FOUND)

    def the_creator_gives_money_back(self) -> None:
        """Mia refunds the purchase, which takes the access back."""
        mia, finn = self.people["Mia"], self.people["Finn"]
        payment = finn.get(f"/post-purchases/{self.posts['purchase']}")["payment_id"]
        mia.post(f"/payments/{payment}/refunds", {"reason": "requested_by_customer"})
        status = f"/post-purchases/{self.posts['purchase']}"
        self.await_effect("the purchase is refunded", lambda: finn.get(status)["status"] == "refunded")
        self.await_effect("the refunded post is locked again", lambda: self.is_locked(finn, "ppv"))

    def the_fan_leaves(self) -> None:
        """Finn cancels; what is paid stays open to the end of the period."""
        finn = self.people["Finn"]
        cancelled = finn.post(f"/subscriptions/{self.subscription}/cancel", {"reason": "unused"})
        self.check("the subscription ends with its period", bool(cancelled["cancel_at_period_end"]))
        self.check("until then the fan still reads", self.can_read(finn, "subscribers"))

    def enter(self, name: str, email: str) -> Person:
        """Register somebody and sign them in."""
        self.people[name] = person = Person(self.base_url, name=name, email=email)
        return person

    def publish(self, visibility: str, body: str, **extra: object) -> str:
        """Let Mia publish a post; its id."""
        words = {"title": body, "body": body, "teaser": "A teaser", "visibility": visibility, "publish": True}
        return str(self.people["Mia"].post("/posts", {**words, **extra})["id"])

    def subscribe(self, person: Person, method: str) -> Json:
        """Subscribe to the tier; the answer, in which money is still due."""
        body = {"tier_id": self.tier["id"], "price_id": self.tier["prices"][0]["id"], "payment_method_id": method}
        answer = person.post("/subscriptions", {**body, **EXPECTED_MONTHLY})
        self.check(f"{person.name}'s subscription waits for its payment", answer["status"] == "incomplete")
        return answer

    def subscription_of(self, person: Person) -> str:
        """The status of the fan's subscription."""
        return str(person.get(f"/subscriptions/{self.subscription}")["status"])

    def is_known_to_payments(self, person: Person) -> bool:
        """Whether payments has heard that the post is on sale: it answers with a rule, not with 404."""
        body = {"post_id": self.posts["ppv"], "payment_method_id": self.posts["method"]}
        wrong = {"expected_amount": 1, "expected_currency": "USD"}
        return bool(person.refused("POST", "/post-purchases", {**body, **wrong})["code"] == "price_changed")

    def can_read(self, person: Person, post: str) -> bool:
        """Whether the post's text is shown to them."""
        return not person.get(f"/posts/{self.posts[post]}")["is_locked"]

    def is_locked(self, person: Person, post: str) -> bool:
        """Whether they see only the lock, and nothing of the text."""
        shown = person.get(f"/posts/{self.posts[post]}")
        return bool(shown["is_locked"]) and "body" not in shown

    def await_effect(self, what: str, condition: Callable[[], bool]) -> None:
        """Something that must come true soon."""
        self.check(what, eventually(condition))

    def check(self, what: str, is_true: bool) -> None:  # noqa: FBT001 - the condition itself
        """Something that must be true now."""
        (self.seen if is_true else self.missing).append(what)
        self.tell(f"  {'✓' if is_true else '✗ MISSING:'} {what}")

    def tell(self, line: str) -> None:
        """Print one line of the story."""
        self.output.write("story", line)


def tips_of(creator: Person, post: str) -> int:
    """What a post was tipped, as its creator sees it."""
    return sum(tip["amount"] for tip in creator.get(f"/posts/{post}")["tips"])
