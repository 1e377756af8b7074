"""Limits as people write them: exact numbers, and one line on what is wrong."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from profiler.errors import ConfigError
from profiler.limits import PREFIXES, Certainty, Limit, Verdict, parse_limit, parse_tolerance


@pytest.mark.parametrize(
    ("written", "most"),
    [
        ("4.1G", 41 * 10**8),
        ("4.1e9", 41 * 10**8),
        ("4.1E+9", 41 * 10**8),
        ("<= 4.1G", 41 * 10**8),
        ("≤4.1 G", 41 * 10**8),
        (4.1e9, 41 * 10**8),
        (26_000_000, 26 * 10**6),
        ("61,100,840", 61_100_840),
        ("1_000", 1000),
        (".5k", 500),
        ("2T", 2 * 10**12),
        ("0.3P", 3 * 10**14),
        (0, 0),
        ("9007199254740993", 2**53 + 1),
        ("9.007199254740993P", 2**53 + 1),
        ("123456789012345678901234567890", 123456789012345678901234567890),
    ],
)
def test_a_number_is_the_largest_allowed_value(written: object, most: int) -> None:
    """It is exact, also above what floating-point numbers can hold."""
    limit = parse_limit(written, "macs")
    assert limit == Limit(limit.text, most=Fraction(most))
    assert limit.judge(most) == "kept"
    assert limit.judge(most + 1) == "over"


@pytest.mark.slow
@given(st.decimals(0, 10**6, places=6), st.sampled_from(sorted(PREFIXES)))
def test_prefixes_are_exact_powers_of_ten(number: Decimal, prefix: str) -> None:
    """Every decimal number times its prefix is the written number."""
    assert parse_limit(f"{number:f}{prefix}", "macs").most == Fraction(number) * 10 ** PREFIXES[prefix]


@pytest.mark.parametrize(
    ("written", "kept", "wrong"),
    [
        ("< 5", 4, {5: "over", 6: "over"}),
        ("<= 5", 5, {6: "over"}),
        ("> 5", 6, {5: "below", 4: "below"}),
        (">= 5", 5, {4: "below"}),
        ("== 5", 5, {4: "below", 6: "over"}),
        ("5..7", 6, {4: "below", 8: "over"}),
        ("5 .. 5", 5, {4: "below", 6: "over"}),
        ("2.5", 2, {3: "over"}),
    ],
)
def test_limits_on_both_sides(written: str, kept: int, wrong: dict[int, Verdict]) -> None:
    """Ends of ranges are allowed values; those of < and > are not."""
    limit = parse_limit(written, "macs")
    assert limit.judge(kept) == "kept"
    for figure, verdict in wrong.items():
        assert limit.judge(figure) == verdict


@pytest.mark.parametrize(
    ("written", "figure", "certainty", "verdict"),
    [
        ("<= 5", 6, "at least", "over"),
        ("<= 5", 5, "at least", "not proven"),
        ("< 5", 5, "at least", "over"),
        (">= 5", 5, "at least", "kept"),
        (">= 5", 4, "at least", "not proven"),
        ("> 5", 5, "at least", "not proven"),
        ("5..7", 6, "at least", "not proven"),
        ("5..7", 8, "at least", "over"),
        ("<= 5", 6, "unknown", "not proven"),
        (">= 5", 6, "unknown", "not proven"),
    ],
)
def test_a_lower_bound_proves_only_what_follows_from_it(
    written: str, figure: int, certainty: Certainty, verdict: Verdict
) -> None:
    """Too much is too much; not too much, and too little, may still become more."""
    assert parse_limit(written, "macs").judge(figure, certainty) == verdict


@pytest.mark.parametrize(
    ("written", "least", "most"),
    [
        ("<= 40 %", None, Fraction(2, 5)),
        ("40%", None, Fraction(2, 5)),
        ("99.999 %", None, Fraction(99999, 100000)),
        (">= .5 %", Fraction(1, 200), None),
        ("10 %..40 %", Fraction(1, 10), Fraction(2, 5)),
        ("10..40 %", Fraction(1, 10), Fraction(2, 5)),
    ],
)
def test_shares_are_percentages(written: str, least: Fraction | None, most: Fraction | None) -> None:
    """They are fractions of one."""
    limit = parse_limit(written, "shares.conv", share=True)
    assert (limit.least, limit.most) == (least, most)


@pytest.mark.parametrize(
    ("written", "message"),
    [
        ("4.1g", "expected a number with one of the prefixes k, M, G, T, P, did you mean 'G'?"),
        ("4K", "did you mean 'k'?"),
        ("4 GMACs", "expected a number with one of the prefixes"),
        ("many", "expected a number such as"),
        ("", "expected a number such as"),
        (".", "expected a number such as"),
        ("-1", "expected a number such as"),
        (-1, "found -1, expected a number"),
        (True, "found true, expected a number"),
        (None, "found nothing, expected a number"),
        ([1], "found [1], expected a number"),
        ({"a": 1}, "expected a number"),
        (float("nan"), "found nan, expected a number"),
        (float("inf"), "found inf, expected a number"),
        ("1e61", "expected at most 10^60"),
        ("1e999999999", "expected a number"),
        ("1,23", "expected a number"),
        ("1.2.3", "expected a number"),
        ("<", "expected a number"),
        ("2M..1M", "from the smaller to the larger"),
        ("<= 1..2", "expected either <= or a range"),
        ("1..", "expected a number"),
        ("٣", "expected a number"),
        ("9" * 1000, "expected a number"),
        (10**4000, "found an integer of about 4001 digits, expected a number"),
        (9007199254740993.0, "expected quotes around a number with so many digits"),
        ("40 %", "expected a number with one of the prefixes"),
    ],
)
def test_a_bad_number_is_one_line(written: object, message: str) -> None:
    """It names the place, what was found and what was expected."""
    with pytest.raises(ConfigError) as caught:
        parse_limit(written, "budget.yaml: macs")
    text = str(caught.value)
    assert text.startswith("budget.yaml: macs: found ")
    assert message in text
    assert "\n" not in text
    assert len(text) < 300


@pytest.mark.parametrize("written", ["40", "0.4", 0.4, "101 %", "a %", "-1 %", None, "10 % .. 5 %"])
def test_a_bad_share_is_refused(written: object) -> None:
    """A number without a percent sign could be a fraction or a percentage."""
    with pytest.raises(ConfigError, match=r"^shares\.conv: found "):
        parse_limit(written, "shares.conv", share=True)


def test_a_limit_is_shown_as_it_was_written() -> None:
    """With blanks, and the sign that a bare number means."""
    shown = {"4.1G": "<= 4.1 G", "<5 G": "< 5 G", "1M..2M": "1 M..2 M", "≥ 3": ">= 3", "26000000": "<= 26000000"}
    assert {text: parse_limit(text, "").text for text in shown} == shown
    assert parse_limit(26000000, "").text == "<= 26,000,000"
    assert parse_limit("10..40%", "", share=True).text == "10 %..40 %"
    limit = Limit("<= 3", most=Fraction(3))
    assert parse_limit(limit, "") is limit


@pytest.mark.parametrize(("written", "tolerance"), [("1%", "1/100"), ("0.5 %", "1/200"), ("0", "0"), ("0%", "0")])
def test_a_tolerance_is_a_percentage(written: str, tolerance: str) -> None:
    """Nothing needs no percent sign."""
    assert parse_tolerance(written, "--tolerance") == Fraction(tolerance)


@pytest.mark.parametrize("written", ["1", "0.01", "", "x%", "-1%", "nan%", "1k%"])
def test_a_bad_tolerance_is_refused(written: str) -> None:
    """A number without a percent sign could mean a fraction or a percentage."""
    with pytest.raises(ConfigError, match=r"^--tolerance: found .* expected a percentage such as 1%"):
        parse_tolerance(written, "--tolerance")
