-- All rooms' logs in one tree, each room's events beside one another: id = room number * 2^36 + seq.
-- The newest id of a room is its head; it is written nowhere else. A row holds its event as it is read now.
CREATE TABLE events (
  id INTEGER PRIMARY KEY,
  kind INTEGER NOT NULL,       -- the field number in Event.what; 0: a message that was deleted
  actor TEXT NOT NULL,
  client_id TEXT NOT NULL,
  at_ms INTEGER NOT NULL,      -- never less than the event's before it
  latest INTEGER NOT NULL,     -- seq of the room's newest message as of this event
  target INTEGER NOT NULL,     -- seq of the message this is about, 0: none
  asked BLOB,                  -- what was asked for, once later events have changed the data
  data BLOB NOT NULL           -- tidings.v1.Event
) STRICT;

-- Idempotency keys, for ever. The sender comes first: ids that a client counts up then fall into few pages,
-- however many rooms it writes to. With the room first, 500 rooms cost 40 % of the speed of writing.
CREATE UNIQUE INDEX keys ON events (actor, client_id, (id >> 36)) WHERE client_id <> '';

-- The edits of a message, whose texts go when it is deleted (11: edited).
CREATE INDEX edits ON events ((id >> 36), target) WHERE kind = 11;

CREATE TABLE rooms (
  number INTEGER PRIMARY KEY,
  name TEXT NOT NULL UNIQUE,
  kind INTEGER NOT NULL,
  title TEXT NOT NULL,
  creator TEXT NOT NULL,
  epoch TEXT NOT NULL,
  created_at_ms INTEGER NOT NULL,
  asked BLOB NOT NULL,         -- what its creator asked for: the same again is no conflict
  members INTEGER NOT NULL
) STRICT;

-- What everybody may see (3: OPEN).
CREATE INDEX open_rooms ON rooms (name) WHERE kind = 3;

CREATE TABLE members (
  room INTEGER NOT NULL,
  user TEXT NOT NULL,
  role INTEGER NOT NULL,
  PRIMARY KEY (room, user)
) STRICT, WITHOUT ROWID;

CREATE INDEX members_by_user ON members (user);

-- How far somebody has come, member or not. Unread is never stored: it is counted in the log.
CREATE TABLE positions (
  room INTEGER NOT NULL,
  user TEXT NOT NULL,
  delivered INTEGER NOT NULL,
  read INTEGER NOT NULL,
  PRIMARY KEY (room, user)
) STRICT, WITHOUT ROWID;

-- Who reacted to a message (its id), with the seq of the event by which they did.
CREATE TABLE reactions (
  message INTEGER NOT NULL,
  emoji TEXT NOT NULL,
  user TEXT NOT NULL,
  seq INTEGER NOT NULL,
  PRIMARY KEY (message, emoji, user)
) STRICT, WITHOUT ROWID;

CREATE UNIQUE INDEX reactions_by_arrival ON reactions (message, emoji, seq);

CREATE TABLE users (
  name TEXT PRIMARY KEY,
  last_seen_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- One row: what pages of a search are sealed with.
CREATE TABLE secrets (
  pages BLOB NOT NULL
) STRICT;

INSERT INTO secrets (pages) VALUES (randomblob(32));
