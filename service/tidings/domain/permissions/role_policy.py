"""Which role may add, change and remove which members: pure decisions, and all of them.

    caller       may add or change                 may remove
    OWNER        everyone, to every role           everyone
    MODERATOR    MEMBER and READER, to those two   MEMBER and READER
    others       themselves: join an OPEN room     themselves: leave

Beyond the table: no user raises their own role. A DIRECT room keeps its two members. A READER of an OPEN room was given
that role by others, and cannot become a non-member, who may write, by leaving.
"""

from typing import Final

from tidings.contract import v1
from tidings.contract.errors import invalid_argument, permission_denied
from tidings.domain.permissions.authorizer import NON_MEMBER, RoomAccess

# The contract numbers the roles from most rights to least.
ROLES: Final = (v1.OWNER, v1.MODERATOR, v1.MEMBER, v1.READER)
_MANAGEABLE_ROLES: Final[dict[int, frozenset[int]]] = {
    v1.OWNER: frozenset({NON_MEMBER, *ROLES}),
    v1.MODERATOR: frozenset({NON_MEMBER, v1.MEMBER, v1.READER}),
}


def role_after_join(requested: int, role: int) -> int:
    """The role of a user with `role` after a join that requests `requested`; INVALID_ARGUMENT for no role."""
    if requested not in (NON_MEMBER, *ROLES):
        raise invalid_argument(f"role is {requested}; use OWNER, MODERATOR, MEMBER or READER")
    return requested or role or v1.MEMBER


def check_join(access: RoomAccess, user: str, caller: str, before: int, after: int) -> None:
    """Check that `caller` may change the role of `user` from `before` to `after`; PERMISSION_DENIED."""
    room = access.room_info.room
    if before == after:
        return
    _reject_direct(access)
    if user == caller and before == NON_MEMBER:
        if after != v1.MEMBER:
            raise permission_denied(f"who joins {room} becomes a MEMBER; an owner can give you another role")
        return
    if user == caller and after > before and access.role in _MANAGEABLE_ROLES:
        return
    manageable = _MANAGEABLE_ROLES.get(access.role, frozenset())
    if before not in manageable or after not in manageable:
        raise permission_denied(
            f"in {room} you may not make {user} {_role_name(after)}; an owner may, and a moderator between MEMBER "
            f"and READER"
        )


def check_leave(access: RoomAccess, user: str, caller: str, before: int) -> None:
    """Check that `caller` may remove `user`, whose role is `before`, from the room; PERMISSION_DENIED."""
    room = access.room_info.room
    _reject_direct(access)
    if user == caller:
        if before == v1.READER and access.room_info.kind == v1.OPEN:
            raise permission_denied(f"you were made a reader of {room}; ask an owner or a moderator to take you out")
        return
    if before not in _MANAGEABLE_ROLES.get(access.role, frozenset()):
        raise permission_denied(
            f"in {room} you may not remove {user}; an owner may, and a moderator may remove MEMBER and READER"
        )


def _reject_direct(access: RoomAccess) -> None:
    if access.room_info.kind == v1.DIRECT:
        raise permission_denied("a DIRECT room belongs to its two people for ever; create a GROUP room for others")


def _role_name(role: int) -> str:
    return v1.Role.Name(v1.Role.ValueType(role))
