"""Airflow's connections and variables for its own processes, the API server and the scheduler: from its
database, or from where its secrets are kept.
"""

from __future__ import annotations

from airflow.models.connection import Connection
from airflow.models.variable import Variable

from pressroom.orchestration.tools.connections import Connections

OF_SERVER = Connections(
    lambda connection_id: Connection.get_connection_from_secrets(connection_id),
    lambda name: Variable.get_variable_from_secrets(name),
    (Exception,),  # which class it is differs with the secrets backend
)
