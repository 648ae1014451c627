-- name: account_balance
-- Returns the account's balance, reserved credits and spent cents.
SELECT balance, reserved, spent_cents FROM accounts WHERE id = %(account)s

-- name: lock_account
-- Locks the account's row until the transaction ends. NO KEY: a row that refers to the account locks its key for a
-- moment, and a lock on the whole row would wait for it and block the update that follows.
SELECT id FROM accounts WHERE id = %(account)s FOR NO KEY UPDATE

-- name: ledger_grant
-- Inserts a grant of credits. No row when the entry exists.
INSERT INTO ledger (account_id, kind, credits, note, entry_key)
VALUES (%(account)s, 'grant', %(credits)s, %(note)s, %(entry_key)s)
ON CONFLICT (account_id, entry_key) DO NOTHING

-- name: ledger_charge
-- Inserts an item's charge in credits.
INSERT INTO ledger (account_id, kind, credits, workflow_id, run_id, stage, item, entry_key)
VALUES (%(account)s, 'charge', %(credits)s, %(workflow)s, %(run)s, %(stage)s, %(item)s, %(entry_key)s)

-- name: ledger_cost
-- Inserts a provider's cost in cents.
INSERT INTO ledger (account_id, kind, cents, workflow_id, run_id, stage, item, entry_key, note)
VALUES (%(account)s, 'cost', %(cents)s, %(workflow)s, %(run)s, %(stage)s, %(item)s, %(entry_key)s, %(note)s)

-- name: own_reservation
-- Returns the credits reserved for an item.
SELECT credits FROM reservations
WHERE account_id = %(account)s AND run_id = %(run)s AND stage = %(stage)s AND item = %(item)s

-- name: reserve_credits
-- Reserves credits for an item; replaces an earlier reservation.
INSERT INTO reservations (account_id, workflow_id, run_id, stage, item, credits)
VALUES (%(account)s, %(workflow)s, %(run)s, %(stage)s, %(item)s, %(credits)s)
ON CONFLICT (run_id, stage, item) DO UPDATE SET credits = excluded.credits, cents = 0, at = now()

-- name: release_reservation
-- Deletes an item's reservation.
DELETE FROM reservations
WHERE account_id = %(account)s AND run_id = %(run)s AND stage = %(stage)s AND item = %(item)s

-- name: release_run_reservations
-- Deletes all reservations of a run, but those of the provider's batches that are not over: what they cost comes later.
DELETE FROM reservations
WHERE account_id = %(account)s AND run_id = %(run)s AND NOT EXISTS (
    SELECT FROM model_batches
    WHERE model_batches.run_id = reservations.run_id AND reservations.item = 'batch ' || model_batches.id
      AND model_batches.status NOT IN ('ended', 'refused'))

-- name: hold_cents
-- Adds to the cents held for an item; a negative amount gives back.
INSERT INTO reservations (account_id, workflow_id, run_id, stage, item, cents)
VALUES (%(account)s, %(workflow)s, %(run)s, %(stage)s, %(item)s, greatest(%(cents)s, 0))
ON CONFLICT (run_id, stage, item) DO UPDATE SET cents = greatest(reservations.cents + %(cents)s, 0)

-- name: spent_cents
-- Returns the cents spent of the run, of the workflow (month, total) and of the account (month, total), and those held for
-- calls in flight of each.
SELECT
    (SELECT coalesce(sum(cents), 0) FROM ledger
     WHERE account_id = %(account)s AND kind = 'cost' AND run_id = %(run)s) AS run,
    (SELECT coalesce(sum(cents), 0) FROM ledger
     WHERE account_id = %(account)s AND kind = 'cost' AND at >= date_trunc('month', now())
       AND workflow_id = %(workflow)s) AS workflow_month,
    (SELECT coalesce(sum(cents), 0) FROM ledger
     WHERE account_id = %(account)s AND kind = 'cost' AND workflow_id = %(workflow)s) AS workflow_total,
    (SELECT coalesce(sum(cents), 0) FROM ledger
     WHERE account_id = %(account)s AND kind = 'cost' AND at >= date_trunc('month', now())) AS account_month,
    accounts.spent_cents AS account_total,
    (SELECT coalesce(sum(cents), 0) FROM reservations WHERE account_id = %(account)s AND run_id = %(run)s) AS held_run,
    (SELECT coalesce(sum(cents), 0) FROM reservations
     WHERE account_id = %(account)s AND workflow_id = %(workflow)s) AS held_workflow,
    (SELECT coalesce(sum(cents), 0) FROM reservations WHERE account_id = %(account)s) AS held_account
FROM accounts
WHERE accounts.id = %(account)s

-- name: refund_run
-- Refunds each charge of the run once: the refund's key contains the charge's id. Returns the refunded credits.
WITH refunds AS (
    INSERT INTO ledger (account_id, kind, credits, workflow_id, run_id, stage, item, entry_key, note)
    SELECT account_id, 'adjustment', -credits, workflow_id, run_id, stage, item, 'refund:' || id, 'rolled back'
    FROM ledger
    WHERE account_id = %(account)s AND run_id = %(run)s AND kind = 'charge'
    ON CONFLICT (account_id, entry_key) DO NOTHING
)
SELECT coalesce(-sum(credits), 0) FROM ledger
WHERE account_id = %(account)s AND run_id = %(run)s AND kind = 'charge'
