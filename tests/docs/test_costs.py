"""The worked months of docs/costs.md are added up right, at the prices that the page names."""

from __future__ import annotations

import re

import pytest

from tests.docs.reader import DOCS

PAGE = (DOCS / "costs.md").read_text(encoding="utf-8")


def number(text: str) -> float:
    return float(text.replace(",", ""))


def rows(site: str) -> list[list[str]]:
    """The rows of the table of a site, without its head."""
    table = PAGE.partition(f"**{site}**: ")[2].partition("\n\n|")[2].partition("\n\n")[0]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()][
        2:
    ]


@pytest.mark.parametrize("site", ["Small", "Busy"])
def test_each_line_of_a_month_is_its_quantity_times_its_price(site: str) -> None:
    *lines, total = rows(site)
    assert len(lines) >= 6
    for what, quantity, price, dollars in lines:
        assert f"{number(quantity) * number(price):.2f}" == dollars, what
    assert total[0] == "total"
    assert number(total[3]) == pytest.approx(sum(number(line[3]) for line in lines))


@pytest.mark.parametrize("site", ["Small", "Busy"])
def test_the_prices_of_a_month_are_those_of_the_page(site: str) -> None:
    price = dict(
        re.findall(
            r"^\| (requests, over HTTPS|function invocations) \| 1,000,000 \| (\S+) \|", PAGE, re.M
        )
    )
    prices = {line[0]: number(line[2]) for line in rows(site)[:-1]}
    assert prices["requests above 10 million"] == pytest.approx(
        number(price["requests, over HTTPS"]) / 1e6
    )
    assert prices["function invocations above 2 million"] == pytest.approx(
        number(price["function invocations"]) / 1e6
    )
    puts, gets = (
        number(text) for text in re.findall(r"^\| (?:PUT|GET) \|.*\| (\S+) \|$", PAGE, re.M)
    )
    assert prices["PUT, COPY and LIST of deploys"] == pytest.approx(puts / 1000)
    assert next(value for name, value in prices.items() if name.startswith("GET")) == (
        pytest.approx(gets / 1000)
    )
