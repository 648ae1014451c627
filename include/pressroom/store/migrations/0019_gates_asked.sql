-- When a gate was last opened, or its answers were taken back. An answer that was given before is not for it.
ALTER TABLE gates ADD COLUMN asked_at timestamptz NOT NULL DEFAULT now();
