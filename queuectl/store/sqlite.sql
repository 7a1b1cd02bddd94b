-- The SQL of the SQLite store. Integers of milliseconds are times; lanes are rules.READY … DONE.
-- `ANY` columns hold TEXT, or a BLOB where the bytes are not UTF-8.

-- name: schema
CREATE TABLE queue (
  name TEXT PRIMARY KEY,
  paused INTEGER NOT NULL DEFAULT 0,
  job_limit INTEGER,
  -- a bound: nothing ready in this queue comes before it; all NULL when nothing is ready
  head_priority INTEGER,
  head_due INTEGER,
  head_id INTEGER
) STRICT, WITHOUT ROWID;
CREATE INDEX queue_head ON queue (head_priority DESC, head_due, head_id)
  WHERE head_id IS NOT NULL AND paused = 0;
CREATE TABLE job (
  -- never reused: `add` takes it from `sequence`, in the same transaction
  id INTEGER PRIMARY KEY,
  queue TEXT NOT NULL,
  name TEXT,
  state TEXT NOT NULL,
  lane INTEGER NOT NULL,
  priority INTEGER NOT NULL,
  due_at INTEGER NOT NULL,
  command ANY NOT NULL,
  args BLOB,
  shell INTEGER NOT NULL,
  cwd ANY NOT NULL,
  environment INTEGER NOT NULL,
  policy INTEGER NOT NULL,
  max_retries INTEGER NOT NULL,
  submitter TEXT NOT NULL,
  paused INTEGER NOT NULL DEFAULT 0,
  has_stdin INTEGER NOT NULL DEFAULT 0,
  created_at INTEGER NOT NULL,
  next_run_at INTEGER,
  claimed_at INTEGER,
  started_at INTEGER,
  finished_at INTEGER,
  attempts INTEGER NOT NULL DEFAULT 0,
  deliveries INTEGER NOT NULL DEFAULT 0,
  runs INTEGER NOT NULL DEFAULT 0,
  cancel_requested INTEGER NOT NULL DEFAULT 0,
  reason TEXT,
  exit_code INTEGER,
  host TEXT,
  token TEXT
) STRICT;
CREATE INDEX job_ready ON job (queue, priority DESC, due_at, id) WHERE lane = 0;
CREATE INDEX job_later ON job (due_at) WHERE lane = 1;
CREATE INDEX job_running ON job (queue) WHERE lane = 3;
CREATE INDEX job_open ON job (id) WHERE lane < 4;
CREATE INDEX job_done ON job (finished_at) WHERE lane = 4;
CREATE INDEX job_trouble ON job (state, id) WHERE state IN ('failed', 'dead', 'cancelled');
CREATE UNIQUE INDEX job_name ON job (name) WHERE name IS NOT NULL AND lane < 4;
CREATE INDEX job_old_name ON job (name, id) WHERE name IS NOT NULL;
CREATE TABLE sequence (name TEXT PRIMARY KEY, last INTEGER NOT NULL) STRICT, WITHOUT ROWID;
INSERT INTO sequence VALUES ('job', 0);
CREATE TABLE attempt (
  job_id INTEGER NOT NULL,
  run INTEGER NOT NULL,
  host TEXT,
  due_at INTEGER,
  started_at INTEGER NOT NULL,
  finished_at INTEGER,
  kind TEXT,
  code INTEGER,
  reason TEXT,
  user_ms INTEGER NOT NULL DEFAULT 0,
  system_ms INTEGER NOT NULL DEFAULT 0,
  max_rss_kib INTEGER NOT NULL DEFAULT 0,
  stdout_bytes INTEGER NOT NULL DEFAULT 0,
  stderr_bytes INTEGER NOT NULL DEFAULT 0,
  message TEXT,
  PRIMARY KEY (job_id, run)
) STRICT, WITHOUT ROWID;
CREATE TABLE output (
  id INTEGER PRIMARY KEY,
  job_id INTEGER NOT NULL,
  run INTEGER NOT NULL,
  data BLOB NOT NULL,
  marks BLOB NOT NULL,
  path ANY,
  stdout_bytes INTEGER NOT NULL,
  stderr_bytes INTEGER NOT NULL,
  complete INTEGER NOT NULL
) STRICT;
CREATE UNIQUE INDEX output_of ON output (job_id, run);
CREATE TABLE payload (job_id INTEGER PRIMARY KEY, data BLOB NOT NULL) STRICT;
CREATE TABLE environment (id INTEGER PRIMARY KEY, pairs BLOB NOT NULL UNIQUE) STRICT;
CREATE TABLE policy (id INTEGER PRIMARY KEY, pairs BLOB NOT NULL UNIQUE) STRICT;
CREATE TABLE counter (
  queue TEXT NOT NULL,
  state TEXT NOT NULL,
  jobs INTEGER NOT NULL,
  PRIMARY KEY (queue, state)
) STRICT, WITHOUT ROWID;
CREATE TABLE setting (
  queue TEXT NOT NULL,
  name TEXT NOT NULL,
  value TEXT NOT NULL,
  PRIMARY KEY (queue, name)
) STRICT, WITHOUT ROWID;
CREATE TABLE host (
  id TEXT PRIMARY KEY,
  hostname TEXT NOT NULL,
  user TEXT NOT NULL,
  pid INTEGER NOT NULL,
  version TEXT NOT NULL,
  workers INTEGER NOT NULL,
  queues TEXT NOT NULL,
  started_at INTEGER NOT NULL,
  seen_at INTEGER NOT NULL,
  stop_requested TEXT,
  stop_workers INTEGER
) STRICT, WITHOUT ROWID;
CREATE TABLE wish (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  host TEXT NOT NULL,
  job_id INTEGER NOT NULL,
  token TEXT NOT NULL,
  kind TEXT NOT NULL,
  payload BLOB NOT NULL
) STRICT;
CREATE INDEX wish_host ON wish (host);
INSERT INTO queue (name) VALUES ('default'), ('hooks');

