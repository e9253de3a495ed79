"""Accept-Encoding, as RFC 9110, 12.5.3 has it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from versioned_storage.serving.negotiation import NotAcceptable, choose_encoding

BOTH = ("br", "gzip")


@pytest.mark.parametrize(
    ("header", "chosen"),
    [
        (None, "identity"),
        ("", "identity"),
        ("br", "br"),
        ("gzip, deflate, br, zstd", "br"),
        ("gzip", "gzip"),
        ("x-gzip", "gzip"),
        ("GZIP", "gzip"),
        ("BR;Q=0.5", "br"),
        ("deflate", "identity"),
        ("notbr, gzipped", "identity"),
        ("gzip;q=0.5, br;q=0.4", "gzip"),
        ("gzip;q=0.5,br;q=0.500", "br"),
        ("br;q=0, gzip", "gzip"),
        ("br;q=0", "identity"),
        ("br;q=0.000, gzip;q=0.0", "identity"),
        ("br;q=0.001", "br"),
        ("identity, br;q=0.5", "identity"),
        ("identity;q=0.5, br;q=0.5", "br"),
        ("identity;q=0, gzip;q=0.1", "gzip"),
        (" br ; q=0.9\t,\tgzip ; q=1 ", "gzip"),
    ],
)
def test_the_highest_q_value_wins_and_then_our_preference(header: str, chosen: str) -> None:
    assert choose_encoding(header, BOTH) == chosen


@pytest.mark.parametrize(
    ("header", "chosen"),
    [
        ("*", "identity"),
        ("gzip;q=0.5, *", "identity"),
        ("gzip, *;q=0", "gzip"),
        ("gzip, *;q=0.5", "gzip"),
        ("br;q=0, *", "identity"),
        ("identity;q=0, *", "br"),
        ("identity;q=0, br;q=0, *", "gzip"),
        ("identity, *;q=0", "identity"),
    ],
)
def test_a_star_stands_for_what_is_not_named_and_is_no_proof_that_it_can_be_decoded(
    header: str, chosen: str
) -> None:
    assert choose_encoding(header, BOTH) == chosen


@pytest.mark.parametrize(
    "header", ["identity;q=0", "*;q=0", "br;q=0, gzip;q=0, identity;q=0", "identity;q=0, deflate"]
)
def test_a_client_that_refuses_all_there_is_gets_none(header: str) -> None:
    with pytest.raises(NotAcceptable):
        choose_encoding(header, BOTH)


@pytest.mark.parametrize(
    "header", ["br;q=2", "br;q=-1", "br;q=0.1234", "br;q=x", "b r", "br;", ";"]
)
def test_an_element_that_is_not_well_formed_says_nothing(header: str) -> None:
    assert choose_encoding(header, BOTH) == "identity"
    assert choose_encoding(f"{header}, gzip", BOTH) == "gzip"


def test_only_what_is_there_is_chosen() -> None:
    assert choose_encoding("br, gzip", ("gzip",)) == "gzip"
    assert choose_encoding("br, gzip", ()) == "identity"
    with pytest.raises(NotAcceptable):
        choose_encoding("br, identity;q=0", ("gzip",))


@given(st.text(alphabet="brgzip*identyqQ=;,. 01\t\x00é", max_size=60))
def test_any_header_at_all_has_an_answer(header: str) -> None:
    try:
        assert choose_encoding(header, BOTH) in (*BOTH, "identity")
    except NotAcceptable:
        assert "0" in header
