-- name: cached_answer
SELECT answer FROM ai_cache WHERE account_id = %(account)s AND key = %(key)s

-- name: cache_answer
INSERT INTO ai_cache (account_id, key, answer, model)
VALUES (%(account)s, %(key)s, %(answer)s, %(model)s)
ON CONFLICT (account_id, key) DO UPDATE SET answer = excluded.answer, created_at = now()

-- name: insert_ai_call
INSERT INTO ai_calls (account_id, run_id, workflow_id, stage, item, connection, model, kind, outcome,
                      prompt_tokens, completion_tokens, cents, milliseconds)
VALUES (%(account)s, %(run)s, %(workflow)s, %(stage)s, %(item)s, %(connection)s, %(model)s, %(kind)s, %(outcome)s,
        %(prompt_tokens)s, %(completion_tokens)s, %(cents)s, %(milliseconds)s)
RETURNING id

-- The rate limit is a generic cell rate algorithm: due_at is when everything taken so far will have been worked
-- off at the permitted rate. `cost` is how long these units take at that rate, `slack` how far ahead of that the
-- burst allowance lets them start. Nothing is taken when the wait would be longer than `max_wait`. All intervals.
-- name: take_units
WITH taken AS (
    INSERT INTO rate_limits AS held (connection, unit, due_at)
    VALUES (%(connection)s, %(unit)s, clock_timestamp() + %(cost)s)
    ON CONFLICT (connection, unit) DO UPDATE
    SET due_at = greatest(held.due_at, clock_timestamp()) + %(cost)s
    WHERE held.due_at - clock_timestamp() - %(slack)s <= %(max_wait)s
    RETURNING due_at - %(cost)s AS start
)
SELECT true AS taken, extract(epoch FROM start - clock_timestamp() - %(slack)s)::float8 AS wait FROM taken
UNION ALL
SELECT false, extract(epoch FROM due_at - clock_timestamp() - %(slack)s)::float8 FROM rate_limits
WHERE connection = %(connection)s AND unit = %(unit)s AND NOT EXISTS (SELECT FROM taken)

-- name: shift_due
UPDATE rate_limits SET due_at = due_at + %(by)s WHERE connection = %(connection)s AND unit = %(unit)s

-- name: push_due
INSERT INTO rate_limits AS held (connection, unit, due_at)
VALUES (%(connection)s, %(unit)s, clock_timestamp() + %(wait)s)
ON CONFLICT (connection, unit) DO UPDATE SET due_at = greatest(held.due_at, excluded.due_at)
