PRAGMA application_id = 1902343276;
PRAGMA user_version = 1;
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
INSERT INTO "counter" VALUES('default','pending',5);
INSERT INTO "counter" VALUES('default','processing',0);
INSERT INTO "counter" VALUES('gpu','pending',1);
INSERT INTO "counter" VALUES('gpu','processing',1);
CREATE TABLE environment (id INTEGER PRIMARY KEY, pairs BLOB NOT NULL UNIQUE) STRICT;
INSERT INTO "environment" VALUES(1,X'');
INSERT INTO "environment" VALUES(2,X'413DFE3D0A00423D00');
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
INSERT INTO "host" VALUES('old-host','box','me',4321,'0.1.0',2,'gpu default',1795219200000,1795219200000,NULL,NULL);
CREATE TABLE job (
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
INSERT INTO "job" VALUES(1,'default','completed','completed',4,9,1795219200000,'make all',NULL,1,'/',1,1,5,'',0,1,1795219200000,NULL,NULL,1795219200000,1795219200000,1,1,1,0,'exit 0',0,NULL,NULL);
INSERT INTO "job" VALUES(2,'default','dead','dead',4,9,1795219200000,'false',NULL,1,'/',1,1,0,'',0,0,1795219200000,NULL,NULL,1795219200000,1795219200000,1,1,1,0,'signal 9',NULL,NULL,NULL);
INSERT INTO "job" VALUES(3,'default','failed','failed',1,9,1795219202000,'false',NULL,1,'/',1,1,5,'',0,0,1795219200000,1795219202000,NULL,1795219200000,NULL,1,1,1,0,'exit 3',3,NULL,NULL);
INSERT INTO "job" VALUES(4,'default','cancelled','cancelled',4,0,1795219200000,'sleep 5',NULL,1,'/',1,1,5,'',0,0,1795219200000,NULL,NULL,NULL,1795219200000,0,0,0,0,'cancelled',NULL,NULL,NULL);
INSERT INTO "job" VALUES(5,'gpu','processing','processing',3,8,1795219200000,'train',X'2D2D65706F636873000061206200',0,'/',1,2,5,'',0,0,1795219200000,NULL,1795219200000,1795219200000,NULL,1,1,1,0,NULL,NULL,'old-host','a9786af8946fe4373786e23e');
INSERT INTO "job" VALUES(6,'default','claimed','pending',3,8,1795219200000,'echo claimed',NULL,1,'/',1,1,5,'',0,0,1795219200000,NULL,1795219200000,NULL,NULL,0,1,0,0,NULL,NULL,'old-host','a1ca289fe4b501d31ee6a0ba');
INSERT INTO "job" VALUES(7,'default','strange','pending',0,0,1795219200500,X'6563686F20FF',NULL,1,X'2FFD',2,1,5,'',0,0,1795219200500,NULL,NULL,NULL,NULL,0,0,0,0,NULL,NULL,NULL,NULL);
INSERT INTO "job" VALUES(8,'default','delayed','pending',1,0,1795222800500,'echo later',NULL,1,'/',1,1,5,'',0,0,1795219200500,1795222800500,NULL,NULL,NULL,0,0,0,0,NULL,NULL,NULL,NULL);
INSERT INTO "job" VALUES(9,'default','held','pending',2,0,1795219200500,'echo held',NULL,1,'/',1,1,5,'',1,0,1795219200500,NULL,NULL,NULL,NULL,0,0,0,0,NULL,NULL,NULL,NULL);
INSERT INTO "job" VALUES(10,'asleep','asleep','pending',0,0,1795219200500,'echo asleep',NULL,1,'/',1,1,5,'',0,0,1795219200500,NULL,NULL,NULL,NULL,0,0,0,0,NULL,NULL,NULL,NULL);
INSERT INTO "job" VALUES(11,'gpu','limited','pending',0,0,1795219200500,'echo limited',NULL,1,'/',1,2,5,'',0,0,1795219200500,NULL,NULL,NULL,NULL,0,0,0,0,NULL,NULL,NULL,NULL);
INSERT INTO "job" VALUES(12,'default','file','pending',0,0,1795219200500,'cat',NULL,1,'/',1,1,5,'',0,2,1795219200500,NULL,NULL,NULL,NULL,0,0,0,0,NULL,NULL,NULL,NULL);
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
CREATE TABLE policy (id INTEGER PRIMARY KEY, pairs BLOB NOT NULL UNIQUE) STRICT;
INSERT INTO "policy" VALUES(1,X'');
INSERT INTO "policy" VALUES(2,X'74696D656F75743D316D00');
CREATE TABLE queue (
  name TEXT PRIMARY KEY,
  paused INTEGER NOT NULL DEFAULT 0,
  job_limit INTEGER,
  head_priority INTEGER,
  head_due INTEGER,
  head_id INTEGER
) STRICT, WITHOUT ROWID;
INSERT INTO "queue" VALUES('asleep',1,NULL,0,1795219200500,10);
INSERT INTO "queue" VALUES('default',0,NULL,0,1795219200500,7);
INSERT INTO "queue" VALUES('gpu',0,1,0,1795219200500,11);
INSERT INTO "queue" VALUES('hooks',0,NULL,NULL,NULL,NULL);
CREATE TABLE sequence (name TEXT PRIMARY KEY, last INTEGER NOT NULL) STRICT, WITHOUT ROWID;
INSERT INTO "sequence" VALUES('job',13);
CREATE TABLE setting (
  queue TEXT NOT NULL,
  name TEXT NOT NULL,
  value TEXT NOT NULL,
  PRIMARY KEY (queue, name)
) STRICT, WITHOUT ROWID;
INSERT INTO "setting" VALUES('','max-retries','5');
INSERT INTO "setting" VALUES('gpu','timeout','1m');
CREATE TABLE wish (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  host TEXT NOT NULL,
  job_id INTEGER NOT NULL,
  token TEXT NOT NULL,
  kind TEXT NOT NULL,
  payload BLOB NOT NULL
) STRICT;
INSERT INTO "wish" VALUES(1,'old-host',5,'a9786af8946fe4373786e23e','signal',X'55535231');
CREATE INDEX queue_head ON queue (head_priority DESC, head_due, head_id)
  WHERE head_id IS NOT NULL AND paused = 0;
CREATE INDEX job_ready ON job (queue, priority DESC, due_at, id) WHERE lane = 0;
CREATE INDEX job_later ON job (due_at) WHERE lane = 1;
CREATE INDEX job_running ON job (queue) WHERE lane = 3;
CREATE INDEX job_open ON job (id) WHERE lane < 4;
CREATE INDEX job_done ON job (finished_at) WHERE lane = 4;
CREATE INDEX job_trouble ON job (state, id) WHERE state IN ('failed', 'dead', 'cancelled');
CREATE UNIQUE INDEX job_name ON job (name) WHERE name IS NOT NULL AND lane < 4;
CREATE INDEX job_old_name ON job (name, id) WHERE name IS NOT NULL;
CREATE UNIQUE INDEX output_of ON output (job_id, run);
CREATE INDEX wish_host ON wish (host);
DELETE FROM "sqlite_sequence";
INSERT INTO "sqlite_sequence" VALUES('wish',1);
COMMIT;
