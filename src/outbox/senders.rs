//! Which channels a sender may lease from and report on: all, unless wf.grant_role has named some for its role.

use pgrx::PgSqlErrorCode;
use pgrx::pg_sys::Oid;

use crate::pg::acting::{is_superuser, role_name};
use crate::pg::raise::raise_as;

/// SQL for the channels that a role is restricted to, null for none: the role's own and those of roles that it is in. Asked
/// along with something else, so that it costs no statement; the role, from `asked_for`, is $2 of that.
pub const CHANNELS_OF: &str =
    "(SELECT pg_catalog.array_agg(s.channel::text) FROM wf.sender_channels AS s
     WHERE pg_catalog.pg_has_role($2, s.role::oid, 'MEMBER'))";

/// The role to ask for: a superuser, who is in every role, is in none of them here.
pub fn asked_for(caller: Oid) -> Oid {
    if is_superuser(caller) {
        Oid::INVALID
    } else {
        caller
    }
}

/// Refuses a sender a channel that is not theirs.
pub fn refuse(what: &str, channel: &str, caller: Oid) -> ! {
    raise_as(
        PgSqlErrorCode::ERRCODE_INSUFFICIENT_PRIVILEGE,
        format!("{what} is not yours: its channel is \"{channel}\""),
        Some(format!(
            "Role {} is a sender for other channels only (wf.sender_channels).",
            role_name(caller)
        )),
        Some(
            "Have the owner of the extension call wf.grant_role with this channel, too.".to_owned(),
        ),
    )
}
