"""The models, one file per family. A new model is one new file that registers an entry.

>>> from models import REGISTRY
>>> REGISTRY.get("resnet18").facts.native_size
224
"""

from bench.registry import discover
from models.entry import REGISTRY, Entry

discover("models")

__all__ = ["REGISTRY", "Entry"]
