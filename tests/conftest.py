"""What all tests share: hypothesis without deadlines, for machines are noisy."""

from hypothesis import settings

settings.register_profile("quiet", deadline=None)
settings.load_profile("quiet")
