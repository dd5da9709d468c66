"""Reads whose cost must not grow with what a caller chooses: counted in steps of SQLite's virtual machine."""

import apsw
import pytest

from tidings.stores.sqlite import queries, tables
from tidings.stores.sqlite.schema import known_migrations, migrate


def test_what_a_look_at_who_shares_a_room_costs_does_not_grow_with_the_callers_rooms() -> None:
    connection = apsw.Connection("")
    migrate(connection, known_migrations())
    ids = range(1, 401)
    rooms = ((number, f"r{number}") for number in ids)
    connection.executemany("INSERT INTO rooms VALUES (?, ?, 2, '', '', 'e', 0, x'', 1)", rooms)

    def steps(my_rooms: int) -> int:
        connection.execute("DELETE FROM members")
        mine = ((number, "eve") for number in ids[:my_rooms])
        connection.executemany("INSERT INTO members (room, user, role) VALUES (?, ?, 1)", mine)
        done = 0

        def count() -> bool:
            nonlocal done
            done += 1
            return False

        connection.set_progress_handler(count, 1)
        assert queries.users_sharing_room(connection, "eve", ["ann", "bob"]) == set()
        connection.set_progress_handler(None)
        return done

    assert steps(400) == steps(1)


@pytest.mark.parametrize(
    "sql",
    [
        pytest.param(text, id=f"{module.__name__}.{name}")
        for module in (queries, tables)
        for name, text in vars(module).items()
        if isinstance(text, str) and text.startswith(("SELECT", "UPDATE", "DELETE")) and "?" in text
    ],
)
def test_every_statement_finds_its_rows_by_an_index(sql: str) -> None:
    connection = apsw.Connection("")
    migrate(connection, known_migrations())
    plan = [step[3] for step in connection.execute(f"EXPLAIN QUERY PLAN {sql}", (1,) * sql.count("?"))]
    # What is scanned is what was found already, or the values that were asked for.
    scanned = {step for step in plan if step.startswith("SCAN")} - {
        "SCAN (subquery-1)",
        "SCAN asked",
        "SCAN CONSTANT ROW",
    }
    assert not scanned


def test_what_a_look_at_who_shares_a_room_costs_does_not_grow_with_rooms_others_brought_a_user_into() -> None:
    connection = apsw.Connection("")
    migrate(connection, known_migrations())

    def steps(rooms: int) -> int:
        connection.execute("DELETE FROM members")
        brought_in = ((number, "ann") for number in range(rooms))
        connection.executemany("INSERT INTO members (room, user, role, consented) VALUES (?, ?, 3, 0)", brought_in)
        done = 0

        def count() -> bool:
            nonlocal done
            done += 1
            return False

        connection.set_progress_handler(count, 1)
        assert queries.users_sharing_room(connection, "eve", ["ann"]) == set()
        connection.set_progress_handler(None)
        return done

    assert steps(400) == steps(1)
