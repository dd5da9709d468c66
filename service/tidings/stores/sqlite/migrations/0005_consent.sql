-- Whether a member consented to being seen in the room by the others there: by making or joining it, by writing,
-- reacting or marking something as read. Who was brought in has not. Members from before this was kept have, ...
ALTER TABLE members ADD COLUMN consented INTEGER NOT NULL DEFAULT 1;

-- ... but for the one of a DIRECT room (1) who did not make it and has read nothing in it, and for the READERs (4) of
-- an OPEN room (3), who cannot leave it.
UPDATE members SET consented = 0 FROM rooms r
  WHERE r.number = members.room AND (
    r.kind = 1 AND r.creator <> members.user AND NOT EXISTS (
      SELECT 1 FROM positions p WHERE p.room = members.room AND p.user = members.user AND p.read > 0)
    OR r.kind = 3 AND members.role = 4);

-- Rooms that a user can be seen in: a look at who shares one does not walk over those that others brought the user into.
CREATE INDEX consents ON members (user, room) WHERE consented = 1;
