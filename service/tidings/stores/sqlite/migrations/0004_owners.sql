-- The owners of a room, of whom there are few: found without a look at its other members (1: OWNER).
CREATE INDEX owners ON members (room) WHERE role = 1;
