"""All formulations by name; one more is a module, a line here and a name in the schema."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from semflow.formulations.protocol import Formulation
from semflow.formulations.semflow import SemFlow

FORMULATIONS: Mapping[str, Formulation] = MappingProxyType({"semflow": SemFlow()})
