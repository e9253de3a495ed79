"""How a site connects to its bucket, in the words of django-storages' S3Storage."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from datetime import datetime, timezone
from functools import cached_property
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from botocore.utils import parse_timestamp
from django.core.exceptions import ImproperlyConfigured
from storages.backends.s3 import S3Storage

from ..errors import ConfigurationError
from .s3_errors import CredentialsError, sentence

if TYPE_CHECKING:
    from boto3 import Session
    from botocore.credentials import ReadOnlyCredentials
    from mypy_boto3_s3 import S3Client

#: The options whose defaults are the AWS_* settings of the site: how to connect. The other AWS_*
#: settings are for media files.
FROM_SETTINGS = frozenset(
    {
        "access_key",
        "secret_key",
        "security_token",
        "session_profile",
        "region_name",
        "endpoint_url",
        "addressing_style",
        "signature_version",
        "proxies",
        "use_ssl",
        "verify",
        "client_config",
        "transfer_config",
    }
)
# The defaults of the other options, whatever the AWS_* settings are; None for those not named.
_OTHER_DEFAULTS: Mapping[str, Any] = {
    "file_name_charset": "utf-8",
    "file_overwrite": True,
    "gzip": False,
    "gzip_content_types": (),
    "location": "",
    "max_memory_size": 0,
    "object_parameters": {},
    "querystring_auth": False,
    "querystring_expire": 3600,
    "url_protocol": "https:",
    "use_threads": True,
}
_NO_RETRIES: Any = {"mode": "standard", "total_max_attempts": 1}
# botocore checks neither that credential_process is empty nor that it printed an object.
_CREDENTIAL_PROCESS_ERRORS = (AttributeError, IndexError, TypeError)
_LOADING_ERRORS = (BotoCoreError, ClientError, OSError, ValueError, *_CREDENTIAL_PROCESS_ERRORS)
_KEYS = ("access_key", "secret_key", "security_token")


class UnusableOrigin(ConfigurationError):
    """The origin option does not describe a connection to S3."""

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(
            f"The origin option cannot be used: {sentence(reason)} It takes django-storages' "
            "S3Storage options, for example {'bucket_name': 'my-site-static', 'region_name': "
            "'eu-west-1'}."
        )


class UnknownOriginOption(UnusableOrigin):
    """S3Storage has no option of that name."""

    def __init__(self, name: str, choices: Iterable[str]) -> None:
        self.name = name
        self.choices = tuple(sorted(choices))
        super().__init__(f"{name!r} is none of {', '.join(self.choices)}.")


class _Storage(S3Storage):  # type: ignore[misc]  # django-storages ships no types
    """django-storages' own connection, with only `FROM_SETTINGS` taken from AWS_* settings."""

    def __init__(self, **options: Any) -> None:
        self._options = options
        self._session: Session | None = None
        choices = {*self.get_default_settings(), "cloudfront_signer"}
        for name in sorted(options.keys() - choices):
            raise UnknownOriginOption(name, choices)
        super().__init__(**options)

    def get_default_settings(self) -> dict[str, Any]:
        defaults: dict[str, Any] = {
            name: value if name in FROM_SETTINGS else _OTHER_DEFAULTS.get(name)
            for name, value in super().get_default_settings().items()
        }
        # Keys and a profile exclude each other: those of the origin option replace both.
        if self._options.get("session_profile"):
            defaults.update(dict.fromkeys(_KEYS))
        elif any(self._options.get(key) for key in _KEYS):
            defaults.update(dict.fromkeys((*_KEYS, "session_profile")))
        return defaults

    def _create_session(self) -> Session:
        # One for all clients, so that a role is assumed once.
        if self._session is None:
            session: Session = super()._create_session()
            parsers: Any = session._session.get_component("response_parser_factory")
            parsers.set_parser_defaults(timestamp_parser=_timestamp)
            self._session = session
        return self._session


