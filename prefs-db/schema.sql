-- prefs-db, schema 1: what one preference database holds. Compiled into the program; docs/prefs.md tells the same in prose.
--
-- Times are milliseconds since 1970. `sha256` columns are content keys: the same prompt, answer or item is never stored twice.
-- Ranks and orders are text of one character per answer, so that one judgment is one row:
--     judgment.ranks     character s is the rank of slot s: '1'..'9', 'a'..'g' (10..16), equal = tie, '-' = left unranked
--     assignment.shown   character p is the slot at position p of the screen: '0'..'9', 'a'..'f'; position 0 is left or top

CREATE TABLE project (
  id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE CHECK (length(name) BETWEEN 1 AND 64),
  overlap INTEGER NOT NULL DEFAULT 1 CHECK (overlap BETWEEN 1 AND 99),              -- annotators asked per item
  strength_levels INTEGER NOT NULL DEFAULT 4 CHECK (strength_levels BETWEEN 1 AND 4),
  allow_ties INTEGER NOT NULL DEFAULT 1 CHECK (allow_ties IN (0,1)),
  allow_skip INTEGER NOT NULL DEFAULT 1 CHECK (allow_skip IN (0,1)),
  gold_permille INTEGER NOT NULL DEFAULT 50 CHECK (gold_permille BETWEEN 0 AND 1000),     -- of the tasks handed out
  repeat_permille INTEGER NOT NULL DEFAULT 0 CHECK (repeat_permille BETWEEN 0 AND 1000),  -- own earlier items, shown again
  lease_s INTEGER NOT NULL DEFAULT 1800 CHECK (lease_s BETWEEN 1 AND 604800),
  created_ms INTEGER NOT NULL) STRICT;
CREATE TABLE guideline (                -- versions are kept: an assignment names the one its annotator saw
  id INTEGER PRIMARY KEY, project_id INTEGER NOT NULL REFERENCES project(id),
  version INTEGER NOT NULL CHECK (version>=1), body TEXT NOT NULL,
  created_ms INTEGER NOT NULL, UNIQUE (project_id, version)) STRICT;

CREATE TABLE annotator (
  id INTEGER PRIMARY KEY, handle TEXT NOT NULL UNIQUE CHECK (length(handle) BETWEEN 1 AND 64),
  role TEXT NOT NULL CHECK (role IN ('admin','annotator','import')),  -- import: the unknown hand behind a data set
  created_ms INTEGER NOT NULL) STRICT;
CREATE TABLE token (                    -- only the hash of a 256-bit random token is kept
  hash BLOB PRIMARY KEY CHECK (length(hash)=32),
  annotator_id INTEGER NOT NULL REFERENCES annotator(id),
  created_ms INTEGER NOT NULL, expires_ms INTEGER, revoked_ms INTEGER,
  CHECK (expires_ms IS NULL OR expires_ms > created_ms)) STRICT, WITHOUT ROWID;

CREATE TABLE import_batch (
  id INTEGER PRIMARY KEY, path TEXT NOT NULL, format TEXT,    -- NULL: it was interrupted
  records INTEGER NOT NULL DEFAULT 0, added INTEGER NOT NULL DEFAULT 0, rejected INTEGER NOT NULL DEFAULT 0,
  created_ms INTEGER NOT NULL) STRICT;
CREATE TABLE prompt (
  id INTEGER PRIMARY KEY, sha256 BLOB NOT NULL UNIQUE CHECK (length(sha256)=32),
  split TEXT NOT NULL CHECK (split IN ('train','valid','test')),      -- follows from sha256: no prompt is in two splits
  lang TEXT, batch_id INTEGER REFERENCES import_batch(id),
  messages TEXT NOT NULL CHECK (substr(messages,1,1)='[')) STRICT;    -- JSON: [{"role":"user","content":"..."}, ...]
CREATE TABLE answer (                   -- one row per distinct text of a prompt
  id INTEGER PRIMARY KEY, prompt_id INTEGER NOT NULL REFERENCES prompt(id),
  sha256 BLOB NOT NULL CHECK (length(sha256)=32),
  characters INTEGER NOT NULL CHECK (characters>=0), content TEXT NOT NULL,
  UNIQUE (prompt_id, sha256)) STRICT;
