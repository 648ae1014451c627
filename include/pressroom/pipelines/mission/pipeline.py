"""The mission pipeline: objectives in, published and measured posts out, and a better next cycle."""

from pressroom.pipelines.mission import analytics, content, intake, optimize, publish, strategy
from pressroom.pipelines.mission.cycle import admit, estimate_run, settle
from pressroom.pipelines.stage import Pipeline

MISSION = Pipeline(
    "mission",
    [
        intake.STAGE,
        strategy.STAGE,
        content.STAGE,
        publish.STAGE,
        analytics.STAGE,
        optimize.STAGE,
    ],
    estimate=estimate_run,
    waiting=lambda tx, mission: tx.rows("mission_waiting", mission=mission)[0],
    admit=admit,
    settle=settle,
)
"""One run is one cycle; what optimize stores, the next run's strategy goes by."""
