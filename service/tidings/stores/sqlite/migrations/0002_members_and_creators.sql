-- When a member came in: the seq of that event; 0 for members from before this was kept. A room whose last owner
-- leaves passes to the one who has been in for longest.
ALTER TABLE members ADD COLUMN since INTEGER NOT NULL DEFAULT 0;

-- The room's head when the member hid the room from their list; 0: never. A newer message shows it again.
ALTER TABLE members ADD COLUMN hidden INTEGER NOT NULL DEFAULT 0;

-- How many rooms somebody has made. Kind 0: a GROUP that everybody left; its name is free again.
CREATE INDEX rooms_by_creator ON rooms (creator) WHERE kind <> 0;

-- 2: GROUP. Nobody could enter these any more, and nobody could use their names.
UPDATE rooms SET name = 'archived ' || number, kind = 0 WHERE kind = 2 AND members = 0;
