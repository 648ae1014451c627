-- Connections to models that were down or out of money a moment ago. Of the connection, and so of no account: all workers
-- on all hosts ask its fallback first until then.
CREATE TABLE connections_away (
    connection text PRIMARY KEY,
    until      timestamptz NOT NULL
);
