PRAGMA application_id = 1902343276;
PRAGMA user_version = 2;
PRAGMA auto_vacuum = 2;
BEGIN TRANSACTION;
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
INSERT INTO "attempt" VALUES(1,1,'host-a',1795219200000,1795219200000,1795219200000,'exit',0,'exit 0',7,0,0,4,4,'fine');
INSERT INTO "attempt" VALUES(2,1,'host-a',1795219200000,1795219200000,1795219200000,'signal',9,'signal 9',0,0,0,0,0,NULL);
INSERT INTO "attempt" VALUES(3,1,'host-a',1795219200000,1795219200000,1795219200000,'exit',3,'exit 3',0,0,0,0,0,NULL);
INSERT INTO "attempt" VALUES(5,1,'old-host',1795219200000,1795219200000,NULL,NULL,NULL,NULL,0,0,0,0,0,NULL);
CREATE TABLE counter (
  queue TEXT NOT NULL,
  state TEXT NOT NULL,
  jobs INTEGER NOT NULL,
  PRIMARY KEY (queue, state)
) STRICT, WITHOUT ROWID;
INSERT INTO "counter" VALUES('asleep','pending',1);
INSERT INTO "counter" VALUES('default','cancelled',1);
INSERT INTO "counter" VALUES('default','completed',1);
INSERT INTO "counter" VALUES('default','dead',1);
INSERT INTO "counter" VALUES('default','failed',1);
INSERT INTO "counter" VALUES('default','pending',7);
INSERT INTO "counter" VALUES('default','processing',0);
INSERT INTO "counter" VALUES('gpu','pending',1);
INSERT INTO "counter" VALUES('gpu','processing',1);
CREATE TABLE dependency (
  job_id INTEGER NOT NULL,
  on_id INTEGER NOT NULL,
  kind TEXT NOT NULL,
  met INTEGER,
  PRIMARY KEY (job_id, on_id, kind)
) STRICT, WITHOUT ROWID;
INSERT INTO "dependency" VALUES(15,1,'completed',1);
INSERT INTO "dependency" VALUES(15,9,'completed',0);
CREATE TABLE environment (
  id INTEGER PRIMARY KEY, pairs BLOB NOT NULL UNIQUE, used_day INTEGER NOT NULL DEFAULT 0) STRICT;
