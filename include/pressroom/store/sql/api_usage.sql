-- The ledger as a list, and usage from daily sums (migration 0006).

-- name: workflow_known
-- Returns the workflow's id if the account has one of this kind.
SELECT id FROM workflows WHERE account_id = %(account)s AND id = %(workflow)s AND kind = %(kind)s

-- name: run_known
-- Returns the run's id if the account has the run.
SELECT id FROM runs WHERE account_id = %(account)s AND id = %(run)s

-- name: ledger_page
-- Returns a page of ledger entries, newest first. `at` and `id`: those of the last entry shown. `model`: only what calls
-- of it cost, whose notes begin with its name.
SELECT ledger.id, ledger.at, ledger.kind, ledger.credits, ledger.cents, ledger.workflow_id, workflows.kind AS workflow,
    workflows.slug, ledger.run_id, ledger.stage, ledger.item, ledger.note
FROM ledger
LEFT JOIN workflows ON workflows.account_id = ledger.account_id AND workflows.id = ledger.workflow_id
WHERE ledger.account_id = %(account)s
    AND (%(at)s::timestamptz IS NULL OR (ledger.at, ledger.id) < (%(at)s, %(id)s::bigint))
    AND (%(since)s::timestamptz IS NULL OR ledger.at >= %(since)s)
    AND (%(until)s::timestamptz IS NULL OR ledger.at < %(until)s)
    AND (%(kind)s::text IS NULL OR ledger.kind = %(kind)s)
    AND (%(workflow)s::bigint IS NULL OR ledger.workflow_id = %(workflow)s)
    AND (%(run)s::bigint IS NULL OR ledger.run_id = %(run)s)
    AND (%(stage)s::text IS NULL OR ledger.stage = %(stage)s)
    AND (%(model)s::text IS NULL OR starts_with(ledger.note, %(model)s || ' by '))
ORDER BY ledger.at DESC, ledger.id DESC
LIMIT %(limit)s

-- name: usage_spent
-- Returns credits and cents by key, summed from parts: each has a grouping (`bys`), a first and a last day, both
-- included. `daily`: the key is the day.
SELECT CASE WHEN %(daily)s::boolean THEN sums.day::text ELSE sums.key END AS key,
    sum(sums.credits) AS credits, sum(sums.cents) AS cents
FROM unnest(%(bys)s::text[], %(firsts)s::date[], %(lasts)s::date[]) AS part (by, first, last)
JOIN ledger_days AS sums ON sums.by = part.by AND sums.day BETWEEN part.first AND part.last
WHERE sums.account_id = %(account)s
GROUP BY 1

-- name: usage_calls
-- Returns model calls, tokens and cents by key. Parts and `daily` as in usage_spent.
SELECT CASE WHEN %(daily)s::boolean THEN sums.day::text ELSE sums.key END AS key,
    sum(sums.calls)::bigint AS calls, sum(sums.prompt_tokens)::bigint AS prompt_tokens,
    sum(sums.completion_tokens)::bigint AS completion_tokens, sum(sums.cents) AS cents
FROM unnest(%(bys)s::text[], %(firsts)s::date[], %(lasts)s::date[]) AS part (by, first, last)
JOIN ai_call_days AS sums ON sums.by = part.by AND sums.day BETWEEN part.first AND part.last
WHERE sums.account_id = %(account)s
GROUP BY 1

-- name: usage_workflows
-- Returns id and slug of these workflows of one kind.
SELECT id, slug FROM workflows
WHERE account_id = %(account)s AND kind = %(kind)s AND id = ANY(%(ids)s::bigint[])

-- name: usage_account
-- Returns the balances that a forecast starts from. `month_cap`: in cents, null when there is none.
SELECT now() AS now, created_at, balance, balance - reserved AS available,
    (definition #>> '{caps,month_cents}')::numeric AS month_cap
FROM accounts
WHERE id = %(account)s
