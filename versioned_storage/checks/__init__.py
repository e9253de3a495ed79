"""System checks: what is misconfigured, and the line that mends it.

All have the tag ``versioned_storage``. collectstatic asks those that have the tag ``staticfiles``
too. Those that judge a deployment run only with ``manage.py check --deploy``: on a developer's
machine or in a test suite what they find is as it should be. docs/checks.md lists them all.
"""

from __future__ import annotations

from django.core import checks

from . import builds, content_security_policy, middleware, origin_pull

TAG = "versioned_storage"


def register() -> None:
    """Tell Django of every check. Doing it again changes nothing."""
    for check in (
        builds.check_options,
        builds.check_static_root_outside_sources,
        builds.check_sources,
    ):
        checks.register(check, TAG, checks.Tags.staticfiles)
    checks.register(builds.check_cdn_domain, TAG)
    # Not for collectstatic: they import every middleware, and where an image is built not all that
    # those need is there.
    checks.register(middleware.check_order, TAG)
    checks.register(middleware.check_whitenoise, TAG)
    for check in (
        builds.check_static_root,
        builds.check_debug,
        builds.check_build,
        builds.check_compressor,
    ):
        checks.register(check, TAG, deploy=True)
    for check in (
        content_security_policy.check_policies,
        origin_pull.check_ssl_redirect,
        origin_pull.check_allowed_hosts,
    ):
        checks.register(check, TAG, checks.Tags.security, deploy=True)