-- name: add
INSERT INTO job (queue, name, state, lane, priority, due_at, command, args, shell, cwd, environment,
  policy, max_retries, submitter, paused, has_stdin, created_at, next_run_at, id)
VALUES (?, ?, 'pending', ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)

-- name: last_id
SELECT last FROM sequence WHERE name = 'job'

-- name: take_ids
UPDATE sequence SET last = ? WHERE name = 'job'

-- name: intern_environment
INSERT INTO environment (pairs) VALUES (?) ON CONFLICT DO NOTHING

-- name: environment_id
SELECT id FROM environment WHERE pairs = ?

-- name: intern_policy
INSERT INTO policy (pairs) VALUES (?) ON CONFLICT DO NOTHING

-- name: policy_id
SELECT id FROM policy WHERE pairs = ?

-- name: raise_head
UPDATE queue SET head_priority = ?1, head_due = ?2, head_id = ?3
WHERE name = ?4
  AND (head_id IS NULL OR (-head_priority, head_due, head_id) > (-?1, ?2, ?3))

-- name: set_head
UPDATE queue SET head_priority = ?, head_due = ?, head_id = ? WHERE name = ?

-- name: count_up
INSERT INTO counter (queue, state, jobs) VALUES (?1, ?2, ?3)
ON CONFLICT DO UPDATE SET jobs = jobs + ?3

-- name: promote
-- INDEXED BY: an id list from the later lane only, never a walk over the table
UPDATE job SET lane = 0 WHERE id IN (
  SELECT id FROM job INDEXED BY job_later WHERE lane = 1 AND due_at <= ? ORDER BY due_at LIMIT 1000)
RETURNING queue, priority, due_at, id

-- name: queue_heads
SELECT name, job_limit, head_priority, head_due, head_id FROM queue INDEXED BY queue_head
WHERE head_id IS NOT NULL AND paused = 0
ORDER BY head_priority DESC, head_due, head_id

-- name: running_in_queue
SELECT count(*) FROM job INDEXED BY job_running WHERE lane = 3 AND queue = ?

-- name: claimable
SELECT id, runs + 1, queue, priority, command, args, shell, cwd, environment, policy, has_stdin,
  attempts, max_retries, due_at, name
FROM job INDEXED BY job_ready WHERE lane = 0 AND queue = ?
ORDER BY priority DESC, due_at, id LIMIT ?

