-- The SQL of the SQLite store. Integers of milliseconds are times; lanes are rules.READY … DONE.
-- `ANY` columns hold TEXT, or a BLOB where the bytes are not UTF-8.

-- name: schema
CREATE TABLE queue (
  name TEXT PRIMARY KEY,
  paused INTEGER NOT NULL DEFAULT 0,
  paused_why TEXT,
  job_limit INTEGER,
  rate_starts INTEGER,
  rate_period INTEGER,
  rate_next INTEGER,
  pull INTEGER NOT NULL DEFAULT 0,
  deaths INTEGER NOT NULL DEFAULT 0
) STRICT, WITHOUT ROWID;
-- jobs that are alike in whether they may be started; AUTOINCREMENT: what is kept of a row in
-- memory is right for ever
CREATE TABLE track (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  queue TEXT NOT NULL,
  -- the array whose limit holds; 0 is none
  array_id INTEGER NOT NULL,
  array_limit INTEGER,
  needs BLOB NOT NULL,
  -- as the queue is
  paused INTEGER NOT NULL,
  -- a bound: nothing ready in this track comes before it; all NULL when nothing is ready
  head_priority INTEGER,
  head_due INTEGER,
  head_id INTEGER
) STRICT;
CREATE UNIQUE INDEX track_of ON track (queue, array_id, needs);
CREATE INDEX track_array ON track (array_id) WHERE array_id > 0;
CREATE INDEX track_head ON track (head_priority DESC, head_due, head_id)
  WHERE head_id IS NOT NULL AND paused = 0;
CREATE TABLE job (
  -- never reused: `add` takes it from `sequence`, in the same transaction
  id INTEGER PRIMARY KEY,
  queue TEXT NOT NULL,
  track INTEGER NOT NULL,
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
  token TEXT,
  message ANY,
  unique_key TEXT,
  array_id INTEGER,
  array_index INTEGER,
  schedule TEXT,
  -- dependencies that are not met; whether some job depends on this one
  unmet INTEGER NOT NULL DEFAULT 0,
  awaited INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE INDEX job_ready ON job (track, priority DESC, due_at, id) WHERE lane = 0;
CREATE INDEX job_later ON job (due_at) WHERE lane = 1;
CREATE INDEX job_running ON job (queue, track) WHERE lane = 3;
CREATE INDEX job_open ON job (id) WHERE lane < 4;
CREATE INDEX job_done ON job (finished_at) WHERE lane = 4;
CREATE INDEX job_trouble ON job (state, id) WHERE state IN ('failed', 'dead', 'cancelled');
CREATE UNIQUE INDEX job_name ON job (name) WHERE name IS NOT NULL AND lane < 4;
CREATE INDEX job_old_name ON job (name, id) WHERE name IS NOT NULL;
CREATE UNIQUE INDEX job_unique ON job (unique_key) WHERE unique_key IS NOT NULL AND lane < 4;
CREATE INDEX job_old_unique ON job (unique_key, id) WHERE unique_key IS NOT NULL;
CREATE INDEX job_array ON job (array_id, id) WHERE array_id IS NOT NULL;
CREATE INDEX job_schedule ON job (schedule, id) WHERE schedule IS NOT NULL;
CREATE TABLE dependency (
  job_id INTEGER NOT NULL,
  on_id INTEGER NOT NULL,
  kind TEXT NOT NULL,
  -- 1 met, 0 not yet, NULL can never be
  met INTEGER,
  PRIMARY KEY (job_id, on_id, kind)
) STRICT, WITHOUT ROWID;
CREATE INDEX dependency_on ON dependency (on_id, met);
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
CREATE TABLE environment (
  id INTEGER PRIMARY KEY, pairs BLOB NOT NULL UNIQUE, used_day INTEGER NOT NULL DEFAULT 0) STRICT;
CREATE TABLE policy (
  id INTEGER PRIMARY KEY, pairs BLOB NOT NULL UNIQUE, used_day INTEGER NOT NULL DEFAULT 0) STRICT;
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
  user_name TEXT NOT NULL,
  pid INTEGER NOT NULL,
  version TEXT NOT NULL,
  workers INTEGER NOT NULL,
  queues TEXT NOT NULL,
  started_at INTEGER NOT NULL,
  seen_at INTEGER NOT NULL,
  stop_requested TEXT,
  stop_workers INTEGER,
  resources BLOB NOT NULL,
  lease INTEGER
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
CREATE TABLE schedule (
  name TEXT PRIMARY KEY,
  spec TEXT NOT NULL,
  zone TEXT NOT NULL,
  overlap TEXT NOT NULL,
  missed TEXT NOT NULL,
  job BLOB NOT NULL,
  next_at INTEGER,
  paused INTEGER NOT NULL,
  last_at INTEGER,
  last_job INTEGER,
  note TEXT
) STRICT, WITHOUT ROWID;
CREATE TABLE note (
  name TEXT PRIMARY KEY,
  data BLOB NOT NULL,
  at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
INSERT INTO queue (name) VALUES ('default'), ('hooks');

-- name: to_2
ALTER TABLE environment ADD COLUMN used_day INTEGER NOT NULL DEFAULT 0;
ALTER TABLE policy ADD COLUMN used_day INTEGER NOT NULL DEFAULT 0

-- name: add
INSERT INTO job (id, queue, track, name, lane, priority, due_at, command, args, shell, cwd,
  environment, policy, max_retries, submitter, paused, has_stdin, created_at, next_run_at, state)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 'pending')

-- name: add_more
INSERT INTO job (id, queue, track, name, lane, priority, due_at, command, args, shell, cwd,
  environment, policy, max_retries, submitter, paused, has_stdin, created_at, next_run_at,
  message, unique_key, array_id, array_index, schedule, unmet, state)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 'pending')

