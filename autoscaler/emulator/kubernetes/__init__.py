"""A Kubernetes cluster on loopback: API server, small controllers, scheduler and hollow kubelets.

For tests, demos and benches: real HTTP and kubectl work against it. Its
judgement of where pods fit is its own, apart from the product's.
"""

from .kubelet import Delays, Instance
from .pages import PagesPlan
from .server import KubernetesEmulator, Options

__all__ = ["Delays", "Instance", "KubernetesEmulator", "Options", "PagesPlan"]
