-- The rest of the base: profiles, devices, roles, descriptions, pins, forwards, mentions, hidden messages, blocks.

ALTER TABLE account ADD COLUMN about BLOB;
-- Rises with every change of what others may see of the account.
ALTER TABLE account ADD COLUMN rev INTEGER NOT NULL DEFAULT 0;
-- Who may see presence and last seen (audiences of the protocol).
ALTER TABLE account ADD COLUMN audience INTEGER NOT NULL DEFAULT 1;
ALTER TABLE account ADD COLUMN seen INTEGER;
-- The conversation that is the account log; made when it is first needed.
ALTER TABLE account ADD COLUMN log INTEGER;

ALTER TABLE device ADD COLUMN seen INTEGER;
-- When it was revoked, for the nodes that have it connected.
ALTER TABLE device ADD COLUMN stamp INTEGER NOT NULL DEFAULT 0;
CREATE INDEX device_user ON device (user_id);
CREATE INDEX device_revoked ON device (stamp) WHERE revoked;

ALTER TABLE conv ADD COLUMN about BLOB;

-- Who left has no role, who comes back is a member, and a group has an owner while it has members.
UPDATE member SET role = 0 WHERE until IS NOT NULL;
UPDATE member SET role = 1 WHERE role = 4 AND since > 1;
UPDATE member SET role = 4 WHERE until IS NULL AND conv IN (SELECT conv FROM conv WHERE kind = 2)
    AND NOT EXISTS (SELECT 1 FROM member o WHERE o.conv = member.conv AND o.role = 4)
    AND NOT EXISTS (SELECT 1 FROM member o WHERE o.conv = member.conv AND o.until IS NULL
                    AND (o.since < member.since OR (o.since = member.since AND o.user_id < member.user_id)));

-- latest_users: whom the newest edit mentions. pinned: seq of the PIN that holds.
ALTER TABLE entry ADD COLUMN origin_user INTEGER;
ALTER TABLE entry ADD COLUMN origin_ts INTEGER;
ALTER TABLE entry ADD COLUMN role INTEGER;
ALTER TABLE entry ADD COLUMN latest_users TEXT;
ALTER TABLE entry ADD COLUMN pinned INTEGER;
CREATE INDEX entry_pinned ON entry (conv, pinned) WHERE pinned IS NOT NULL;
-- What a conversation was called when somebody left.
CREATE INDEX entry_meta ON entry (conv, seq) WHERE kind = 9;

-- Who is mentioned in the latest state of a message.
CREATE TABLE mention (
    user_id INTEGER NOT NULL,
    conv INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    PRIMARY KEY (user_id, conv, seq)
) WITHOUT ROWID, STRICT;
CREATE INDEX mention_message ON mention (conv, seq);

CREATE TABLE hidden (
    user_id INTEGER NOT NULL,
    conv INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    PRIMARY KEY (user_id, conv, seq)
) WITHOUT ROWID, STRICT;

CREATE TABLE block (
    user_id INTEGER NOT NULL,
    blocked INTEGER NOT NULL,
    PRIMARY KEY (user_id, blocked)
) WITHOUT ROWID, STRICT;

-- Of a direct conversation it is asked whether one of the two blocks the other.
CREATE INDEX direct_conv ON direct (conv);