-- name: last_id
SELECT last FROM sequence WHERE name = 'job'

-- name: take_ids
UPDATE sequence SET last = max(last, ?) WHERE name = 'job'

-- name: raise_head
UPDATE track SET head_priority = ?1, head_due = ?2, head_id = ?3
WHERE id = ?4
  AND (head_id IS NULL OR (-head_priority, head_due, head_id) > (-?1, ?2, ?3))

-- name: set_head
UPDATE track SET head_priority = ?, head_due = ?, head_id = ? WHERE id = ?

-- name: count_up
INSERT INTO counter (queue, state, jobs) VALUES (?1, ?2, ?3)
ON CONFLICT DO UPDATE SET jobs = jobs + ?3

-- name: promote
-- INDEXED BY: an id list from the later lane only, never a walk over the table
UPDATE job SET lane = 0 WHERE id IN (
  SELECT id FROM job INDEXED BY job_later WHERE lane = 1 AND due_at <= ? ORDER BY due_at LIMIT 1000)
RETURNING track, priority, due_at, id

-- name: track_heads
SELECT head_priority, head_due, head_id, id, queue, job_limit, rate_starts, rate_period, rate_next,
  pull, array_id, array_limit, needs
FROM track INDEXED BY track_head CROSS JOIN queue ON queue.name = track.queue
WHERE head_id IS NOT NULL AND track.paused = 0
  -- what is full or closed now is not worth a look: a claim passes thousands of them here
  AND (rate_starts IS NULL OR rate_next IS NULL OR rate_next <= ?)
  AND (job_limit IS NULL OR job_limit > (
    SELECT count(*) FROM job INDEXED BY job_running WHERE lane = 3 AND job.queue = track.queue))
  AND (array_limit IS NULL OR array_limit > (
    SELECT count(*) FROM track AS alike CROSS JOIN job INDEXED BY job_running
      ON job.queue = alike.queue AND job.track = alike.id
    WHERE alike.array_id = track.array_id AND alike.array_id > 0 AND job.lane = 3))
ORDER BY head_priority DESC, head_due, head_id

-- name: open_tracks
SELECT id FROM track INDEXED BY track_head WHERE head_id IS NOT NULL AND paused = 0
ORDER BY head_priority DESC, head_due, head_id

