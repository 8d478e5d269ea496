import pytest

from api.exceptions import AmountOutOfRangeError, CurrencyNotSupportedError
from api.money import Money, exponent_of, limits_of, require_in_range
from api.serializers import MoneyField
from tests.api.probe import Input

INVISIBLE = ["\x00", "\x07", "\x1b", "\x7f", "\x85", "\u200b", "\u200e", "\u202e", "\u2066", "\u2028", "\ufeff"]


def errors_of(data):
    given = Input(data=data)
    assert not given.is_valid()
    return given.errors


def values_of(data):
    given = Input(data=data)
    given.is_valid(raise_exception=True)
    return given.validated_data


def test_unknown_and_read_only_names_are_reported_beside_the_other_errors():
    assert errors_of({"id": "1", "titel": "x", "inner": {"name": "ok", "extra": 1}}) == {
        "title": ["This field is required."],
        "inner": {"extra": ["unknown field"]},
        "id": ["unknown field"],
        "titel": ["unknown field"],
    }
    assert errors_of({"title": "ok", "more": 1}) == {"more": ["unknown field"]}


@pytest.mark.parametrize("data", [[], "text", 1, None])
def test_what_is_no_object_is_refused(data):
    assert set(errors_of(data)) == {"non_field_errors"}


@pytest.mark.parametrize("character", INVISIBLE)
def test_text_holds_nothing_invisible(character):
    assert set(errors_of({"title": f"a{character}b"})) == {"title"}
    assert set(errors_of({"title": "ok", "body": f"a{character}b"})) == {"body"}


def test_text_is_normalised_and_trimmed_before_it_is_measured():
    assert values_of({"title": "  cafe\u0301s \n"})["title"] == "cafés"
    assert values_of({"title": "ok", "body": " one\r\ntwo\tx "})["body"] == "one\ntwo\tx"
    assert errors_of({"title": "abcdef"}) == {"title": ["Ensure this field has no more than 5 characters."]}
    assert errors_of({"title": "a\nb"}) == {"title": ["Only one line is allowed."]}
    assert errors_of({"title": " "}) == {"title": ["This field may not be blank."]}
    assert set(errors_of({"title": 5})) == set(errors_of({"title": True})) == {"title"}


@pytest.mark.parametrize(
    "price",
    [
        1299,
        "12.99",
        None,
        [],
        {},
        {"amount": 1299},
        {"amount": 1299, "currency": "USD", "more": 1},
        {"amount": 12.99, "currency": "USD"},
        {"amount": 1299.0, "currency": "USD"},
        {"amount": "1299", "currency": "USD"},
        {"amount": True, "currency": "USD"},
        {"amount": -1, "currency": "USD"},
        {"amount": 10**16, "currency": "USD"},
        {"amount": 1299, "currency": "usd"},
        {"amount": 1299, "currency": "USD "},
        {"amount": 1299, "currency": 840},
    ],
)
def test_money_is_whole_minor_units_and_a_code(price):
    assert set(errors_of({"title": "ok", "price": price})) == {"price"}


@pytest.mark.parametrize("amount", [1.0, "1", True, -1, 10**16])
def test_a_bare_amount_is_as_strict(amount):
    assert set(errors_of({"title": "ok", "amount": amount})) == {"amount"}


def test_money_goes_in_and_out_alike():
    price = {"amount": 1299, "currency": "KWD"}
    money = values_of({"title": "ok", "price": price})["price"]

    assert money == Money(amount=1299, currency="KWD")
    assert MoneyField().to_representation(money) == price


def test_money_may_stand_in_two_columns_of_any_name():
    class Row:
        price_amount, price_currency = 5, "JPY"

    class Free:
        price_amount, price_currency = None, None

    field = MoneyField(amount="price_amount", currency="price_currency", source="*")
    assert field.to_representation(Row()) == {"amount": 5, "currency": "JPY"}
    assert field.to_representation(Free()) is None


@pytest.mark.parametrize("currency", ["XXX", "BTC", "usd", "", "USD "])
def test_a_currency_nobody_handles_is_no_money(currency):
    with pytest.raises(CurrencyNotSupportedError):
        Money(amount=1, currency=currency)


def test_an_unknown_currency_in_a_price_is_422_and_not_400():
    with pytest.raises(CurrencyNotSupportedError) as refusal:
        Input(data={"title": "ok", "price": {"amount": 1, "currency": "XXX"}}).is_valid()
    assert (refusal.value.status, refusal.value.code) == (422, "currency_not_supported")


@pytest.mark.parametrize("amount", [1.0, "1", True, None])
def test_money_counts_in_whole_units_only(amount):
    with pytest.raises(TypeError):
        Money(amount=amount, currency="USD")


@pytest.mark.parametrize(("currency", "exponent"), [("USD", 2), ("JPY", 0), ("KWD", 3)])
def test_each_currency_knows_its_decimals(currency, exponent):
    assert exponent_of(currency) == exponent


def test_a_payment_is_neither_too_small_nor_too_large(settings):
    settings.MONEY_LIMITS = {"default": (50, 1000), "JPY": (5, 10)}

    assert (limits_of("USD").minimum, limits_of("JPY").maximum) == (50, 10)
    assert [require_in_range(amount=a, currency="USD").amount for a in (50, 1000)] == [50, 1000]
    for amount, currency in [(49, "USD"), (1001, "USD"), (4, "JPY"), (11, "JPY"), (0, "USD"), (-50, "USD")]:
        with pytest.raises(AmountOutOfRangeError):
            require_in_range(amount=amount, currency=currency)
