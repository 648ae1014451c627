-- What was learned of a model's server: the parameters that it takes, and how much the model thinks. Of the connection, and
-- so of no account: all workers on all hosts share it.
CREATE TABLE model_dialects (
    connection text NOT NULL,
    server     text NOT NULL,             -- the base URL: another server under the same connection is another dialect
    model      text NOT NULL,
    learned    jsonb NOT NULL,            -- the fields of a dialect that differ from its first form
    learned_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (connection, server, model)
);