-- name: head_of
SELECT priority, due_at, id FROM job INDEXED BY job_ready WHERE lane = 0 AND queue = ?
ORDER BY priority DESC, due_at, id LIMIT 1

-- name: end_of
SELECT priority, due_at, id FROM job INDEXED BY job_ready WHERE lane = 0 AND queue = ?
ORDER BY priority, due_at DESC, id DESC LIMIT 1

-- name: ahead_of
SELECT count(*) FROM (
  SELECT 1 FROM job INDEXED BY job_ready WHERE lane = 0 AND queue = ?1 AND priority > ?2
  UNION ALL
  SELECT 1 FROM job INDEXED BY job_ready
  WHERE lane = 0 AND queue = ?1 AND priority = ?2 AND (due_at, id) < (?3, ?4)
  LIMIT ?5)

-- name: claim
UPDATE job SET lane = 3, token = ?, host = ?, deliveries = deliveries + 1, claimed_at = ?
WHERE id = ?

-- name: facts
SELECT queue, state, lane, token, attempts, deliveries, max_retries, policy, due_at,
  cancel_requested, paused, runs, host, priority
FROM job WHERE id = ?

-- name: start
UPDATE job SET state = 'processing', attempts = attempts + 1, runs = ?, started_at = ?,
  next_run_at = NULL
WHERE id = ?

-- name: end_claim
-- without a reason nothing has ended: what the last ending left stays
UPDATE job SET state = ?1, lane = ?2, due_at = ?3, next_run_at = ?4, attempts = ?5,
  finished_at = ?6, reason = coalesce(?7, reason),
  exit_code = CASE WHEN ?7 IS NULL THEN exit_code ELSE ?8 END, runs = ?9,
  started_at = coalesce(?10, started_at), deliveries = deliveries - ?11, cancel_requested = 0,
  host = NULL, token = NULL, claimed_at = NULL
WHERE id = ?12

-- name: begin_attempt
INSERT INTO attempt (job_id, run, host, due_at, started_at) VALUES (?, ?, ?, ?, ?)
ON CONFLICT DO NOTHING

-- name: end_attempt
INSERT INTO attempt (job_id, run, host, due_at, started_at, finished_at, kind, code, reason,
  user_ms, system_ms, max_rss_kib, stdout_bytes, stderr_bytes, message)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT DO UPDATE SET finished_at = excluded.finished_at, kind = excluded.kind,
  code = excluded.code, reason = excluded.reason, user_ms = excluded.user_ms,
  system_ms = excluded.system_ms, max_rss_kib = excluded.max_rss_kib,
  stdout_bytes = excluded.stdout_bytes, stderr_bytes = excluded.stderr_bytes,
  message = excluded.message

-- name: keep_output
INSERT INTO output (job_id, run, data, marks, path, stdout_bytes, stderr_bytes, complete)
VALUES (?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT DO NOTHING

-- name: change
UPDATE job SET state = ?, lane = ?, due_at = ?, next_run_at = ?, finished_at = ?, reason = ?,
  attempts = ?, deliveries = ?, cancel_requested = 0
WHERE id = ?

-- name: request_cancel
UPDATE job SET cancel_requested = 1 WHERE id = ?

-- name: held_by
SELECT id, token, runs + (state <> 'processing'),
  CASE WHEN state = 'processing' THEN started_at END
FROM job INDEXED BY job_running WHERE lane = 3 AND host = ?

-- name: next_due
SELECT due_at FROM job INDEXED BY job_later WHERE lane = 1 ORDER BY due_at LIMIT 1

-- name: old_done
SELECT id FROM job INDEXED BY job_done WHERE lane = 4 AND finished_at < ? AND state IN ({states})
ORDER BY finished_at LIMIT ?

-- name: put_host
INSERT INTO host (id, hostname, user, pid, version, workers, queues, started_at, seen_at,
  stop_requested, stop_workers)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT DO UPDATE SET workers = excluded.workers, queues = excluded.queues,
  seen_at = excluded.seen_at, stop_requested = excluded.stop_requested,
  stop_workers = excluded.stop_workers
