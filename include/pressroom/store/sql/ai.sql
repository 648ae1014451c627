-- name: cached_answer
-- Returns the cached answer of a model call; no row when there is none.
SELECT answer FROM ai_cache WHERE account_id = %(account)s AND key = %(key)s

-- name: cache_answer
-- Inserts an answer into the cache, or replaces it.
INSERT INTO ai_cache (account_id, key, answer, model)
VALUES (%(account)s, %(key)s, %(answer)s, %(model)s)
ON CONFLICT (account_id, key) DO UPDATE SET answer = excluded.answer, created_at = now()

-- name: insert_ai_call
-- Inserts the record of one call of a model. Returns its id.
INSERT INTO ai_calls (account_id, run_id, workflow_id, stage, item, connection, model, kind, outcome,
                      prompt_tokens, completion_tokens, cents, milliseconds)
VALUES (%(account)s, %(run)s, %(workflow)s, %(stage)s, %(item)s, %(connection)s, %(model)s, %(kind)s, %(outcome)s,
        %(prompt_tokens)s, %(completion_tokens)s, %(cents)s, %(milliseconds)s)
RETURNING id

-- name: take_units
-- Takes units from a connection's rate limit. Returns whether they were taken, and the seconds to wait before they may
-- be used. The limit is a generic cell rate algorithm: due_at is when everything taken so far is worked off at the
-- permitted rate. `cost` is how long these units take at that rate, `slack` how far ahead the burst allowance lets them
-- start. Nothing is taken when the wait would be longer than `max_wait`. All are intervals.
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
-- Moves a rate limit's due time, once the real use of a call is known.
UPDATE rate_limits SET due_at = due_at + %(by)s WHERE connection = %(connection)s AND unit = %(unit)s

-- name: push_due
-- Moves a rate limit's due time to at least `wait` from now: the service asked for a pause.
INSERT INTO rate_limits AS held (connection, unit, due_at)
VALUES (%(connection)s, %(unit)s, clock_timestamp() + %(wait)s)
ON CONFLICT (connection, unit) DO UPDATE SET due_at = greatest(held.due_at, excluded.due_at)

-- name: learned_dialect
-- Returns what was learned of a connection's server and model; no row when no call has got through yet.
SELECT learned FROM model_dialects
WHERE connection = %(connection)s AND server = %(server)s AND model = %(model)s

-- name: learned_dialects
-- Returns what was learned of all servers and models of a connection.
SELECT server, model, learned, learned_at FROM model_dialects
WHERE connection = %(connection)s ORDER BY learned_at DESC

-- name: learn_dialect
-- Inserts what was learned of a server and model, or adds it to what is known.
INSERT INTO model_dialects AS known (connection, server, model, learned)
VALUES (%(connection)s, %(server)s, %(model)s, %(learned)s)
ON CONFLICT (connection, server, model) DO UPDATE
SET learned = known.learned || excluded.learned, learned_at = now()

-- name: forget_dialects
-- Deletes what was learned of a connection's servers and models.
DELETE FROM model_dialects WHERE connection = %(connection)s

-- name: connections_away
-- Returns which of the connections were down or out of money a moment ago.
SELECT connection FROM connections_away WHERE connection = ANY(%(connections)s) AND until > clock_timestamp()

-- name: connection_away
-- Notes that a connection is down or out of money, for as long as `lasts`.
INSERT INTO connections_away (connection, until) VALUES (%(connection)s, clock_timestamp() + %(lasts)s)
ON CONFLICT (connection) DO UPDATE SET until = greatest(connections_away.until, excluded.until)

-- name: connection_back
-- Deletes the note that a connection is down or out of money.
DELETE FROM connections_away WHERE connection = %(connection)s
