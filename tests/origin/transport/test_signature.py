from dataclasses import dataclass

import pytest

from versioned_storage.origin.transport.signature import Scheme


@dataclass(frozen=True)
class Keys:
    access_key: str = "AKIAIOSFODNN7EXAMPLE"
    secret_key: str = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
    token: str | None = None


AUTHORIZATION = (
    "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request, "
    "SignedHeaders=date;host;x-amz-content-sha256;x-amz-date;x-amz-storage-class, "
    "Signature=98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd"
)
HEADERS = {
    "date": "Fri, 24 May 2013 00:00:00 GMT",
    "host": "examplebucket.s3.amazonaws.com",
    "x-amz-content-sha256": "44ce7dd67c959e0d3524ffac1771dfbba87d2b6b4b4e99e42034a8b803f8b072",
    "x-amz-date": "20130524T000000Z",
    "x-amz-storage-class": "REDUCED_REDUNDANCY",
}


def test_the_example_of_amazons_documentation_gets_the_signature_that_is_given_there():
    scheme = Scheme.of(AUTHORIZATION)
    assert scheme is not None
    assert (scheme.region, scheme.service) == ("us-east-1", "s3")
    made = scheme.authorization("PUT\n/test%24file.text\n", HEADERS, Keys())
    assert made == AUTHORIZATION


def test_spaces_around_and_within_a_value_do_not_count():
    scheme = Scheme.of(AUTHORIZATION)
    spaced = {**HEADERS, "x-amz-storage-class": "  REDUCED_REDUNDANCY "}
    assert scheme.authorization("PUT\n/test%24file.text\n", spaced, Keys()) == AUTHORIZATION


@pytest.mark.parametrize("changed", HEADERS)
def test_every_header_is_signed(changed):
    scheme = Scheme.of(AUTHORIZATION)
    other = {**HEADERS, changed: HEADERS[changed].replace("0", "1") + "!"}
    assert scheme.authorization("PUT\n/test%24file.text\n", other, Keys()) != AUTHORIZATION


@pytest.mark.parametrize(
    "authorization",
    [
        "",
        "AWS AKIAIOSFODNN7EXAMPLE:frJIUN8DYpKDtOLCwo//yllqDzg=",
        "Bearer abc",
        AUTHORIZATION.replace("AWS4-HMAC-SHA256", "AWS4-ECDSA-P256-SHA256"),
    ],
)
def test_another_kind_of_signature_has_no_scheme(authorization):
    assert Scheme.of(authorization) is None
