//! Writing to wf.inbox. Few keys get a row each; many at once share rows, so that a bulk statement of the ERP writes
//! one row for a thousand of its own.
//!
//! What triggers have noted is written whatever the ERP's role may do: single rows without an executor (`direct`), the
//! rest as the inbox's owner.

use super::direct::Inbox;
use crate::pg::acting::as_role;
use crate::pg::spi;
use crate::pg::types::{Char, arg, array, array_of, optional};

/// From so many keys of one kind on, they share rows. Until such a row is read no message of its whole subject leaves,
/// so a statement of a few rows does without.
const PACK_AT: usize = 200;
/// Keys in one row at most: the worker takes a row as a whole, and its batches stay bounded by this.
pub const PACK: usize = 1000;
/// As `PACK`, for the texts together.
const PACK_BYTES: usize = 256 * 1024;

/// What an entry says besides its key.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Tag {
    /// wf.subjects.subject_id
    pub subject: i32,
    /// wf.inbox.op
    pub op: u8,
    /// wf.watches.watch_id, 0 for a row of the subject's own table.
    pub watch: i32,
}

/// What the text of an entry is.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Text {
    /// Nothing: every open case of the subject.
    None,
    /// The key.
    Key,
    /// A watched row's columns, from which the worker will compute the key.
    Watched,
}

/// What a trigger has noted. The text is in the database's encoding, whatever that is.
pub type Noted<'a> = (Tag, Text, &'a [u8]);

fn watch(tag: Tag) -> Option<i32> {
    (tag.watch != 0).then_some(tag.watch)
}

/// Appends what triggers have noted. The order within one call is lost: the worker derives what follows from the rows
/// as they are then, not from the order in which they changed. False when there is no inbox (any more).
pub fn noted(entries: &[Noted<'_>]) -> bool {
    let Some(inbox) = Inbox::open() else {
        return false;
    };
    if entries.len() < PACK_AT {
        single(&inbox, entries);
        return true;
    }
    // A statement is about one table, or about a few whose triggers write to each other.
    let mut kinds: Vec<(Tag, Text, Vec<&[u8]>)> = Vec::new();
    for &(tag, text, bytes) in entries {
        match kinds.iter_mut().rev().find(|k| k.0 == tag && k.1 == text) {
            Some((_, _, texts)) => texts.push(bytes),
            None => kinds.push((tag, text, vec![bytes])),
        }
    }
    let mut few = Vec::new();
    for (tag, text, texts) in kinds {
        if texts.len() < PACK_AT || text == Text::None {
            few.extend(texts.into_iter().map(|bytes| (tag, text, bytes)));
        } else {
            as_role(inbox.owner(), || {
                spi::connected(|| packed(tag, text, &texts))
            });
        }
    }
    single(&inbox, &few);
    true
}

fn single(inbox: &Inbox, entries: &[Noted<'_>]) {
    if !entries.is_empty() && !inbox.append(entries) {
        as_role(inbox.owner(), || spi::connected(|| insert(entries)));
    }
}

/// Appends keys, or watched rows, of one kind, many to a row. As the inbox's owner, inside an SPI connection.
pub fn packed<T: AsRef<[u8]>>(tag: Tag, text: Text, texts: &[T]) {
    let mut rest = texts;
    while !rest.is_empty() {
        let mut size = 0;
        let fits = rest.iter().take(PACK).take_while(|t| {
            size += t.as_ref().len();
            size <= PACK_BYTES
        });
        // one that does not fit by itself goes alone
        let (row, left) = rest.split_at(fits.count().max(1));
        rest = left;
        let array = array(row.iter().map(AsRef::as_ref));
        let sql = match text {
            Text::Watched => {
                "INSERT INTO wf.inbox (subject_id, op, watch_id, packed, watched_rows) VALUES ($1, $2, $3, $4, $5)"
            }
            Text::Key | Text::None => {
                "INSERT INTO wf.inbox (subject_id, op, watch_id, packed, keys) VALUES ($1, $2, $3, $4, $5)"
            }
        };
        spi::query(
            sql,
            &[
                arg(tag.subject),
                arg(Char(tag.op)),
                optional(watch(tag)),
                arg(row.len() as i32),
                array,
            ],
        );
    }
}

fn text_of<'a>(entry: &Noted<'a>, kind: Text) -> Option<&'a [u8]> {
    (entry.1 == kind).then_some(entry.2)
}

fn insert(entries: &[Noted<'_>]) {
    spi::query(
        "INSERT INTO wf.inbox (subject_id, key, op, watch_id, watched) \
         SELECT e.subject_id, e.key, e.op, e.watch_id, e.watched \
         FROM ROWS FROM (pg_catalog.unnest($1), pg_catalog.unnest($2), pg_catalog.unnest($3), \
                         pg_catalog.unnest($4), pg_catalog.unnest($5)) \
              AS e (subject_id, key, op, watch_id, watched)",
        &[
            array(entries.iter().map(|e| e.0.subject)),
            array_of(entries.iter().map(|e| text_of(e, Text::Key))),
            array(entries.iter().map(|e| Char(e.0.op))),
            array_of(entries.iter().map(|e| watch(e.0))),
            array_of(entries.iter().map(|e| text_of(e, Text::Watched))),
        ],
    );
}
