-- Who answers gates on Airflow's page.

-- An answer that Pressroom gives to Airflow for somebody else. Airflow knows its own user only.
CREATE TABLE handed_answers (
    id           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    account_id   bigint NOT NULL,
    gate_id      bigint NOT NULL,
    actor        text NOT NULL,                  -- as in audit_log
    outcome      text NOT NULL,
    text         text NOT NULL,                  -- in place of the model's, or ''
    airflow_user text NOT NULL,                  -- in whose name Airflow is asked
    noted        boolean NOT NULL DEFAULT false, -- it is in audit_log
    at           timestamptz NOT NULL DEFAULT clock_timestamp(),
    FOREIGN KEY (account_id, gate_id) REFERENCES gates (account_id, id) ON DELETE CASCADE
);
CREATE INDEX handed_answers_gate ON handed_answers (account_id, gate_id);

-- Airflow's users, as the scheduler sees them: a worker cannot ask its auth manager.
CREATE TABLE airflow_users (
    name       text PRIMARY KEY,
    airflow_id text NOT NULL,
    administers boolean NOT NULL
);

-- Whether Airflow's auth manager has the account's roles: DAGs may name them then.
ALTER TABLE accounts ADD COLUMN airflow_roles boolean NOT NULL DEFAULT false;
