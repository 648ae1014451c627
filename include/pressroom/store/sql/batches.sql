-- name: open_batches
-- Returns the batches of a workflow's stage that are not over, whichever run submitted them.
SELECT id, workflow_id, run_id, stage, connection, model, mark, status, attempted_at, external_id, created_at
FROM model_batches
WHERE account_id = %(account)s AND workflow_id = %(workflow)s AND stage = %(stage)s
  AND status NOT IN ('ended', 'refused')
ORDER BY id

-- name: open_batches_of_run
-- Returns the batches of a run that are not over.
SELECT id, workflow_id, run_id, stage, connection, model, mark, status, attempted_at, external_id, created_at
FROM model_batches
WHERE account_id = %(account)s AND run_id = %(run)s AND status NOT IN ('ended', 'refused')
ORDER BY id

-- name: stray_batch
-- Returns a batch that is not over, while its run is, and how the run ended.
SELECT batches.id, batches.workflow_id, run_id, stage, connection, model, mark, batches.status, attempted_at,
       external_id, created_at, runs.status AS run_status
FROM model_batches AS batches JOIN runs ON runs.account_id = batches.account_id AND runs.id = batches.run_id
WHERE batches.account_id = %(account)s AND batches.id = %(batch)s
  AND batches.status NOT IN ('ended', 'refused') AND runs.status NOT IN ('running', 'paused')

-- name: insert_batch
-- Inserts a batch that is to be submitted. Returns it.
INSERT INTO model_batches (account_id, workflow_id, run_id, stage, connection, model, mark)
VALUES (%(account)s, %(workflow)s, %(run)s, %(stage)s, %(connection)s, %(model)s, %(mark)s)
RETURNING id, workflow_id, run_id, stage, connection, model, mark, status, attempted_at, external_id, created_at

-- name: insert_batch_request
-- Inserts one request of a batch. `expected`: the most tokens that it may use, of the prompt and of the answer.
INSERT INTO model_batch_requests (account_id, batch_id, key, item, expected)
VALUES (%(account)s, %(batch)s, %(key)s, %(item)s, %(expected)s)

-- name: claim_batch
-- Begins an attempt to submit a batch, or to find it. Returns its time; no row when another process has begun one.
UPDATE model_batches SET status = 'submitting', attempted_at = clock_timestamp()
WHERE account_id = %(account)s AND id = %(batch)s AND attempted_at = %(seen)s AND status IN ('planned', 'submitting')
RETURNING attempted_at

-- name: batch_submitted
-- Records the provider's id of a batch.
UPDATE model_batches SET status = 'submitted', external_id = %(external)s
WHERE account_id = %(account)s AND id = %(batch)s AND status IN ('planned', 'submitting')

-- name: batch_stopped
-- Notes that a batch is cancelled because its run is to stop.
UPDATE model_batches SET stopped = true WHERE account_id = %(account)s AND id = %(batch)s

-- name: end_batch
-- Ends a batch. No row when another process has ended it.
UPDATE model_batches SET status = %(status)s
WHERE account_id = %(account)s AND id = %(batch)s AND status NOT IN ('ended', 'refused')

-- name: batch_requests_open
-- Returns the requests of a batch that nothing is known of, and their items.
SELECT key, item, expected FROM model_batch_requests
WHERE account_id = %(account)s AND batch_id = %(batch)s AND status = 'open'

-- name: settle_batch_request
-- Records what became of a request.
UPDATE model_batch_requests SET status = %(status)s, reply = %(reply)s
WHERE account_id = %(account)s AND batch_id = %(batch)s AND key = %(key)s AND status = 'open'

-- name: batch_replies
-- Returns the replies that batches brought to these requests.
SELECT DISTINCT ON (key) key, reply FROM model_batch_requests
WHERE account_id = %(account)s AND key = ANY(%(keys)s::text[]) AND status = 'answered'
ORDER BY key, batch_id DESC

-- name: batch_reply
-- Returns the reply that a batch brought to a request; no row when the answer is in the cache already.
SELECT reply FROM model_batch_requests
WHERE account_id = %(account)s AND key = %(key)s AND status = 'answered'
  AND NOT EXISTS (SELECT FROM ai_cache WHERE account_id = %(account)s AND key = %(key)s)
ORDER BY batch_id DESC LIMIT 1

-- name: batch_requests_known
-- Returns which of these requests are in a batch already, or were in one of this run that brought no answer.
SELECT DISTINCT requests.key FROM model_batch_requests AS requests
JOIN model_batches AS batches ON batches.id = requests.batch_id
WHERE requests.account_id = %(account)s AND requests.key = ANY(%(keys)s::text[])
  AND (requests.status IN ('open', 'answered') AND batches.status <> 'refused'
       OR batches.run_id = %(run)s AND NOT batches.stopped)

-- name: cached_answers
-- Returns the cached answers to these requests.
SELECT key, answer FROM ai_cache WHERE account_id = %(account)s AND key = ANY(%(keys)s::text[])
