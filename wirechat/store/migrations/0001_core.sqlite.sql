-- Everything durable of the core: accounts, devices, conversations, their logs, receipts.

CREATE TABLE meta (name TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID, STRICT;

-- The commit counter that stamps what changed.
CREATE TABLE stamp (one INTEGER PRIMARY KEY CHECK (one = 1), value INTEGER NOT NULL) STRICT;
INSERT INTO stamp VALUES (1, 0);

-- Handles and names are UTF-8 in bytes: the text type of PostgreSQL cannot hold every character.
CREATE TABLE account (
    user_id INTEGER PRIMARY KEY,
    handle BLOB NOT NULL UNIQUE,
    name BLOB,
    password TEXT,
    made INTEGER NOT NULL
) STRICT;

CREATE TABLE device (
    device INTEGER PRIMARY KEY,
    user_id INTEGER NOT NULL,
    key BLOB,
    name BLOB NOT NULL,
    made INTEGER NOT NULL,
    revoked INTEGER NOT NULL DEFAULT FALSE
) STRICT;

-- Hashes of the resume tokens of a device, in the order of their issue.
CREATE TABLE resume (
    token BLOB PRIMARY KEY,
    device INTEGER NOT NULL,
    number INTEGER NOT NULL,
    until INTEGER NOT NULL
) WITHOUT ROWID, STRICT;
CREATE UNIQUE INDEX resume_device ON resume (device, number);

CREATE TABLE conv (
    conv INTEGER PRIMARY KEY,
    kind INTEGER NOT NULL,
    title BLOB,
    head INTEGER NOT NULL,
    last_ts INTEGER NOT NULL,
    version INTEGER NOT NULL,
    stamp INTEGER NOT NULL
) STRICT;
CREATE INDEX conv_stamp ON conv (stamp);

-- Receipts apart, so that they never contend with the head.
CREATE TABLE conv_rc (conv INTEGER PRIMARY KEY, rrev INTEGER NOT NULL, rstamp INTEGER NOT NULL) STRICT;
CREATE INDEX conv_rc_stamp ON conv_rc (rstamp);

-- One row for each user who is or was in a conversation: his last period [since, until].
CREATE TABLE member (
    conv INTEGER NOT NULL,
    user_id INTEGER NOT NULL,
    role INTEGER NOT NULL,
    since INTEGER NOT NULL,
    until INTEGER,
    stamp INTEGER NOT NULL,
    PRIMARY KEY (conv, user_id)
) WITHOUT ROWID, STRICT;
CREATE INDEX member_user ON member (user_id, conv);
CREATE INDEX member_stamp ON member (stamp);

-- Earlier periods of members who came back.
CREATE TABLE past_period (
    conv INTEGER NOT NULL,
    user_id INTEGER NOT NULL,
    since INTEGER NOT NULL,
    until INTEGER NOT NULL,
    PRIMARY KEY (conv, user_id, since)
) WITHOUT ROWID, STRICT;

-- The logs. target = the record an entry is about: itself, or the message it changes.
-- content is what was said at seq; latest is the newest edit of a message; both are wiped by a delete.
CREATE TABLE entry (
    conv INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    ts INTEGER NOT NULL,
    sender INTEGER NOT NULL,
    kind INTEGER NOT NULL,
    content BLOB,
    ref INTEGER,
    users TEXT,
    cid BLOB NOT NULL,
    digest BLOB NOT NULL,
    target INTEGER NOT NULL,
    rev INTEGER NOT NULL,
    latest BLOB,
    edited INTEGER,
    PRIMARY KEY (conv, seq)
) WITHOUT ROWID, STRICT;
CREATE INDEX entry_edit ON entry (conv, ref) WHERE kind = 2;
CREATE UNIQUE INDEX entry_cid ON entry (conv, sender, cid);

CREATE TABLE reaction (
    conv INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    user_id INTEGER NOT NULL,
    content BLOB NOT NULL,
    PRIMARY KEY (conv, seq, user_id)
) WITHOUT ROWID, STRICT;

CREATE TABLE mark (
    conv INTEGER NOT NULL,
    user_id INTEGER NOT NULL,
    delivered INTEGER NOT NULL,
    read INTEGER NOT NULL,
    rrev INTEGER NOT NULL,
    PRIMARY KEY (conv, user_id)
) WITHOUT ROWID, STRICT;
CREATE INDEX mark_rrev ON mark (conv, rrev);

CREATE TABLE creation (
    creator INTEGER NOT NULL,
    cid BLOB NOT NULL,
    conv INTEGER NOT NULL,
    digest BLOB NOT NULL,
    PRIMARY KEY (creator, cid)
) WITHOUT ROWID, STRICT;

CREATE TABLE direct (low INTEGER NOT NULL, high INTEGER NOT NULL, conv INTEGER NOT NULL, PRIMARY KEY (low, high)) WITHOUT ROWID, STRICT;