-- name: tracks_of
SELECT id FROM track WHERE queue = ? AND head_id IS NOT NULL

-- name: running_in_queue
SELECT count(*) FROM job INDEXED BY job_running WHERE lane = 3 AND queue = ?

-- name: running_in_array
SELECT count(*) FROM track CROSS JOIN job INDEXED BY job_running
  ON job.queue = track.queue AND job.track = track.id
WHERE track.array_id = ? AND track.array_id > 0 AND job.lane = 3

-- name: claimable
SELECT id, runs + 1, queue, priority, command, args, shell, cwd, environment, policy, has_stdin,
  attempts, max_retries, due_at, name, array_id, array_index, message
FROM job INDEXED BY job_ready WHERE lane = 0 AND track = ?
ORDER BY priority DESC, due_at, id LIMIT ?

-- name: head_of
SELECT priority, due_at, id FROM job INDEXED BY job_ready WHERE lane = 0 AND track = ?
ORDER BY priority DESC, due_at, id LIMIT 1

-- name: end_of
SELECT priority, due_at, id FROM job INDEXED BY job_ready WHERE lane = 0 AND track = ?
ORDER BY priority, due_at DESC, id DESC LIMIT 1

-- name: end_of_due
-- what has become due and no claim has made ready
SELECT priority, due_at, id FROM job INDEXED BY job_later
WHERE lane = 1 AND due_at <= ? AND queue = ?
ORDER BY (-priority) {order}, due_at {order}, id {order} LIMIT 1

-- name: ahead_of
SELECT count(*) FROM (
  SELECT 1 FROM job INDEXED BY job_ready WHERE lane = 0 AND track = ? AND priority > ?
  UNION ALL
  SELECT 1 FROM job INDEXED BY job_ready
  WHERE lane = 0 AND track = ? AND priority = ? AND (due_at, id) < (?, ?)
  LIMIT ?)

-- name: claim
UPDATE job SET lane = 3, token = ?, host = ?, deliveries = deliveries + 1, claimed_at = ?
WHERE id = ?

-- name: facts
SELECT state, attempts, deliveries, max_retries, due_at, cancel_requested, paused, lane, token,
  queue, track, policy, priority, runs, host, reason, unmet, awaited
FROM job WHERE id = ?

-- name: facts_of
SELECT state, attempts, deliveries, max_retries, due_at, cancel_requested, paused, lane, token,
  queue, track, policy, priority, runs, host, reason, unmet, awaited, id
FROM job WHERE {test}

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

-- name: held_by
SELECT id, token, runs + (state <> 'processing'),
  CASE WHEN state = 'processing' THEN started_at END
FROM job INDEXED BY job_running WHERE lane = 3 AND host = ?

-- name: next_due
SELECT min(at) FROM (
  SELECT min(due_at) AS at FROM job INDEXED BY job_later WHERE lane = 1
  UNION ALL
  SELECT next_at FROM schedule WHERE paused = 0
  UNION ALL
  SELECT rate_next FROM queue WHERE rate_starts IS NOT NULL AND rate_next > ? AND paused = 0
    AND EXISTS (SELECT 1 FROM track WHERE track.queue = queue.name AND head_id IS NOT NULL))

-- name: finished
SELECT {columns} FROM job INDEXED BY job_done WHERE lane = 4 ORDER BY finished_at DESC LIMIT ?

-- name: tally
SELECT queue, count(*), sum(finished_at > ?), sum(state = 'dead'),
  sum(state = 'completed' AND attempts > 1)
FROM job INDEXED BY job_done
WHERE lane = 4 AND finished_at > ? AND state IN ('completed', 'dead') GROUP BY queue ORDER BY queue

-- name: old_done
SELECT id, queue, state, track FROM job INDEXED BY job_done WHERE lane = 4 AND finished_at < ? AND state IN ({states})
ORDER BY finished_at LIMIT ?

-- name: close_rate
UPDATE queue SET rate_next = ? WHERE name = ?
