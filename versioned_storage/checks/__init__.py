"""System checks: what is misconfigured, and the line that mends it.

All have the tag ``versioned_storage``. collectstatic runs those that have the tag ``staticfiles``
too. Those that judge a deployment run only with ``manage.py check --deploy``: on a developer's
machine or in a test suite their findings are normal. docs/checks.md lists them all.
"""

from __future__ import annotations

from django.core import checks

from . import (
    build_checks,
    csp,
    middleware_order,
    option_checks,
    origin_pull,
    page_checks,
    shared_assets,
)

TAG = "versioned_storage"


def register() -> None:
    """Register every check with Django. Doing it again changes nothing."""
    for check in (
        option_checks.check_options,
        option_checks.check_static_root_outside_sources,
        option_checks.check_command,
    ):
        checks.register(check, TAG, checks.Tags.staticfiles)
    checks.register(option_checks.check_cdn_domain, TAG)
    # Not for collectstatic: they import every middleware, and where an image is built some of what
    # those need may be missing.
    checks.register(middleware_order.check_order, TAG)
    checks.register(middleware_order.check_whitenoise, TAG)
    for check in (
        option_checks.check_static_root,
        option_checks.check_sources,
        option_checks.check_compressor,
        page_checks.check_names,
        page_checks.check_written_urls,
        build_checks.check_debug,
        build_checks.check_build,
        shared_assets.check_is_served,
        shared_assets.check_compressor,
        shared_assets.check_build_shares,
    ):
        checks.register(check, TAG, deploy=True)
    for check in (
        csp.check_policies,
        page_checks.check_integrity_policy,
        page_checks.check_same_origin,
        origin_pull.check_ssl_redirect,
        origin_pull.check_allowed_hosts,
    ):
        checks.register(check, TAG, checks.Tags.security, deploy=True)
