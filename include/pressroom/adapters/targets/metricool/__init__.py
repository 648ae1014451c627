from pressroom.adapters.targets.metricool.client import MetricoolSettings as Settings
from pressroom.adapters.targets.metricool.target import MetricoolTarget as Target

__all__ = ["Settings", "Target"]
