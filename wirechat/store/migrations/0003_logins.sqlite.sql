-- Which of two logins of a device is the newer one, for the nodes that both have it connected.

-- Rises by one with each login; a device that logs in for the first time has number 1.
ALTER TABLE device ADD COLUMN login INTEGER NOT NULL DEFAULT 0;
-- When that was.
ALTER TABLE device ADD COLUMN login_stamp INTEGER NOT NULL DEFAULT 0;
CREATE INDEX device_login ON device (login_stamp);
