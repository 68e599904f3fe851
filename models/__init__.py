"""The models, one family a file. A new file that registers an entry is all that a new model takes.

>>> from models import REGISTRY
>>> REGISTRY.get("resnet18").facts.native_size
224
"""

from bench.registry import discover
from models.entry import REGISTRY, Entry

discover("models")

__all__ = ["REGISTRY", "Entry"]
