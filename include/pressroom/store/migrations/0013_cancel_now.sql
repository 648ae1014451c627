-- A cancelled run finishes its current items; with cancel_now its calls in flight are stopped as well.
ALTER TABLE runs ADD COLUMN cancel_now boolean NOT NULL DEFAULT false;
