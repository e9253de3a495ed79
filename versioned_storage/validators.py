"""The values that each option takes, and the error for any other."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from ipaddress import ip_address
from typing import Any
from urllib.parse import SplitResult, urlsplit

from .constants import ENCODINGS, RESPONSE_HEADERS
from .errors import ConfigurationError

_SHARED_PREFIX = re.compile(r"_[A-Za-z0-9-]{1,63}")
_BUILD_VERSION = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
# RFC 9110, 5.1 and 5.5.
_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_HEADER_VALUE = re.compile(r"[\x21-\x7e](?:[\t\x20-\x7e]*[\x21-\x7e])?")
# https://w3c.github.io/webappsec-subresource-integrity/#integrity-policy-section
_INTEGRITY_POLICY = re.compile(
    r"blocked-destinations=\((?:script|style|script style|style script)\)"
)
# What CloudFront's functions may not add to a response: the disallowed and the read-only headers.
_CLOUDFRONTS_OWN = re.compile(
    r"connection|content-length|expect|keep-alive|trailer|transfer-encoding|upgrade|via|warning"
    r"|x-cache|x-forwarded-proto|x-real-ip|(?:proxy|x-accel|x-amz-cf|x-amzn|x-edge)-.+",
    re.IGNORECASE,
)
_HOST = re.compile(r"(?:[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?|\[[0-9A-Fa-f:.]+\])(?::\d{1,5})?")


class InvalidOption(ConfigurationError):
    """An option has a value that it does not take; ``value`` and ``allowed`` describe both.

    ``hint`` is a sentence, or empty.
    """

    def __init__(
        self, setting: str, value: str, allowed: str, example: str, hint: str = ""
    ) -> None:
        self.setting = setting
        self.value = value
        self.allowed = allowed
        self.example = example
        self.hint = hint
        message = f"{setting} is {value}. It takes {allowed}, for example {example}."
        super().__init__(f"{message} {hint}" if hint else message)


def is_build_version(value: str) -> bool:
    """Return True if a string can name a build."""
    return _BUILD_VERSION.fullmatch(value) is not None


def is_local(host: str) -> bool:
    """Return True for a name or an address that no other machine can reach."""
    name = host.strip("[].").lower()
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        ip_address(name)
    except ValueError:
        return False
    return True


def _check_build_version(value: object, setting: str) -> str:
    if isinstance(value, str) and is_build_version(value):
        return value
    allowed = (
        "1 to 64 letters, digits, dots, hyphens and underscores, the first a letter or a digit "
        "(it becomes a directory and a part of each URL)"
    )
    raise InvalidOption(setting, repr(value), allowed, "'2f1c9ab'")


def _check_cdn_domain(value: object, setting: str) -> str:
    if isinstance(value, str):
        url = value if "://" in value else f"https://{value}"
        parts = _parts(url.rstrip("/"))
        path_is_sound = re.fullmatch(r"(?:/[A-Za-z0-9._~!$&'()*+,;=:@%-]+)*", parts.path)
        dots = {".", ".."} & set(parts.path.split("/"))
        extras = parts.query or parts.fragment or "?" in url or "#" in url
        if (
            parts.scheme in ("http", "https")
            and _HOST.fullmatch(parts.netloc)
            and path_is_sound
            and not dots
            and not extras
        ):
            return parts.geturl()
    # A URL with a user and a password in it is not for the log.
    described = repr(value) if "@" not in str(value) else "a URL with a user in it"
    allowed = (
        "the domain of the CDN, or its URL with http or https, a port and a path that stands "
        "before the path of STATIC_URL; no user, no query, no fragment, no '.' or '..'"
    )
    raise InvalidOption(setting, described, allowed, "'d111111abcdef8.cloudfront.net'")


def _parts(url: str) -> SplitResult:
    try:
        return urlsplit(url)
    except ValueError:
        # A bracket that is never closed: not a URL.
        return SplitResult("", "", "", "", "")


def _check_origin(value: object, setting: str) -> Mapping[str, Any]:
    example = "{'bucket_name': 'my-site-static', 'region_name': 'eu-west-1'}"
    allowed = "a dict of django-storages' S3Storage options with a bucket_name"
    if not isinstance(value, Mapping):
        raise InvalidOption(setting, f"of type {type(value).__name__}", allowed, example)
    bucket = value.get("bucket_name")
    if not isinstance(bucket, str) or not bucket:
        # The keys alone: the values can be secrets.
        described = f"a dict with {', '.join(sorted(map(str, value))) or 'nothing in it'}"
        if "bucket_name" in value:
            described = f"a dict whose bucket_name is {bucket!r}"
        raise InvalidOption(setting, described, allowed, example)
    for name in ("CacheControl", "ContentEncoding", "ContentType"):
        if name in (value.get("object_parameters") or {}):
            allowed = f"object_parameters without {name}, which each object gets from its build"
            raise InvalidOption(setting, f"a dict that sets {name}", allowed, example)
    return dict(value)


def _check_encodings(value: object, setting: str) -> Mapping[str, Mapping[str, int]]:
    names = _strings(value)
    if names is None or not set(names) <= ENCODINGS.keys():
        known = ", ".join(ENCODINGS)
        allowed, example = f"a list of encodings, known are {known}", str(list(ENCODINGS))
        if isinstance(value, Mapping):
            allowed = f"a dict whose keys are encodings, known are {known}"
            example = str({name: _example_of_qualities(name) for name in ENCODINGS})
        # Of "brotli" and "gz", for example.
        unknown = {name[:2] for name in names or () if name not in ENCODINGS}
        meant = [name for name in ENCODINGS if name[:2] in unknown]
        hint = f"Did you mean {meant[0]!r}?" if meant else "An empty one is for no encodings."
        raise InvalidOption(setting, repr(value), allowed, example, hint)
    qualities: Mapping[str, object] = value if isinstance(value, Mapping) else {}
    return {
        name: _check_qualities(qualities.get(name, {}), name, f'{setting}["{name}"]')
        for name in ENCODINGS
        if name in names
    }


def _check_qualities(value: object, encoding: str, setting: str) -> Mapping[str, int]:
    by_glob = value if isinstance(value, Mapping) else {"*": value}
    qualities = ENCODINGS[encoding].qualities
    allowed = f"a quality from {qualities[0]} to {qualities[-1]}"
    hint = "Files without encodings have their extension in skip_compress_extensions."
    for glob, quality in by_glob.items():
        is_quality = type(quality) is int and quality in qualities
        if isinstance(glob, str) and glob and is_quality:
            continue
        if by_glob is value and isinstance(glob, str) and glob:
            setting = f'{setting}["{glob}"]'
            raise InvalidOption(setting, repr(quality), allowed, str(qualities[-2]), hint)
        allowed = f"{allowed}, or a dict of globs and qualities"
        example = str(_example_of_qualities(encoding))
        raise InvalidOption(setting, repr(value), allowed, example, hint)
    return dict(by_glob)


def _example_of_qualities(encoding: str) -> dict[str, int]:
    return {"*": ENCODINGS[encoding].qualities[-2], "*.map": 5}


def _check_extensions(value: object, setting: str) -> tuple[str, ...]:
    names = _strings(value)
    if names is None:
        raise InvalidOption(setting, repr(value), "a list of file extensions", "['png', 'woff2']")
    return tuple(sorted({name.lower().removeprefix(".") for name in names}))


def _check_ignore_missing(value: object, setting: str) -> tuple[str, ...]:
    entries = _strings(value)
    if entries is None or not all(":" in entry.strip(":") for entry in entries):
        allowed = "a list of 'file-glob:reference-glob'"
        raise InvalidOption(setting, repr(value), allowed, "['vendor/*.css:*.htc']")
    return entries


def _check_prehashed(value: object, setting: str) -> Callable[[str], bool]:
    if callable(value):
        return value
    if isinstance(value, (str, re.Pattern)):
        try:
            pattern = re.compile(value)
        except re.error as error:
            described = f"{value} ({error})"
        else:
            return lambda name: pattern.search(name) is not None
    else:
        described = repr(value)
    allowed = "a regular expression or a callable that takes a file's name"
    raise InvalidOption(setting, described, allowed, r"r'^assets/.+-[\w-]{8}\.\w+$'")


def _check_transforms(value: object, setting: str) -> tuple[tuple[str, Any], ...]:
    pairs: Any = value if isinstance(value, (list, tuple)) else [None]
    for pair in pairs:
        if not (
            isinstance(pair, (list, tuple))
            and len(pair) == 2
            and isinstance(pair[0], str)
            and (callable(pair[1]) or (isinstance(pair[1], str) and "." in pair[1]))
        ):
            allowed = "a list of globs of names, each with a function or its dotted path"
            example = "[('css/*.css', 'shop.static_files.minified')]"
            raise InvalidOption(setting, repr(value), allowed, example)
    return tuple((glob, function) for glob, function in pairs)


def _check_base_build(value: object, setting: str) -> bool | str:
    return value if isinstance(value, bool) else _check_build_version(value, setting)


def _check_connections(value: object, setting: str) -> int:
    if isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= 1000:
        return value
    raise InvalidOption(setting, repr(value), "a whole number from 1 to 1000", "128")


def _check_response_headers(value: object, setting: str) -> Mapping[str, str]:
    if not isinstance(value, Mapping) or not all(map(_is_header, value.keys(), value.values())):
        allowed = "a dict of header names and values, None for one that is not to be sent"
        raise InvalidOption(setting, repr(value), allowed, "{'Timing-Allow-Origin': None}")
    for name, text in value.items():
        if text is not None and _CLOUDFRONTS_OWN.fullmatch(name):
            allowed = "no header of CloudFront's own: it would answer every request with 502"
            raise InvalidOption(setting, f"a dict with {name}", allowed, "{'X-Served-By': 'us'}")
    # The name of a header has no case.
    named = {name.lower() for name in value}
    kept = {name: text for name, text in RESPONSE_HEADERS.items() if name.lower() not in named}
    return kept | {name: text for name, text in value.items() if text is not None}


def _is_header(name: object, value: object) -> bool:
    return (
        isinstance(name, str)
        and _HEADER_NAME.fullmatch(name) is not None
        and (value is None or (isinstance(value, str) and bool(_HEADER_VALUE.fullmatch(value))))
    )


def _check_integrity_policy(value: object, setting: str) -> str:
    if (
        isinstance(value, str)
        and _INTEGRITY_POLICY.search(value)
        and _HEADER_VALUE.fullmatch(value)
    ):
        return value
    allowed = "the value of the header, with the blocked-destinations script, style or both"
    raise InvalidOption(setting, repr(value), allowed, "'blocked-destinations=(script)'")


def _check_bool(value: object, setting: str) -> bool:
    if isinstance(value, bool):
        return value
    raise InvalidOption(setting, repr(value), "True or False", "True")


def _check_bool_or_globs(value: object, setting: str) -> bool | tuple[str, ...]:
    if isinstance(value, bool):
        return value
    globs = _strings(value)
    if globs is None or "!" in globs:
        allowed = "True, False, or a list of globs of names ('!glob' takes out)"
        raise InvalidOption(setting, repr(value), allowed, "['js/*', '!js/loader.js']")
    return globs


def _check_shared_prefix(value: object, setting: str) -> str:
    if isinstance(value, str) and _SHARED_PREFIX.fullmatch(value):
        return value
    allowed = "an underscore and then 1 to 63 letters, digits and hyphens"
    raise InvalidOption(setting, repr(value), allowed, "'_shared'")


def _strings(value: object) -> tuple[str, ...] | None:
    if isinstance(value, str) or not isinstance(value, Iterable):
        return None
    items = tuple(value)
    return items if all(isinstance(item, str) and item for item in items) else None


#: The function that checks and normalizes the value of each option; the setting is for the error.
CHECKS: dict[str, Callable[[Any, str], Any]] = {
    "build_version": _check_build_version,
    "cdn_domain": _check_cdn_domain,
    "origin": _check_origin,
    "encodings": _check_encodings,
    "skip_compress_extensions": _check_extensions,
    "keep_originals": _check_bool_or_globs,
    "shared_assets": _check_bool_or_globs,
    "shared_prefix": _check_shared_prefix,
    "manifest_strict": _check_bool,
    "debug_strict": _check_bool,
    "js_modules": _check_bool,
    "strict_source_maps": _check_bool,
    "ignore_missing": _check_ignore_missing,
    "prehashed": _check_prehashed,
    "transforms": _check_transforms,
    "publish": _check_bool,
    "base_build": _check_base_build,
    "preload_manifest": _check_bool,
    "connections": _check_connections,
    "conditional_writes": _check_bool,
    "response_headers": _check_response_headers,
    "integrity_policy": _check_integrity_policy,
    "integrity_policy_report_only": _check_integrity_policy,
}
