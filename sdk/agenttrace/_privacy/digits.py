"""Card numbers, phone numbers and public IP addresses."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator
from typing import Final

from .match import Match, free_after, free_before

_RUN = re.compile(r"[0-9]+")
_DIGITS_ONLY = re.compile(r"[^0-9]")
# How the digits of a card are grouped when they are, by single spaces or dashes.
_GROUPS: Final = ((4, 4, 4, 4, 3), (4, 4, 4, 4), (4, 6, 5), (4, 6, 4), (4, 4, 5), (4, 4, 4))
_GROUP_FORMS: Final = tuple(
    re.compile("[0-9]{4}([ -])" + r"\1".join(f"[0-9]{{{size}}}" for size in sizes[1:])) for sizes in _GROUPS
)
# Nothing touches the end, and no fraction follows.
_CARD_END = re.compile(r"(?![A-Za-z0-9_-]|\.[0-9])")
_AFTER_FRACTION = re.compile(r"[0-9]\.")

_NATIONAL = re.compile(r"(?:1[- .])?(?:\([0-9]{3}\) ?[0-9]{3}-[0-9]{4}|[0-9]{3}-[0-9]{3}-[0-9]{4})")
_BETWEEN = re.compile(r"(?:\)[ -]| \(|[ .()-])(?=[0-9])")
_PHONE_START = re.compile(r"(?<![A-Za-z0-9_-])[+(0-9]")

_ADDRESS_RUN = re.compile(r"[0-9A-Fa-f.:]{4,}")
_VERSION_BEFORE = re.compile(r"(?:version|release|build| v)[ =:]*\Z", re.IGNORECASE)


def has(text: str, least: int) -> bool:
    """Whether the text has so many digits."""
    return len(text) >= least and sum(map(len, _RUN.findall(text))) >= least


# ---- cards


def cards(text: str) -> Iterator[Match]:
    """A brand's prefix with one of that brand's lengths, and a right check digit (Luhn).

    The digits of a fraction (`0.4111..`) are no card.
    """
    at = 0
    while run := _RUN.search(text, at):
        start, at = run.span()
        if not free_before(text, start) or (start > 1 and _AFTER_FRACTION.match(text, start - 2)):
            continue
        end = _grouped_card_end(text, start) if at - start == 4 else _card_end(text, start, at)  # noqa: PLR2004
        if end is not None:
            yield Match(start, end, "card")
            at = end


def _card_end(text: str, start: int, end: int) -> int | None:
    return end if _CARD_END.match(text, end) and _is_card(text[start:end]) else None


def _grouped_card_end(text: str, start: int) -> int | None:
    for form in _GROUP_FORMS:
        groups = form.match(text, start)
        if groups and _CARD_END.match(text, groups.end()) and _is_card(_DIGITS_ONLY.sub("", groups.group())):
            return groups.end()
    return None


def _is_card(digits: str) -> bool:
    return 12 <= len(digits) <= 19 and _has_brand(digits, len(digits)) and _has_check_digit(digits)  # noqa: PLR2004


# The first digits, from and to, and the lengths that a brand has behind them.
_BRANDS: Final = (
    ("2200", "2204", range(16, 20)),  # Mir
    ("2221", "2720", (16,)),  # Mastercard
    ("34", "34", (15,)),  # American Express
    ("37", "37", (15,)),
    ("36", "36", range(14, 20)),  # Diners Club
    ("38", "39", range(14, 20)),
    ("300", "305", range(14, 20)),
    ("3095", "3095", range(14, 20)),
    ("3528", "3589", range(16, 20)),  # JCB
    ("4", "4", (13, 16, 18, 19)),  # Visa
    ("51", "55", (16,)),  # Mastercard
    ("5018", "5020", range(12, 20)),  # Maestro, Dankort
    ("5038", "5038", range(12, 20)),
    ("5612", "5612", range(12, 20)),
    ("5893", "5893", range(12, 20)),
    ("506", "509", (16, 18, 19)),  # Verve, Elo, RuPay
    ("6304", "6304", range(12, 20)),  # Maestro
    ("6759", "6759", range(12, 20)),
    ("6761", "6763", range(12, 20)),
    ("60", "60", range(16, 20)),  # Discover, UnionPay, RuPay
    ("62", "62", range(16, 20)),
    ("64", "65", range(16, 20)),
    ("636", "639", range(16, 20)),  # InterPayment, InstaPayment, Elo
    ("81", "82", range(16, 20)),  # UnionPay, RuPay
    ("9792", "9792", (16,)),  # Troy
)


def _has_brand(digits: str, length: int) -> bool:
    return any(first <= digits[: len(first)] <= last and length in lengths for first, last, lengths in _BRANDS)


def _has_check_digit(digits: str) -> bool:
    total = 0
    for index, char in enumerate(reversed(digits)):
        digit = int(char) * (1 + index % 2)
        total += digit - 9 if digit > 9 else digit  # noqa: PLR2004
    return total % 10 == 0


# ---- phones


def phones(text: str) -> Iterator[Match]:
    """`+` and 8 to 15 digits, single separators between groups; `(ddd) ddd-dddd`, `ddd-ddd-dddd`, `1-` before them."""
    at = 0
    while start := _PHONE_START.search(text, at):
        at = start.start()
        end = _international_end(text, at) if text[at] == "+" else _national_end(text, at)
        if end is None:
            at += 1
        else:
            yield Match(at, end, "phone")
            at = end


def _international_end(text: str, start: int) -> int | None:
    at, digits, found = start + 1, 0, None
    while True:
        run = _RUN.match(text, at, start + 17 + (at - start))
        group = 0 if run is None else run.end() - at
        digits += group
        at += group
        if group == 0 or digits > 15:  # noqa: PLR2004 - the contract's number
            return found
        if digits >= 8 and free_after(text, at):  # noqa: PLR2004 - the contract's number
            found = at
        # The country code has at most three digits, unless all digits stand together.
        if at - start - 1 == group and group > 3:  # noqa: PLR2004
            return found
        between = _BETWEEN.match(text, at)
        if between is None:
            return found
        at = between.end()


def _national_end(text: str, start: int) -> int | None:
    number = _NATIONAL.match(text, start)
    return number.end() if number and free_after(text, number.end()) else None


# ---- addresses of machines


def addresses(text: str) -> Iterator[Match]:
    """Public IP addresses. Those of private and local networks stay, for they name no person; so do versions."""
    for run in _ADDRESS_RUN.finditer(text):
        match = _address_in(text, run.start(), run.group())
        if match is not None:
            yield match


def _address_in(text: str, start: int, run: str) -> Match | None:
    """A public address in a run of hex digits, dots and colons: the run, or what stands before or behind a `:`."""
    run = run.rstrip(".")
    candidates = [(start, run), (start, run.removesuffix(":"))]
    if ":" in run:
        candidates.append((start, run.partition(":")[0].rstrip(".")))
        behind = run.rpartition(":")[2]
        candidates.append((start + len(run) - len(behind), behind))
    for at, address in candidates:
        end = at + len(address)
        if _is_public(text[:at], address) and free_before(text, at) and free_after(text, end):
            return Match(at, end, "ip")
    return None


def _is_public(before: str, address: str) -> bool:
    try:
        if ":" in address:
            six = ipaddress.IPv6Address(address)
            four = six.ipv4_mapped
            # Global unicast is 2000::/3.
            return int(six) >> 125 == 1 if four is None else _is_public_v4(four)
        return _is_public_v4(ipaddress.IPv4Address(address)) and not _VERSION_BEFORE.search(before)
    except ValueError:
        return False


_LOCAL: Final = tuple(
    map(
        ipaddress.IPv4Network,
        (
            "0.0.0.0/8",
            "10.0.0.0/8",
            "100.64.0.0/10",
            "127.0.0.0/8",
            "169.254.0.0/16",
            "172.16.0.0/12",
            "192.168.0.0/16",
        ),
    )
)


def _is_public_v4(address: ipaddress.IPv4Address) -> bool:
    return int(address) >> 24 < 224 and not any(address in network for network in _LOCAL)  # noqa: PLR2004 - multicast
