import pytest

from versioned_storage.origin.transport.template import joined, split, with_holes

PARAMETERS = {
    "Bucket": "bucket",
    "Key": "static/b1/a.css",
    "ContentType": "text/css",
    "ChecksumSHA256": "checksum",
    "IfMatch": '"0"',
    "Metadata": {"sha256": "digest", "team": "web"},
}


def test_parameters_are_taken_apart_into_those_of_the_kind_and_those_of_the_object():
    kind, values = split(PARAMETERS)
    assert kind == {"Bucket": "bucket", "ContentType": "text/css"}
    assert sorted(values.values()) == ['"0"', "checksum", "digest", "static/b1/a.css", "web"]


@pytest.mark.parametrize("parameters", [PARAMETERS, {}, {"Key": "a"}, {"CopySource": "b/a"}])
def test_what_was_taken_apart_can_be_put_together_again(parameters):
    assert joined(*split(parameters)) == parameters


def test_a_text_with_holes_gives_itself_again():
    text = "100%s of /bucket/abc?%41=(abc) and xyz"
    holes = with_holes(text, {"Key": "abc", "Metadata a.b-c": "xyz"})
    assert holes % {"Key": "abc", "Metadata a.b-c": "xyz"} == text
    assert holes % {"Key": "1%2", "Metadata a.b-c": ""} == "100%s of /bucket/1%2?%41=(1%2) and "
