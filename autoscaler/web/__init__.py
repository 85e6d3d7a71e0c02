"""What the process shows over HTTP: metrics, life, readiness, health.

`server` answers, `health` judges, `address` reads where to listen. Decides
nothing and knows neither Kubernetes nor AWS; what it shows is handed in.
"""

from autoscaler.web.health import Health, HealthLimits
from autoscaler.web.server import Pages, Server

__all__ = ["Health", "HealthLimits", "Pages", "Server"]
