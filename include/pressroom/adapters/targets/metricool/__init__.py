"""Metricool as a target: posts on any network that it serves, so also on LinkedIn, Facebook and Instagram.

Metricool schedules. It has no key under which a repeated request is recognised: a post whose answer is lost
is looked for by network, text and time. A piece without a time is scheduled for two minutes from now, and
looked for among what is to go out within the hour or went out in the last days.

Needs: the user's number in login, the token in password, the brand's number as ``blog_id`` in extra (see
``MetricoolSettings``). Fails as ``client`` says; a network that is not connected there is a wrong set-up.
"""

from pressroom.adapters.targets.metricool.client import MetricoolSettings as Settings
from pressroom.adapters.targets.metricool.target import MetricoolTarget as Target

__all__ = ["Settings", "Target"]
