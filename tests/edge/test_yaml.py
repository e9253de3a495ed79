import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from versioned_storage.edge.yaml import dump

texts = st.one_of(
    st.text(st.characters(codec="utf-8", exclude_categories=["C", "Zl", "Zp"])),
    st.text(alphabet="ab:#-/* \n'\"|>&!%@{}[]$.~"),
    st.sampled_from(["yes", "No", "null", "~", "2012-10-17", "1e3", "0x1f", "", "a ", "a: b"]),
)
values = st.recursive(
    st.one_of(texts, st.integers(), st.booleans()),
    lambda below: st.one_of(st.lists(below, max_size=4), st.dictionaries(texts, below, max_size=4)),
)


def test_texts_that_yaml_reads_as_something_else_read_back_as_texts():
    texts = ["yes", "No", "null", "~", "2012-10-17", "1e3", "0x1f", "", "a ", "a: b", "#", "- a"]
    document = {text: [text, {text: f"{text}\n"}] for text in texts}
    assert yaml.safe_load(dump(document)) == document


@pytest.mark.deep
@given(st.dictionaries(texts, values, min_size=1))
def test_it_reads_back_as_what_it_was(document):
    assert yaml.safe_load(dump(document)) == document


def test_it_is_for_people_to_read():
    document = {
        "Version": "2012-10-17",
        "Code": "const a = 1;\n\nfunction f() {\n    return a;\n}\n",
        "Items": [{"Name": "b1", "Ids": [1, True]}, "s3:GetObject"],
        "Target": {"Fn::GetAtt": ["Distribution", "DomainName"]},
        "None": [],
        "Options": '{"a": "b"}',
    }
    assert dump(document) == (
        'Version: "2012-10-17"\n'
        "Code: |\n"
        "  const a = 1;\n"
        "\n"
        "  function f() {\n"
        "      return a;\n"
        "  }\n"
        "Items:\n"
        "  - Name: b1\n"
        "    Ids:\n"
        "      - 1\n"
        "      - true\n"
        "  - s3:GetObject\n"
        "Target:\n"
        "  Fn::GetAtt:\n"
        "    - Distribution\n"
        "    - DomainName\n"
        "None: []\n"
        """Options: '{"a": "b"}'\n"""
    )
