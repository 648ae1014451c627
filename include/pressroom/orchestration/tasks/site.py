"""What a site's DAG has besides its stages."""

from __future__ import annotations

from airflow.sdk import Context
from airflow.sdk.exceptions import AirflowSkipException

from pressroom.orchestration.tasks.run_operator import RunOperator
from pressroom.pipelines.site.publish import anything_to_publish


class AnnounceApproved(RunOperator):
    """Succeeds, and so has an event for the asset of approved articles, when there are any to publish."""

    def execute(self, context: Context) -> None:
        """Skipped, and no event, when there are none."""
        opened = self._opened(context)
        self._until_it_may(opened)
        with opened.store.transaction(opened.run.account_id) as tx:
            if not anything_to_publish(tx, opened.run):
                raise AirflowSkipException("no approved article waits for a target")
