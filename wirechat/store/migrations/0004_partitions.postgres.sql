-- Alone: tables are made anew, so every other server has to be stopped.
-- What is found by its conversation lies in 16 partitions by conversation: smaller indexes, vacuumed one by one.

CREATE TABLE entry_apart (LIKE entry) PARTITION BY HASH (conv);
CREATE TABLE reaction_apart (LIKE reaction) PARTITION BY HASH (conv);
CREATE TABLE mention_apart (LIKE mention) PARTITION BY HASH (conv);

DO $$
BEGIN
    FOR number IN 0..15 LOOP
        EXECUTE format('CREATE TABLE entry_%s PARTITION OF entry_apart FOR VALUES WITH (MODULUS 16, REMAINDER %s)', number, number);
        EXECUTE format('CREATE TABLE reaction_%s PARTITION OF reaction_apart FOR VALUES WITH (MODULUS 16, REMAINDER %s)', number, number);
        EXECUTE format('CREATE TABLE mention_%s PARTITION OF mention_apart FOR VALUES WITH (MODULUS 16, REMAINDER %s)', number, number);
    END LOOP;
END $$;

INSERT INTO entry_apart SELECT * FROM entry;
INSERT INTO reaction_apart SELECT * FROM reaction;
INSERT INTO mention_apart SELECT * FROM mention;

DROP TABLE entry, reaction, mention;
ALTER TABLE entry_apart RENAME TO entry;
ALTER TABLE reaction_apart RENAME TO reaction;
ALTER TABLE mention_apart RENAME TO mention;

ALTER TABLE entry ADD PRIMARY KEY (conv, seq);
CREATE UNIQUE INDEX entry_cid ON entry (conv, sender, cid);
CREATE INDEX entry_edit ON entry (conv, ref) WHERE kind = 2;
CREATE INDEX entry_pinned ON entry (conv, pinned) WHERE pinned IS NOT NULL;
CREATE INDEX entry_meta ON entry (conv, seq) WHERE kind = 9;
ALTER TABLE reaction ADD PRIMARY KEY (conv, seq, user_id);
ALTER TABLE mention ADD PRIMARY KEY (user_id, conv, seq);
CREATE INDEX mention_message ON mention (conv, seq);