class Connection:
    """How to reach the bucket of a site; making it sends no request.

    ``parameters`` are those of every object that is written. ``attempts`` is how often a request
    is tried: boto3 itself tries once. ``verify`` is a path of certificates to trust, False to
    trust any, True or None for the default.
    """

    def __init__(
        self, options: Mapping[str, Any], *, connections: int, timeout: float | None
    ) -> None:
        try:
            self._storage = _Storage(**options)
        except UnusableOrigin:
            raise
        except ImproperlyConfigured as error:
            raise UnusableOrigin(str(error)) from error
        if bool(self._storage.access_key) != bool(self._storage.secret_key):
            missing = "secret_key" if self._storage.access_key else "access_key"
            reason = f"it has one half of a pair of keys, {missing} is missing"
            raise UnusableOrigin(reason)
        if "@" in urlsplit(self._storage.endpoint_url or "").netloc:
            # S3 takes no such password, and every message about the endpoint would show it.
            reason = "endpoint_url has a user in it; put keys into access_key and secret_key"
            raise UnusableOrigin(reason)
        self.bucket: str = self._storage.bucket_name
        self.location: str = self._storage.location.strip("/")
        self.parameters: dict[str, Any] = dict(self._storage.object_parameters)
        if self._storage.default_acl:
            self.parameters.setdefault("ACL", self._storage.default_acl)
        self.verify: bool | str | None = self._storage.verify
        config: Any = _client_config(self._storage.client_config, connections, timeout)
        retries = config.retries or {}
        self.attempts: int = retries.get("total_max_attempts") or retries.get("max_attempts", 4) + 1
        self._storage.client_config = config.merge(Config(retries=_NO_RETRIES))
        #: The credentials of the last check; botocore renews those of a role minutes before they
        #: expire. None before the first check, and without credentials.
        self.frozen_credentials: ReadOnlyCredentials | None = None

    @cached_property
    def client(self) -> S3Client:
        """One client for all threads. Raises `UnusableOrigin` and `CredentialsError`."""
        self.check_credentials()
        storage = self._storage
        try:
            # As `S3Storage.connection`, without boto3's resources around it.
            client: S3Client = self.session.client(
                "s3",
                region_name=storage.region_name,
                use_ssl=storage.use_ssl,
                endpoint_url=storage.endpoint_url,
                config=storage.client_config,
                verify=storage.verify,
            )
        except (BotoCoreError, ValueError) as error:
            raise UnusableOrigin(str(error)) from error
        return client

    @cached_property
    def session(self) -> Session:
        """boto3's session, one for all clients. Raises `UnusableOrigin`."""
        try:
            session: Session = self._storage._create_session()
        except BotoCoreError as error:
            raise UnusableOrigin(str(error)) from error
        return session

    @cached_property
    def credentials(self) -> Any:
        """botocore's credentials, None if there are none. Raises what botocore raises."""
        return self.session.get_credentials()

    def _credential_process_profile(self) -> str | None:
        """Return the name of the AWS profile if a program prints its credentials, else None.

        For a role it is the profile that the role is assumed from.
        """
        # boto3 has no public way to its session's profiles as they are written.
        profiles = self.session._session.full_config.get("profiles", {})
        name, passed = self.session.profile_name, set()
        while name not in passed and "source_profile" in profiles.get(name, {}):
            passed.add(name)
            name = profiles[name]["source_profile"]
        return name if "credential_process" in profiles.get(name, {}) else None

    def check_credentials(self) -> None:
        """Load the credentials, or renew them if they expire. Raises `CredentialsError`.

        Without any credentials nothing is raised: the request itself says so.
        """
        try:
            if self.credentials is not None:
                self.frozen_credentials = self.credentials.get_frozen_credentials()
        except _LOADING_ERRORS as error:
            raise CredentialsError(error, self._credential_process_profile()) from error

    @property
    def ca_bundle(self) -> str | None:
        """The certificates to trust if the site or the environment names any."""
        if self.verify is not None:
            return self.verify if isinstance(self.verify, str) else None
        bundle: str | None = self.session._session.get_config_variable("ca_bundle")
        return bundle or os.environ.get("REQUESTS_CA_BUNDLE")


def _timestamp(value: Any) -> datetime:
    """Parse S3's own format first: botocore's parser takes half of the time of a listing."""
    try:
        return datetime.strptime(value, "%Y-%m-%dT%H:%M:%S.%fZ").replace(tzinfo=timezone.utc)
    except (TypeError, ValueError):
        parsed: datetime = parse_timestamp(value)
        return parsed


def _client_config(site: Config, connections: int, timeout: float | None) -> Config:
    """Return our defaults with the configuration of the site over them."""
    defaults = Config(
        max_pool_connections=connections,
        retries={"mode": "standard", "total_max_attempts": 5},
        connect_timeout=10,
        read_timeout=60,
        # We send a sha256 with every body. The CRC that boto3 would add comes as a trailer, which
        # not every S3 server takes.
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
    )
    # A signed body is checked by stores without checksums too.
    s3: Any = {"payload_signing_enabled": True, **(getattr(site, "s3", None) or {})}
    config = defaults.merge(site).merge(Config(s3=s3))
    if timeout is None:
        return config
    # A page waits for it, whatever the site has configured for a publish.
    return config.merge(
        Config(
            connect_timeout=timeout,
            read_timeout=timeout,
            retries=_NO_RETRIES,
        )
    )
