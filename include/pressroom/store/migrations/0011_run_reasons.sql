-- Why a run fails is on record before it ends: the rank of the error that error_message tells of. NULL: no task has said
-- why. 3: the set-up is wrong; 2: permanent, or a defect; 1: transient.
ALTER TABLE runs ADD COLUMN error_rank smallint CHECK (error_rank BETWEEN 1 AND 3);
