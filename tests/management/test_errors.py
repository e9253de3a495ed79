"""Messages about many things name ten of them and say how many more there are."""

import pytest

from versioned_storage.edge.cloudfront import UnknownDistribution
from versioned_storage.edge.functions import CompressionRules
from versioned_storage.management.subcommands.prune import TooManyBuilds
from versioned_storage.management.subcommands.publish import NotBuilt

MANY = [f"b{number:02}" for number in range(30)]


@pytest.mark.parametrize(
    "message",
    [
        str(NotBuilt("b99", "/srv/static", MANY)),
        str(TooManyBuilds(MANY, 1)),
        str(UnknownDistribution("static.example.com", MANY)),
        CompressionRules((), tuple(MANY)).missing_text(CompressionRules()).replace(".b", "b"),
    ],
)
def test_a_long_list_is_cut_at_ten_and_says_how_many_more(message):
    assert "b00, b01, b02, b03, b04, b05, b06, b07, b08, b09 and 20 more" in message
    assert "b10" not in message
