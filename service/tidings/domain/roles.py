"""Who may bring in, change and remove whom: pure decisions, and all of them.

    who asks     may bring in or change            may remove
    OWNER        everybody, to every role          everybody
    MODERATOR    MEMBER and READER, to those two   MEMBER and READER
    others       themselves: join an OPEN room     themselves: leave

Beyond the table: nobody raises their own role. A DIRECT room keeps its two people. A READER of an OPEN room was made
one by somebody, and cannot become a stranger who may write by leaving.
"""

from typing import Final

from tidings.contract import v1
from tidings.contract.errors import invalid_argument, permission_denied
from tidings.domain.access import STRANGER, Standing

# Less is more: the numbers of the contract go from most to least.
ROLES: Final = (v1.OWNER, v1.MODERATOR, v1.MEMBER, v1.READER)
_GOVERNED: Final[dict[int, frozenset[int]]] = {
    v1.OWNER: frozenset({STRANGER, *ROLES}),
    v1.MODERATOR: frozenset({STRANGER, v1.MEMBER, v1.READER}),
}


def joining(asked: int, role: int) -> int:
    """The role that somebody with `role` shall have after a join that asks for `asked`."""
    if asked not in (STRANGER, *ROLES):
        raise invalid_argument(f"role is {asked}; use OWNER, MODERATOR, MEMBER or READER")
    return asked or role or v1.MEMBER


def check_join(standing: Standing, user: str, caller: str, before: int, after: int) -> None:
    """Whether `caller` may give `user`, who has the role `before`, the role `after`."""
    room = standing.place.room
    if before == after:
        return
    _refuse_direct(standing)
    if user == caller and before == STRANGER:
        if after != v1.MEMBER:
            raise permission_denied(f"who joins {room} becomes a MEMBER; an owner can give you another role")
        return
    if user == caller and after > before and standing.role in _GOVERNED:
        return
    governed = _GOVERNED.get(standing.role, frozenset())
    if before not in governed or after not in governed:
        raise permission_denied(
            f"in {room} you may not make {user} {_name(after)}; an owner may, and a moderator between MEMBER and READER"
        )


def check_leave(standing: Standing, user: str, caller: str, before: int) -> None:
    """Whether `caller` may take `user`, who has the role `before`, out of the room."""
    room = standing.place.room
    _refuse_direct(standing)
    if user == caller:
        if before == v1.READER and standing.place.kind == v1.OPEN:
            raise permission_denied(f"you were made a reader of {room}; ask an owner or a moderator to take you out")
        return
    if before not in _GOVERNED.get(standing.role, frozenset()):
        raise permission_denied(
            f"in {room} you may not remove {user}; an owner may, and a moderator may remove MEMBER and READER"
        )


def _refuse_direct(standing: Standing) -> None:
    if standing.place.kind == v1.DIRECT:
        raise permission_denied("a DIRECT room belongs to its two people for ever; create a GROUP room for others")


def _name(role: int) -> str:
    return v1.Role.Name(v1.Role.ValueType(role))
