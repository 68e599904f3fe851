"""What all tests share: hypothesis without deadlines, for machines are noisy; and one thread each.

Tests run in two processes at once. Torch's threads spin while they wait for each other, so that two
processes with two threads each would take many times as long as with one.
"""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

from hypothesis import settings

settings.register_profile("quiet", deadline=None)
settings.load_profile("quiet")
