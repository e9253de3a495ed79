"""What boto3 would send, learnt from boto3 itself, so that it can be sent without boto3.

A ``put_object`` costs a millisecond of CPU under the GIL, nearly all of it for what is the same in
thousands of requests: parameters validated and serialised, the endpoint resolved, a hundred
handlers asked. So boto3 makes one request of each kind, and nothing is sent: that is the rehearsal.
What differs from object to object becomes a hole in a `Template`, and all else stays what boto3,
its configuration and the site's settings made of it.

A second rehearsal with other values must give, to the letter, what the template says. Where it
does not (another kind of signature, a handler that looks at the key), there is no template, and
boto3 does the work as ever.
"""

from __future__ import annotations

import hashlib
import json
import re
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit
from uuid import uuid4

from botocore import xform_name
from botocore.awsrequest import AWSPreparedRequest, AWSResponse
from botocore.httpsession import URLLib3Session
from botocore.signers import RequestSigner

from .direct import Content, Direct
from .signature import Credentials, Scheme
from .template import ATTEMPT, BODY, ENCODED, MOMENTARY, Template, joined, split, with_holes

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

#: The operations that are worth it: there is one of them for each object of a build.
OPERATIONS = ("PutObject", "CopyObject")

_SIGNATURES = ("v4", "s3v4")
# An answer to a rehearsal that both operations take for a success.
_COPIED = b'<CopyObjectResult><ETag>"0"</ETag></CopyObjectResult>'
_HOLE = re.compile(r"[\w .-]+", re.ASCII)


class Rehearsals:
    """The templates of one client; for any thread. Making it talks to nobody."""

    def __init__(self, client: S3Client) -> None:
        self._client = client
        self._templates: dict[str, Template | None] = {}
        self._directs: dict[tuple[str, str], Direct | None] = {}
        self._lock = threading.Lock()
        self._here = threading.local()
        handlers: Mapping[str, Callable[..., Any]] = {
            "before-sign": self._see_signer,
            "before-send": self._answer,
            "needs-retry": self._see_session,
        }
        for operation in OPERATIONS:
            for event, handler in handlers.items():
                client.meta.events.register(f"{event}.s3.{operation}", handler)

    def template(self, operation: str, parameters: Mapping[str, Any]) -> Template | None:
        """The template for a request with these parameters; None where only boto3 can make it.

        Raises what boto3 raises for the parameters, the credentials or the endpoint.
        """
        kind, values = split(parameters)
        if not all(_fits(name, value) for name, value in values.items()):
            return None
        known = json.dumps([operation, kind, sorted(values)], sort_keys=True, default=repr)
        if known not in self._templates:
            with self._lock:
                if known not in self._templates:
                    self._templates[known] = self._learn(operation, kind, values)
        return self._templates[known]

    def forget(self) -> None:
        """Learn all anew, because boto3 knows better now: a bucket's region, for example."""
        with self._lock:
            self._templates.clear()

    def _learn(
        self, operation: str, kind: Mapping[str, Any], names: Iterable[str]
    ) -> Template | None:
        rehearsed = self._rehearse(operation, kind, names)
        template = rehearsed.template(self._direct(rehearsed))
        if template is None or not self._rehearse(operation, kind, names).bears_out(template):
            return None
        return template

    def _direct(self, rehearsed: _Rehearsed) -> Direct | None:
        """The connections to a server, the same ones for all kinds of requests."""
        server = urlsplit(rehearsed.url)[:2]
        if server not in self._directs and rehearsed.session is not None:
            config = self._client.meta.config
            self._directs[server] = Direct.beside(rehearsed.session, rehearsed.url, config)
        return self._directs.get(server)

    def _rehearse(
        self, operation: str, kind: Mapping[str, Any], names: Iterable[str]
    ) -> _Rehearsed:
        sentinels = {name: uuid4().hex for name in names}
        parameters = joined(kind, sentinels)
        if operation == "PutObject":
            parameters["Body"] = body = uuid4().bytes
            sentinels[BODY] = hashlib.sha256(body).hexdigest()
        self._here.rehearsed = rehearsed = _Rehearsed(sentinels)
        try:
            getattr(self._client, xform_name(operation))(**parameters)
        finally:
            self._here.rehearsed = None
        return rehearsed

    # What boto3 tells on the way. In a thread that rehearses nothing it is none of our business.

    @property
    def _rehearsed(self) -> _Rehearsed | None:
        return getattr(self._here, "rehearsed", None)

    def _see_signer(
        self,
        request_signer: RequestSigner,
        signing_name: str,
        region_name: str,
        signature_version: Any,
        **_: object,
    ) -> None:
        if self._rehearsed is not None and signature_version in _SIGNATURES:
            self._rehearsed.credentials = lambda: (
                request_signer.get_auth_instance(
                    signing_name, region_name, signature_version
                ).credentials
            )

    def _answer(self, request: AWSPreparedRequest, **_: object) -> AWSResponse | None:
        if self._rehearsed is None:
            return None
        self._rehearsed.method = request.method
        self._rehearsed.url = request.url
        headers: Any = request.headers
        self._rehearsed.headers = {
            name: text.decode() if isinstance(text, bytes) else text
            for name, text in headers.items()
        }
        none: Any = {}
        return AWSResponse(request.url, 200, none, Content(_COPIED))

    def _see_session(self, endpoint: Any, **_: object) -> None:
        if self._rehearsed is not None:
            self._rehearsed.session = endpoint.http_session


@dataclass
class _Rehearsed:
    """One request that boto3 made, and how it would have sent it."""

    sentinels: dict[str, str]
    method: str = ""
    url: str = ""
    headers: dict[str, str] = field(default_factory=dict)
    session: URLLib3Session | None = None
    credentials: Callable[[], Credentials] | None = None

    def template(self, direct: Direct | None) -> Template | None:
        """The kind of this request; None when it is not signed as a template can sign."""
        scheme = Scheme.of(self.headers.get("Authorization", ""))
        if scheme is None or self.session is None or self.credentials is None:
            return None
        return Template(
            method=self.method,
            url=with_holes(self.url, self.sentinels),
            headers=dict(self._headers_with_holes()),
            scheme=scheme,
            session=self.session,
            direct=direct,
            credentials=self.credentials,
        )

    def bears_out(self, template: Template) -> bool:
        """Say whether the template gives this very request, signature and all."""
        lower = {name.lower(): text for name, text in self.headers.items()}
        own = {name: lower.get(name, "") for name in MOMENTARY}
        try:
            filled = template.filled({**self.sentinels, **own, ATTEMPT: "1"})
        except KeyError:
            # It is not of the same kind: it lacks a header that the first one was signed with.
            return False
        return filled == (self.url, self.headers)

    def _headers_with_holes(self) -> Iterator[tuple[str, str]]:
        for name, text in self.headers.items():
            lower = name.lower()
            if lower in MOMENTARY:
                yield name, f"%({lower})s"
            elif lower == "amz-sdk-request":
                yield name, text.replace("attempt=1", f"attempt=%({ATTEMPT})s")
            elif lower != "authorization":
                yield name, with_holes(text, self.sentinels)


def _fits(name: str, value: object) -> bool:
    # What is not ASCII boto3 refuses with words of its own, unless it percent-encodes it.
    if not isinstance(value, str) or not _HOLE.fullmatch(name):
        return False
    return name in ENCODED or value.isascii()
