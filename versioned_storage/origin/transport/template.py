"""One kind of request to S3, with holes for what differs from object to object."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any
from urllib.parse import quote, urlsplit

from botocore.awsrequest import AWSPreparedRequest, AWSResponse
from botocore.httpsession import URLLib3Session

from .direct import Direct
from .signature import Credentials, Scheme

#: The parameters that differ from object to object; the values of Metadata are the others.
VARYING = ("Key", "ChecksumSHA256", "CopySource", "CopySourceIfMatch", "IfMatch")
#: Those of them that are percent-encoded on the wire, as boto3 does it.
ENCODED = ("Key", "CopySource")
#: The headers that no two requests have in common.
MOMENTARY = ("content-length", "x-amz-date", "x-amz-security-token", "amz-sdk-invocation-id")
#: The hole for the sha256 of the body, in hex.
BODY = "sha256 of the body"
#: The hole for the number of the attempt.
ATTEMPT = "attempt"

_METADATA = "Metadata "
_DEFAULT_PORTS = {"http": ":80", "https": ":443"}


def split(parameters: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Take the parameters of an operation apart: those of its kind, and those of its object."""
    kind = dict(parameters)
    values = {name: kind.pop(name) for name in VARYING if name in kind}
    for name, value in kind.pop("Metadata", {}).items():
        values[_METADATA + name] = value
    return kind, values


def joined(kind: Mapping[str, Any], values: Mapping[str, Any]) -> dict[str, Any]:
    """Put together what `split` took apart."""
    metadata = {
        name.removeprefix(_METADATA): value
        for name, value in values.items()
        if name.startswith(_METADATA)
    }
    own = {name: value for name, value in values.items() if not name.startswith(_METADATA)}
    return {**kind, **own, **({"Metadata": metadata} if metadata else {})}


@dataclass(frozen=True)
class Template:
    """One kind of request: ``url`` and ``headers`` are ``%``-formats, the holes have names."""

    method: str
    url: str
    headers: Mapping[str, str]
    scheme: Scheme
    session: URLLib3Session
    #: The same server without botocore's session, where that is all the same.
    direct: Direct | None
    #: The credentials of this moment: a role's are renewed while a build is published.
    credentials: Callable[[], Credentials]

    def request(
        self,
        values: Mapping[str, str],
        body: Any,
        *,
        sha256: str,
        size: int,
        invocation: str,
        attempt: int = 1,
    ) -> AWSPreparedRequest:
        """The request for one object, signed now.

        ``values`` are the object's, from `split`. ``sha256`` (in hex) and ``size`` (in bytes) are
        the body's, which is bytes or a file at its beginning. ``invocation`` names the request and
        all its attempts, which count from 1.
        """
        holes = {
            **values,
            **{name: quote(values[name], safe="/~") for name in ENCODED if name in values},
            BODY: sha256,
            ATTEMPT: str(attempt),
            "content-length": str(size),
            "x-amz-date": datetime.now(timezone.utc).strftime("%Y%m%dT%H%M%SZ"),
            "amz-sdk-invocation-id": invocation,
        }
        url, headers = self.filled(holes)
        if isinstance(body, bytes):
            # To be told to go on costs a round trip, which only a large body is worth.
            headers.pop("Expect", None)
        # As bytes, because http.client takes text for Latin-1.
        encoded = {name: text.encode() for name, text in headers.items()}
        # The stubs want a class here that botocore itself does not use.
        return AWSPreparedRequest(self.method, url, encoded, body, False)  # type: ignore[arg-type]

    def send(self, request: AWSPreparedRequest, *, attempt: int) -> AWSResponse:
        """Send a request. Raises what botocore's session raises."""
        answer = None
        if self.direct is not None and attempt == 1 and isinstance(request.body, bytes):
            answer = self.direct.send(request)
        return self.session.send(request) if answer is None else answer

    def filled(self, holes: Mapping[str, str]) -> tuple[str, dict[str, str]]:
        """The URL and the signed headers with these values in the holes."""
        credentials = self.credentials()
        holes = {**holes, "x-amz-security-token": credentials.token or ""}
        url = self.url % holes
        headers = {name: text % holes for name, text in self.headers.items()}
        scheme, netloc, path, query, _ = urlsplit(url)
        signed = {name.lower(): text for name, text in headers.items()}
        signed["host"] = netloc.removesuffix(_DEFAULT_PORTS.get(scheme, ""))
        headers["Authorization"] = self.scheme.authorization(
            f"{self.method}\n{path}\n{query}", signed, credentials
        )
        return url, headers


def with_holes(text: str, sentinels: Mapping[str, str]) -> str:
    """Make a format of a text that has the ``sentinels`` in it, which are given by hole."""
    text = text.replace("%", "%%")
    for hole, sentinel in sentinels.items():
        text = text.replace(sentinel, f"%({hole})s")
    return text