CREATE TABLE model (
  id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE CHECK (length(name) BETWEEN 1 AND 200)) STRICT;

CREATE TABLE item (                     -- one thing to judge: K answers to one prompt (K = 1: a thumb up or down)
  id INTEGER PRIMARY KEY, project_id INTEGER NOT NULL REFERENCES project(id),
  prompt_id INTEGER NOT NULL REFERENCES prompt(id),
  k INTEGER NOT NULL CHECK (k BETWEEN 1 AND 16),
  sha256 BLOB NOT NULL CHECK (length(sha256)=32),                     -- of the sorted answer keys
  overlap INTEGER CHECK (overlap BETWEEN 1 AND 99),                   -- NULL: the project's
  priority REAL NOT NULL DEFAULT 0,                                   -- how unsure a scorer is; larger is asked first
  state TEXT NOT NULL DEFAULT 'open' CHECK (state IN ('open','done','closed')),  -- closed: came with labels, nobody is asked
  UNIQUE (project_id, prompt_id, sha256)) STRICT;
CREATE INDEX item_queue ON item(project_id, priority DESC, id) WHERE state='open';
CREATE TABLE item_slot (
  item_id INTEGER NOT NULL REFERENCES item(id), slot INTEGER NOT NULL CHECK (slot BETWEEN 0 AND 15),
  answer_id INTEGER NOT NULL REFERENCES answer(id),
  model_id INTEGER REFERENCES model(id),                              -- who wrote it; never shown to annotators
  PRIMARY KEY (item_id, slot)) STRICT, WITHOUT ROWID;
CREATE TABLE gold (                     -- items whose answer is known
  item_id INTEGER PRIMARY KEY REFERENCES item(id),
  better_slot INTEGER, worse_slot INTEGER, thumb INTEGER CHECK (thumb IN (-1, 1)), note TEXT NOT NULL DEFAULT '',
  CHECK ((thumb IS NOT NULL AND better_slot IS NULL AND worse_slot IS NULL)
         OR (thumb IS NULL AND better_slot IS NOT NULL AND worse_slot IS NOT NULL AND better_slot<>worse_slot)),
  FOREIGN KEY (item_id, better_slot) REFERENCES item_slot(item_id, slot),
  FOREIGN KEY (item_id, worse_slot) REFERENCES item_slot(item_id, slot)) STRICT;
CREATE TABLE score (                    -- what a reward model said of an answer
  scorer TEXT NOT NULL, answer_id INTEGER NOT NULL REFERENCES answer(id), value REAL NOT NULL,
  PRIMARY KEY (scorer, answer_id)) STRICT, WITHOUT ROWID;

CREATE TABLE assignment (
  id INTEGER PRIMARY KEY, item_id INTEGER NOT NULL REFERENCES item(id),
  annotator_id INTEGER NOT NULL REFERENCES annotator(id),
  attempt INTEGER NOT NULL DEFAULT 1 CHECK (attempt>=1),
  repeat INTEGER NOT NULL DEFAULT 0 CHECK (repeat IN (0,1)),          -- 1: measures the annotator, is no second vote
  guideline_id INTEGER REFERENCES guideline(id),
  state TEXT NOT NULL CHECK (state IN ('leased','submitted','skipped','expired')),
  shown TEXT CHECK (length(shown) BETWEEN 1 AND 16 AND shown NOT GLOB '*[^0-9a-f]*'),   -- NULL for imports
  leased_ms INTEGER NOT NULL, lease_until_ms INTEGER,
  judgment_id INTEGER REFERENCES judgment(id),                        -- the revision that counts
  CHECK ((state='leased') = (lease_until_ms IS NOT NULL)),
  CHECK ((state IN ('submitted','skipped')) = (judgment_id IS NOT NULL)),
  UNIQUE (item_id, annotator_id, attempt)) STRICT;
