"""Django's own tests of static files and WhiteNoise's own, side by side.

    python -m tests.conformance

Exits with the highest exit code of the two.
"""

from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor

from . import django_suite, whitenoise_suite

if __name__ == "__main__":
    with ThreadPoolExecutor() as pool:
        codes = list(pool.map(lambda suite: suite.main([]), (django_suite, whitenoise_suite)))
    sys.exit(max(codes))
