-- Which of two logins of a device is the newer one, for the nodes that both have it connected.

-- Rises by one with each login; a device that logs in for the first time has number 1.
ALTER TABLE device ADD COLUMN login BIGINT NOT NULL DEFAULT 0;
-- The highest one of which a node has a session, or had: its connection may have been gone before.
ALTER TABLE device ADD COLUMN entered BIGINT NOT NULL DEFAULT 0;
-- When that was written down. Nodes that are alone do not.
ALTER TABLE device ADD COLUMN entered_stamp BIGINT NOT NULL DEFAULT 0;
CREATE INDEX device_entered ON device (entered_stamp);
