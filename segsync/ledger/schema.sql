-- Whose ledger this is: the host that customers go to, and a digest of the project there.
CREATE TABLE IF NOT EXISTS owner (host TEXT NOT NULL, project TEXT NOT NULL, opened_at TEXT NOT NULL);

-- One import, however many processes it took, and where its profiles come from.
-- `has_listed`: the source has answered it. `late_without_identifier`: profiles that were found so when they were
-- replayed. `expected`: how many profiles there will be, as `--profiles` says.
CREATE TABLE IF NOT EXISTS runs (
    id INTEGER PRIMARY KEY, began_at TEXT NOT NULL, ended_at TEXT, state TEXT NOT NULL, source_name TEXT NOT NULL,
    source_identity TEXT NOT NULL, first_cursor TEXT NOT NULL, has_listed INTEGER NOT NULL DEFAULT 0,
    late_without_identifier INTEGER NOT NULL DEFAULT 0, error TEXT, expected INTEGER
);

-- How the last process that worked on a run was called: JSON, a list of words per flag. `status` repeats them.
CREATE TABLE IF NOT EXISTS flags (run INTEGER PRIMARY KEY, words TEXT NOT NULL);

-- The runs that read given ids (`--ids`), where the source lists no profiles, and the name of the ids' file.
CREATE TABLE IF NOT EXISTS runs_of_ids (run INTEGER PRIMARY KEY, ids_from TEXT NOT NULL);

-- The checkpoint: pages whose every profile has its outcome, numbered from 1 in the order of the listing.
-- One that `is_closing` stands for what a run did on pages that were never done.
CREATE TABLE IF NOT EXISTS pages (
    run INTEGER NOT NULL, number INTEGER NOT NULL, next_cursor TEXT, profiles INTEGER NOT NULL,
    without_identifier INTEGER NOT NULL, is_closing INTEGER NOT NULL DEFAULT 0, PRIMARY KEY (run, number)
) WITHOUT ROWID;

-- How the outcomes of a run that ended early differ from those that the other tables give: on pages that are not done
-- they do not say who was confirmed or had no identifier. A JSON array in the order of `Outcomes`. It goes once the run
-- is resumed, since those pages are repeated then.
CREATE TABLE IF NOT EXISTS unfinished (run INTEGER PRIMARY KEY, difference TEXT NOT NULL);

-- Who is on the listed pages of a run that is not done: 8 bytes per profile, keyed digests of the segment ids.
CREATE TABLE IF NOT EXISTS listed (
    run INTEGER NOT NULL, number INTEGER NOT NULL, digests BLOB NOT NULL, PRIMARY KEY (run, number)
) WITHOUT ROWID;

-- One bulk upsert: `customers` of `sent` still count, `spread` says on which pages they are, and `members` who they
-- are, for as long as that may be asked. States: open (its result is still to be read), unread (nobody reads it),
-- replay (its profiles are to be read and sent again) and closed.
CREATE TABLE IF NOT EXISTS batches (
    id INTEGER PRIMARY KEY, run INTEGER NOT NULL, action_id TEXT NOT NULL, attempt INTEGER NOT NULL,
    state TEXT NOT NULL, sent_at TEXT NOT NULL, sent INTEGER NOT NULL, customers INTEGER NOT NULL,
    first_page INTEGER NOT NULL, last_page INTEGER NOT NULL, spread BLOB, members BLOB
);
CREATE INDEX IF NOT EXISTS batches_in_state ON batches (state, run) WHERE state IN ('open', 'unread', 'replay');

-- The dead letters: why a profile did not become a customer. `page` is a PageKey.
CREATE TABLE IF NOT EXISTS rejections (
    run INTEGER NOT NULL, segment_id TEXT NOT NULL, page INTEGER NOT NULL, stage TEXT NOT NULL, reason TEXT NOT NULL,
    request_id TEXT, PRIMARY KEY (run, segment_id, page)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS rejections_by_profile ON rejections (segment_id, run);

-- The codes of these reasons, each without what differs from profile to profile.
CREATE TABLE IF NOT EXISTS codes (
    stage TEXT NOT NULL, reason TEXT NOT NULL, code TEXT NOT NULL, PRIMARY KEY (stage, reason)
) WITHOUT ROWID;

-- The last outcome of each profile: `outcome` is a ProfileOutcome, `source` a keyed digest of the source id, `content`
-- one of the customer that was sent. Members of an open batch get their row when the result is read.
CREATE TABLE IF NOT EXISTS profiles (
    segment_id TEXT PRIMARY KEY, outcome INTEGER NOT NULL, source BLOB, content BLOB
) WITHOUT ROWID;

-- What was wrong with a trait of a profile that was sent without it. Few texts, many profiles.
CREATE TABLE IF NOT EXISTS problems (
    id INTEGER PRIMARY KEY, trait TEXT NOT NULL, problem TEXT NOT NULL, UNIQUE (trait, problem)
);
CREATE TABLE IF NOT EXISTS warnings (
    segment_id TEXT NOT NULL, problem INTEGER NOT NULL, PRIMARY KEY (segment_id, problem)
) WITHOUT ROWID;

-- The identifiers that customers were sent with in this import, those of pages that are done. A key is 44 bits of the
-- keyed digest of the source id, then 20 bits that stand for the profile's segment id.
CREATE TABLE IF NOT EXISTS identifiers (key BLOB PRIMARY KEY) WITHOUT ROWID;

-- What the last check with some settings (a keyed digest) found: how many traits of customers an import with them does not
-- read, the first of their names as a JSON array, and the line for `.env` that takes them.
CREATE TABLE IF NOT EXISTS checks (
    settings BLOB PRIMARY KEY, checked_at TEXT NOT NULL, traits INTEGER NOT NULL, names TEXT NOT NULL, setting TEXT NOT NULL
) WITHOUT ROWID
