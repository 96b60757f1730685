-- Everything durable of the core: accounts, devices, conversations, their logs, receipts.

CREATE TABLE meta (name TEXT PRIMARY KEY, value BYTEA NOT NULL);

-- What is added to the transaction id of this server to make a stamp; raised when the data moves to another server,
-- whose ids may be lower.
CREATE TABLE stamp (one BIGINT PRIMARY KEY CHECK (one = 1), value BIGINT NOT NULL, system BIGINT NOT NULL);

-- Handles and names are UTF-8 in bytes: the text type of PostgreSQL cannot hold every character.
CREATE TABLE account (
    user_id BIGINT PRIMARY KEY,
    handle BYTEA NOT NULL UNIQUE,
    name BYTEA,
    password TEXT,
    made BIGINT NOT NULL
);

CREATE TABLE device (
    device BIGINT PRIMARY KEY,
    user_id BIGINT NOT NULL,
    key BYTEA,
    name BYTEA NOT NULL,
    made BIGINT NOT NULL,
    revoked BOOLEAN NOT NULL DEFAULT FALSE
);

-- Hashes of the resume tokens of a device, in the order of their issue.
CREATE TABLE resume (
    token BYTEA PRIMARY KEY,
    device BIGINT NOT NULL,
    number BIGINT NOT NULL,
    until BIGINT NOT NULL
);
CREATE UNIQUE INDEX resume_device ON resume (device, number);

CREATE TABLE conv (
    conv BIGINT PRIMARY KEY,
    kind SMALLINT NOT NULL,
    title BYTEA,
    head BIGINT NOT NULL,
    last_ts BIGINT NOT NULL,
    version BIGINT NOT NULL,
    stamp BIGINT NOT NULL
);
CREATE INDEX conv_stamp ON conv (stamp);

-- Receipts apart, so that they never contend with the head.
CREATE TABLE conv_rc (conv BIGINT PRIMARY KEY, rrev BIGINT NOT NULL, rstamp BIGINT NOT NULL);
CREATE INDEX conv_rc_stamp ON conv_rc (rstamp);

-- One row for each user who is or was in a conversation: his last period [since, until].
CREATE TABLE member (
    conv BIGINT NOT NULL,
    user_id BIGINT NOT NULL,
    role SMALLINT NOT NULL,
    since BIGINT NOT NULL,
    until BIGINT,
    stamp BIGINT NOT NULL,
    PRIMARY KEY (conv, user_id)
);
CREATE INDEX member_user ON member (user_id, conv);
CREATE INDEX member_stamp ON member (stamp);

-- Earlier periods of members who came back.
CREATE TABLE past_period (
    conv BIGINT NOT NULL,
    user_id BIGINT NOT NULL,
    since BIGINT NOT NULL,
    until BIGINT NOT NULL,
    PRIMARY KEY (conv, user_id, since)
);

-- The logs. target = the record an entry is about: itself, or the message it changes.
-- content is what was said at seq; latest is the newest edit of a message; both are wiped by a delete.
CREATE TABLE entry (
    conv BIGINT NOT NULL,
    seq BIGINT NOT NULL,
    ts BIGINT NOT NULL,
    sender BIGINT NOT NULL,
    kind SMALLINT NOT NULL,
    content BYTEA,
    ref BIGINT,
    users TEXT,
    cid BYTEA NOT NULL,
    digest BYTEA NOT NULL,
    target BIGINT NOT NULL,
    rev BIGINT NOT NULL,
    latest BYTEA,
    edited BIGINT,
    PRIMARY KEY (conv, seq)
);
CREATE INDEX entry_edit ON entry (conv, ref) WHERE kind = 2;
CREATE UNIQUE INDEX entry_cid ON entry (conv, sender, cid);

CREATE TABLE reaction (
    conv BIGINT NOT NULL,
    seq BIGINT NOT NULL,
    user_id BIGINT NOT NULL,
    content BYTEA NOT NULL,
    PRIMARY KEY (conv, seq, user_id)
);

CREATE TABLE mark (
    conv BIGINT NOT NULL,
    user_id BIGINT NOT NULL,
    delivered BIGINT NOT NULL,
    read BIGINT NOT NULL,
    rrev BIGINT NOT NULL,
    PRIMARY KEY (conv, user_id)
);
CREATE INDEX mark_rrev ON mark (conv, rrev);

CREATE TABLE creation (
    creator BIGINT NOT NULL,
    cid BYTEA NOT NULL,
    conv BIGINT NOT NULL,
    digest BYTEA NOT NULL,
    PRIMARY KEY (creator, cid)
);

CREATE TABLE direct (low BIGINT NOT NULL, high BIGINT NOT NULL, conv BIGINT NOT NULL, PRIMARY KEY (low, high));