INSERT INTO "environment" VALUES(1,X'',20778);
INSERT INTO "environment" VALUES(2,X'413DFE3D0A00423D00',20778);
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
INSERT INTO "host" VALUES('old-host','box','me',4321,'0.1.0',2,'gpu default',1795219200000,1795219200000,NULL,NULL,X'',NULL);
CREATE TABLE job (
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
  unmet INTEGER NOT NULL DEFAULT 0,
  awaited INTEGER NOT NULL DEFAULT 0
) STRICT;
INSERT INTO "job" VALUES(1,'default',1,'completed','completed',4,9,1795219200000,'make all',NULL,1,'/',1,1,5,'',0,1,1795219200000,NULL,NULL,1795219200000,1795219200000,1,1,1,0,'exit 0',0,NULL,NULL,NULL,NULL,NULL,NULL,NULL,0,1);
INSERT INTO "job" VALUES(2,'default',1,'dead','dead',4,9,1795219200000,'false',NULL,1,'/',1,1,0,'',0,0,1795219200000,NULL,NULL,1795219200000,1795219200000,1,1,1,0,'signal 9',NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,0,0);
INSERT INTO "job" VALUES(3,'default',1,'failed','failed',1,9,1795219202000,'false',NULL,1,'/',1,1,5,'',0,0,1795219200000,1795219202000,NULL,1795219200000,NULL,1,1,1,0,'exit 3',3,NULL,NULL,NULL,NULL,NULL,NULL,NULL,0,0);
INSERT INTO "job" VALUES(4,'default',1,'cancelled','cancelled',4,0,1795219200000,'sleep 5',NULL,1,'/',1,1,5,'',0,0,1795219200000,NULL,NULL,NULL,1795219200000,0,0,0,0,'cancelled',NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,0,0);
INSERT INTO "job" VALUES(5,'gpu',2,'processing','processing',3,8,1795219200000,'train',X'2D2D65706F636873000061206200',0,'/',1,2,5,'',0,0,1795219200000,NULL,1795219200000,1795219200000,NULL,1,1,1,0,NULL,NULL,'old-host','083885736dadba067c46cbcd',NULL,NULL,NULL,NULL,NULL,0,0);
INSERT INTO "job" VALUES(6,'default',1,'claimed','pending',3,8,1795219200000,'echo claimed',NULL,1,'/',1,1,5,'',0,0,1795219200000,NULL,1795219200000,NULL,NULL,0,1,0,0,NULL,NULL,'old-host','786c276931151ebf7c8f288f',NULL,NULL,NULL,NULL,NULL,0,0);
INSERT INTO "job" VALUES(7,'default',1,'strange','pending',0,0,1795219200500,X'6563686F20FF',NULL,1,X'2FFD',2,1,5,'',0,0,1795219200500,NULL,NULL,NULL,NULL,0,0,0,0,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,0,0);
INSERT INTO "job" VALUES(8,'default',1,'delayed','pending',1,0,1795222800500,'echo later',NULL,1,'/',1,1,5,'',0,0,1795219200500,1795222800500,NULL,NULL,NULL,0,0,0,0,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,0,0);
INSERT INTO "job" VALUES(9,'default',1,'held','pending',2,0,1795219200500,'echo held',NULL,1,'/',1,1,5,'',1,0,1795219200500,NULL,NULL,NULL,NULL,0,0,0,0,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,0,1);
INSERT INTO "job" VALUES(10,'asleep',3,'asleep','pending',0,0,1795219200500,'echo asleep',NULL,1,'/',1,1,5,'',0,0,1795219200500,NULL,NULL,NULL,NULL,0,0,0,0,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,0,0);
INSERT INTO "job" VALUES(11,'gpu',2,'limited','pending',0,0,1795219200500,'echo limited',NULL,1,'/',1,2,5,'',0,0,1795219200500,NULL,NULL,NULL,NULL,0,0,0,0,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,0,0);
INSERT INTO "job" VALUES(12,'default',1,'file','pending',0,0,1795219200500,'cat',NULL,1,'/',1,1,5,'',0,2,1795219200500,NULL,NULL,NULL,NULL,0,0,0,0,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,0,0);
INSERT INTO "job" VALUES(14,'default',4,'part','pending',2,0,1795219200500,'echo part',NULL,1,'/',1,1,5,'',1,0,1795219200500,NULL,NULL,NULL,NULL,0,0,0,0,NULL,NULL,NULL,NULL,X'FC',NULL,14,7,NULL,0,0);
INSERT INTO "job" VALUES(15,'default',1,'after','pending',2,0,1795219200500,'echo after',NULL,1,'/',1,1,5,'',0,0,1795219200500,NULL,NULL,NULL,NULL,0,0,0,0,NULL,NULL,NULL,NULL,NULL,'key',NULL,NULL,NULL,1,0);
CREATE TABLE note (
  name TEXT PRIMARY KEY,
  data BLOB NOT NULL,
  at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
INSERT INTO "note" VALUES('spool/x',X'3132',1795219200500);
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
INSERT INTO "output" VALUES(1,1,1,X'6F7574FF6572720A',X'',NULL,4,4,1);
CREATE TABLE payload (job_id INTEGER PRIMARY KEY, data BLOB NOT NULL) STRICT;
INSERT INTO "payload" VALUES(1,X'696E00FF');
INSERT INTO "payload" VALUES(12,X'2F6574632F686F73746E616D65');
CREATE TABLE policy (
  id INTEGER PRIMARY KEY, pairs BLOB NOT NULL UNIQUE, used_day INTEGER NOT NULL DEFAULT 0) STRICT;
INSERT INTO "policy" VALUES(1,X'',20778);
INSERT INTO "policy" VALUES(2,X'74696D656F75743D316D00',20778);
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
INSERT INTO "queue" VALUES('asleep',1,NULL,NULL,NULL,NULL,NULL,0,0);
INSERT INTO "queue" VALUES('default',0,NULL,NULL,NULL,NULL,NULL,0,1);
INSERT INTO "queue" VALUES('gpu',0,NULL,1,NULL,NULL,NULL,0,0);
INSERT INTO "queue" VALUES('hooks',0,NULL,NULL,NULL,NULL,NULL,0,0);
INSERT INTO "queue" VALUES('rated',0,NULL,2,3,1000,NULL,1,0);
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
INSERT INTO "schedule" VALUES('nightly','0 3 * * *','UTC','skip','one',X'006A6F62',1795229200499,0,NULL,NULL,NULL);
CREATE TABLE sequence (name TEXT PRIMARY KEY, last INTEGER NOT NULL) STRICT, WITHOUT ROWID;
INSERT INTO "sequence" VALUES('job',15);
CREATE TABLE setting (
  queue TEXT NOT NULL,
  name TEXT NOT NULL,
  value TEXT NOT NULL,
  PRIMARY KEY (queue, name)
) STRICT, WITHOUT ROWID;
INSERT INTO "setting" VALUES('','max-retries','5');
INSERT INTO "setting" VALUES('gpu','timeout','1m');
CREATE TABLE track (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  queue TEXT NOT NULL,
  array_id INTEGER NOT NULL,
  array_limit INTEGER,
  needs BLOB NOT NULL,
  paused INTEGER NOT NULL,
  head_priority INTEGER,
  head_due INTEGER,
  head_id INTEGER
) STRICT;
INSERT INTO "track" VALUES(1,'default',0,NULL,X'',0,0,1795219200500,7);
INSERT INTO "track" VALUES(2,'gpu',0,NULL,X'',0,0,1795219200500,11);
INSERT INTO "track" VALUES(3,'asleep',0,NULL,X'',1,0,1795219200500,10);
INSERT INTO "track" VALUES(4,'default',14,1,X'6770753D3200',0,NULL,NULL,NULL);
CREATE TABLE wish (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  host TEXT NOT NULL,
  job_id INTEGER NOT NULL,
  token TEXT NOT NULL,
  kind TEXT NOT NULL,
  payload BLOB NOT NULL
) STRICT;
INSERT INTO "wish" VALUES(1,'old-host',5,'083885736dadba067c46cbcd','signal',X'55535231');
CREATE UNIQUE INDEX track_of ON track (queue, array_id, needs);
CREATE INDEX track_array ON track (array_id) WHERE array_id > 0;
CREATE INDEX track_head ON track (head_priority DESC, head_due, head_id)
  WHERE head_id IS NOT NULL AND paused = 0;
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
CREATE INDEX dependency_on ON dependency (on_id, met);
CREATE UNIQUE INDEX output_of ON output (job_id, run);
CREATE INDEX wish_host ON wish (host);
DELETE FROM "sqlite_sequence";
INSERT INTO "sqlite_sequence" VALUES('track',4);
INSERT INTO "sqlite_sequence" VALUES('wish',1);
COMMIT;
