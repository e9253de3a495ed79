"""What WhiteNoise's tests import beside themselves; their sdist has the test modules alone.

`whitenoise_suite` puts these modules where the tests expect them, as ``tests.utils`` and so on.
"""