CREATE INDEX assignment_who ON assignment(annotator_id, judgment_id);
CREATE INDEX assignment_lease ON assignment(annotator_id, lease_until_ms) WHERE state='leased';
CREATE TABLE judgment (                 -- append-only; undo and edit are new revisions
  id INTEGER PRIMARY KEY, assignment_id INTEGER NOT NULL REFERENCES assignment(id),
  revision INTEGER NOT NULL CHECK (revision>=1),
  verdict TEXT NOT NULL CHECK (verdict IN ('ranked','skip','withdrawn')),
  ranks TEXT CHECK (length(ranks) BETWEEN 1 AND 16 AND ranks NOT GLOB '*[^-1-9a-g]*'),
  strength INTEGER CHECK (strength BETWEEN 0 AND 4),                  -- pairs: 0 tie, 1 slightly .. 4 much better
  thumb INTEGER CHECK (thumb IN (-1, 1)),                             -- K = 1 only
  skip_reason TEXT, comment TEXT NOT NULL DEFAULT '' CHECK (length(comment)<=20000),
  active_ms INTEGER CHECK (active_ms>=0), wall_ms INTEGER CHECK (wall_ms>=0),
  client TEXT NOT NULL CHECK (client IN ('web','tty','import')),
  nonce BLOB NOT NULL UNIQUE CHECK (length(nonce)=16),                -- a repeated submit is one judgment
  created_ms INTEGER NOT NULL, UNIQUE (assignment_id, revision),
  CHECK ((verdict='ranked') = (ranks IS NOT NULL)),
  CHECK ((verdict='skip') = (skip_reason IS NOT NULL))) STRICT;
CREATE TABLE flag (
  judgment_id INTEGER NOT NULL REFERENCES judgment(id), slot INTEGER NOT NULL CHECK (slot BETWEEN 0 AND 15),
  code TEXT NOT NULL CHECK (code IN ('spam','pii','harmful','broken','wrong_lang','duplicate','other')),
  PRIMARY KEY (judgment_id, slot, code)) STRICT, WITHOUT ROWID;

CREATE TRIGGER judgment_shape BEFORE INSERT ON judgment WHEN NEW.verdict='ranked' AND EXISTS (
    SELECT 1 FROM assignment a JOIN item i ON i.id=a.item_id WHERE a.id=NEW.assignment_id
    AND (i.k<>length(NEW.ranks) OR (i.k=1)<>(NEW.thumb IS NOT NULL) OR (i.k<>2 AND NEW.strength IS NOT NULL)))
  BEGIN SELECT RAISE(ABORT,'ranks, thumb or strength do not fit the item'); END;
CREATE TRIGGER judgment_no_update BEFORE UPDATE ON judgment BEGIN SELECT RAISE(ABORT,'judgment is append-only'); END;
CREATE TRIGGER judgment_no_delete BEFORE DELETE ON judgment BEGIN SELECT RAISE(ABORT,'judgment is append-only'); END;
CREATE TRIGGER flag_no_update BEFORE UPDATE ON flag BEGIN SELECT RAISE(ABORT,'flag is append-only'); END;
CREATE TRIGGER flag_no_delete BEFORE DELETE ON flag BEGIN SELECT RAISE(ABORT,'flag is append-only'); END;

CREATE VIEW pair AS                     -- K choose 2 per judgment that counts; tie = 1 where the ranks are equal
  SELECT j.id AS judgment_id, a.item_id, i.project_id, i.prompt_id, p.split, a.annotator_id,
         x.answer_id AS chosen, y.answer_id AS rejected, substr(j.ranks,x.slot+1,1)=substr(j.ranks,y.slot+1,1) AS tie,
         instr('123456789abcdefg',substr(j.ranks,y.slot+1,1))-instr('123456789abcdefg',substr(j.ranks,x.slot+1,1)) AS rank_gap,
         j.strength
  FROM assignment a JOIN judgment j ON j.id=a.judgment_id JOIN item i ON i.id=a.item_id JOIN prompt p ON p.id=i.prompt_id
  JOIN item_slot x ON x.item_id=i.id JOIN item_slot y ON y.item_id=i.id AND y.slot<>x.slot
  WHERE a.state='submitted' AND a.repeat=0 AND substr(j.ranks,x.slot+1,1)<>'-' AND substr(j.ranks,y.slot+1,1)<>'-'
    AND (substr(j.ranks,x.slot+1,1)<substr(j.ranks,y.slot+1,1)
         OR (substr(j.ranks,x.slot+1,1)=substr(j.ranks,y.slot+1,1) AND x.slot<y.slot))
    AND NOT EXISTS (SELECT 1 FROM gold g WHERE g.item_id=i.id);
