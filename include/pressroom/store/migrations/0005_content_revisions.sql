-- Content that is written anew -------------------------------------------------------------------
-- The version before is archived, and what it was made of is superseded by a copy that says which version it is, and
-- what its reviewer wants. So every version has its own task or slot, and its own entries in the ledger.

ALTER TABLE tasks ADD COLUMN revision integer NOT NULL DEFAULT 1 CHECK (revision >= 1);
ALTER TABLE tasks ADD COLUMN guidance text NOT NULL DEFAULT '';
ALTER TABLE tasks DROP CONSTRAINT tasks_status_check;
ALTER TABLE tasks ADD CHECK (status IN ('queued', 'completed', 'superseded'));
ALTER TABLE tasks DROP CONSTRAINT tasks_idea_id_key;
ALTER TABLE tasks ADD UNIQUE (idea_id, revision);
CREATE UNIQUE INDEX tasks_current ON tasks (idea_id) WHERE status <> 'superseded';  -- an idea becomes one task at a time

ALTER TABLE slots ADD COLUMN revision integer NOT NULL DEFAULT 1 CHECK (revision >= 1);
ALTER TABLE slots ADD COLUMN guidance text NOT NULL DEFAULT '';

-- An archived article leaves its slug to the next version.
ALTER TABLE contents DROP CONSTRAINT contents_site_id_slug_key;
CREATE UNIQUE INDEX contents_slug ON contents (site_id, slug) WHERE status <> 'archived';

-- Lists -------------------------------------------------------------------------------------------
-- Newest first, by status: a list of several statuses takes the first rows of each.

CREATE INDEX contents_newest ON contents (account_id, status, created_at DESC, id DESC);
CREATE INDEX contents_newest_of_site ON contents (site_id, status, created_at DESC, id DESC);
CREATE INDEX posts_newest ON posts (account_id, status, created_at DESC, id DESC);
CREATE INDEX posts_newest_of_mission ON posts (mission_id, status, created_at DESC, id DESC);

CREATE INDEX publications_newest ON publications (account_id, status, id DESC);
DROP INDEX publications_status;
CREATE INDEX publications_newest_of_workflow ON publications (workflow_id, status, id DESC);
