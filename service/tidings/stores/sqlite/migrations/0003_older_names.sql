-- Names beyond ASCII of the rooms and users that there are. The rules for names became stricter, and these were given
-- before: they stay as they are, so that rooms can still be reached and users keep their rooms.
CREATE TABLE older_names (name TEXT PRIMARY KEY) STRICT, WITHOUT ROWID;
INSERT INTO older_names
  SELECT name FROM rooms WHERE name GLOB '*[^ -~]*'
  UNION SELECT user FROM members WHERE user GLOB '*[^ -~]*'
  UNION SELECT name FROM users WHERE name GLOB '*[^ -~]*';
