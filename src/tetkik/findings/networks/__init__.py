"""Networks that see findings: our own in plain torch, and any image classifier of transformers."""

from tetkik.findings.networks.registry import FAMILIES, Family, build, preprocessing_of
from tetkik.networks.network import Network

__all__ = ["FAMILIES", "Family", "Network", "build", "preprocessing_of"]
