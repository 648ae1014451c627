-- Lists and counts of the control API ------------------------------------------------------------

-- Runs in a state that few are in.
CREATE INDEX runs_state ON runs (account_id, status, id DESC);

-- How many items of a site are in which status, read from the index alone: `account_id` is in it because every
-- statement asks for it.
CREATE INDEX keywords_by_status ON keywords (site_id, status, disabled, account_id);
CREATE INDEX clusters_by_status ON clusters (site_id, status, disabled, account_id);
CREATE INDEX ideas_by_status ON ideas (site_id, status, disabled, account_id);
CREATE INDEX tasks_by_status ON tasks (site_id, status, account_id);
CREATE INDEX contents_by_status ON contents (site_id, status, account_id);
CREATE INDEX images_by_status ON images (site_id, status, account_id);

-- What was disabled, among many that were not.
CREATE INDEX keywords_disabled ON keywords (account_id, id) WHERE disabled;
CREATE INDEX clusters_disabled ON clusters (account_id, id) WHERE disabled;
CREATE INDEX ideas_disabled ON ideas (account_id, id) WHERE disabled;
