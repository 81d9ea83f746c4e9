"""On the path of Python this keeps a worker from recording visits: what the store did before there were any.

Only bench/rows/visiting.py puts it there. It waits until the module is imported by those who need it.
"""

import importlib.abc
import importlib.machinery
import sys
from types import ModuleType

MODULE = "maicivy.storage.visit_store"


class _Loader(importlib.machinery.SourceFileLoader):
    def exec_module(self, module: ModuleType) -> None:
        super().exec_module(module)
        nothing = module.Recorded({}, set())
        module.VisitBook.record = lambda *_: nothing


class _Finder(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path, target=None):  # type: ignore[no-untyped-def]
        if name != MODULE:
            return None
        spec = importlib.machinery.PathFinder.find_spec(name, path, target)
        if spec is not None and spec.origin is not None:
            spec.loader = _Loader(name, spec.origin)
        return spec


sys.meta_path.insert(0, _Finder())
