"""All formulations by name; one more is a module, a line here and a name in the schema."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from semflow.formulations.bbdm import BBDM
from semflow.formulations.dsm import DSM, VPredictionDSM
from semflow.formulations.protocol import Formulation
from semflow.formulations.semflow import SemFlow
from semflow.formulations.symmflow import SymmFlow

FORMULATIONS: Mapping[str, Formulation] = MappingProxyType(
    {
        formulation.name: formulation
        for formulation in (SemFlow(), DSM(), VPredictionDSM(), SymmFlow(), BBDM())
    }
)
