"""What one test leaves in a database no other test finds."""

from __future__ import annotations

import pytest

from throwaway_databases import Copies, Server, connected, of_server

pytestmark = pytest.mark.parametrize("left", ["rows", "a table", "a right", "a connection"])

CHANGES = {
    "rows": "DELETE FROM ledger_tree; SELECT nextval('match_sketch_number_seq')",
    "a table": "CREATE TABLE left_behind (id integer)",
    "a right": "GRANT SELECT ON party TO PUBLIC",
}


def test_a_database_is_handed_on_as_it_was_or_not_at_all(
    making: Server, copies: Copies, left: str
) -> None:
    def content(name: str) -> list[object]:
        with connected(of_server(making.address, name)) as connection:
            return [
                connection.execute("SELECT count(*) FROM party").fetchone(),
                connection.execute("SELECT * FROM ledger_tree").fetchall(),
                connection.execute(
                    "SELECT last_value, is_called FROM match_sketch_number_seq"
                ).fetchone(),
                connection.execute(
                    "SELECT relacl FROM pg_class WHERE relname = 'party'"
                ).fetchone(),
            ]

    name = copies.take()
    first = content(name)
    staying = connected(of_server(making.address, name))
    if left != "a connection":
        staying.execute(CHANGES[left])
        assert left == "a table" or content(name) != first
        staying.close()
    copies.give_back(name)
    staying.close()
    following = copies.take()
    assert (following == name) == (left == "rows")
    assert content(following) == first
    copies.give_back(following)
