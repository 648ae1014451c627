-- name: account_balance
SELECT balance, reserved, spent_cents FROM accounts WHERE id = %(account)s

-- name: lock_account
-- As everywhere, NO KEY: every row that refers to the account locks its key for a moment, and whoever waited for the
-- whole row would stand in the way of the update that comes after.
SELECT id FROM accounts WHERE id = %(account)s FOR NO KEY UPDATE

-- name: ledger_grant
INSERT INTO ledger (account_id, kind, credits, note, entry_key)
VALUES (%(account)s, 'grant', %(credits)s, %(note)s, %(entry_key)s)
ON CONFLICT (account_id, entry_key) DO NOTHING

-- name: ledger_charge
INSERT INTO ledger (account_id, kind, credits, workflow_id, run_id, stage, item, entry_key)
VALUES (%(account)s, 'charge', %(credits)s, %(workflow)s, %(run)s, %(stage)s, %(item)s, %(entry_key)s)

-- name: ledger_cost
INSERT INTO ledger (account_id, kind, cents, workflow_id, run_id, stage, item, entry_key, note)
VALUES (%(account)s, 'cost', %(cents)s, %(workflow)s, %(run)s, %(stage)s, %(item)s, %(entry_key)s, %(note)s)

-- name: own_reservation
SELECT credits FROM reservations
WHERE account_id = %(account)s AND run_id = %(run)s AND stage = %(stage)s AND item = %(item)s

-- name: reserve_credits
INSERT INTO reservations (account_id, workflow_id, run_id, stage, item, credits)
VALUES (%(account)s, %(workflow)s, %(run)s, %(stage)s, %(item)s, %(credits)s)
ON CONFLICT (run_id, stage, item) DO UPDATE SET credits = excluded.credits, cents = 0, at = now()

-- name: release_reservation
DELETE FROM reservations
WHERE account_id = %(account)s AND run_id = %(run)s AND stage = %(stage)s AND item = %(item)s

-- name: release_run_reservations
DELETE FROM reservations WHERE account_id = %(account)s AND run_id = %(run)s

-- name: hold_cents
INSERT INTO reservations (account_id, workflow_id, run_id, stage, item, cents)
VALUES (%(account)s, %(workflow)s, %(run)s, %(stage)s, %(item)s, greatest(%(cents)s, 0))
ON CONFLICT (run_id, stage, item) DO UPDATE SET cents = greatest(reservations.cents + %(cents)s, 0)

-- name: spent_cents
SELECT
    (SELECT coalesce(sum(cents), 0) FROM ledger
     WHERE account_id = %(account)s AND kind = 'cost' AND run_id = %(run)s)
    + (SELECT coalesce(sum(cents), 0) FROM reservations
       WHERE account_id = %(account)s AND run_id = %(run)s) AS run,
    (SELECT coalesce(sum(cents), 0) FROM ledger
     WHERE account_id = %(account)s AND kind = 'cost' AND at >= date_trunc('month', now())
       AND workflow_id = %(workflow)s)
    + (SELECT coalesce(sum(cents), 0) FROM reservations
       WHERE account_id = %(account)s AND workflow_id = %(workflow)s) AS workflow_month,
    (SELECT coalesce(sum(cents), 0) FROM ledger
     WHERE account_id = %(account)s AND kind = 'cost' AND workflow_id = %(workflow)s)
    + (SELECT coalesce(sum(cents), 0) FROM reservations
       WHERE account_id = %(account)s AND workflow_id = %(workflow)s) AS workflow_total,
    (SELECT coalesce(sum(cents), 0) FROM ledger
     WHERE account_id = %(account)s AND kind = 'cost' AND at >= date_trunc('month', now()))
    + held.cents AS account_month,
    accounts.spent_cents + held.cents AS account_total
FROM accounts
CROSS JOIN (SELECT coalesce(sum(cents), 0) AS cents FROM reservations WHERE account_id = %(account)s) AS held
WHERE accounts.id = %(account)s

-- name: refund_run
-- Each charge of the run once: the refund's key is made of the charge's own.
WITH refunds AS (
    INSERT INTO ledger (account_id, kind, credits, workflow_id, run_id, stage, item, entry_key, note)
    SELECT account_id, 'adjustment', -credits, workflow_id, run_id, stage, item, 'refund:' || id, 'rolled back'
    FROM ledger
    WHERE account_id = %(account)s AND run_id = %(run)s AND kind = 'charge'
    ON CONFLICT (account_id, entry_key) DO NOTHING
)
SELECT coalesce(-sum(credits), 0) FROM ledger
WHERE account_id = %(account)s AND run_id = %(run)s AND kind = 'charge'
