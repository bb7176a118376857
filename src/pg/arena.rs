//! Memory for the values of rows that are written at once: an allocation of the server's for each of them costs more than
//! copying it. Filled, then emptied as a whole, and filled again.

use std::cell::RefCell;

use pgrx::pg_sys::Datum;

use super::raise::internal;

/// Words of the first block, each further one has twice as many, up to the last; a longer value gets a block of its own.
const FIRST: usize = 128;
const LAST: usize = 32 * 1024;

/// What a length word can say.
const LONGEST: usize = 0x3fff_ffff;

/// Values that live until the arena is emptied. They are aligned as the most demanding type is.
#[derive(Default)]
pub struct Arena(RefCell<Blocks>);

#[derive(Default)]
struct Blocks {
    blocks: Vec<Vec<u64>>,
    /// Which block is being filled, and how many words of it are taken.
    at: usize,
    taken: usize,
}

impl Arena {
    /// Forgets all values.
    pub fn empty(&self) {
        let mut blocks = self.0.borrow_mut();
        (blocks.at, blocks.taken) = (0, 0);
    }

    /// A copy of some bytes.
    pub fn bytes(&self, bytes: &[u8]) -> Datum {
        let place = self.0.borrow_mut().take(bytes.len());
        // SAFETY: room for that many bytes, which belongs to nobody else.
        unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), place, bytes.len()) };
        Datum::from(place)
    }

    /// A text, or a value that is stored as one: a length word that counts itself, and the bytes.
    pub fn varlena(&self, bytes: &[u8]) -> Datum {
        let length = bytes.len() + 4;
        if length > LONGEST {
            internal("a text is too long for a row");
        }
        let place = self.0.borrow_mut().take(length);
        // SAFETY: room for the length word and the bytes; the value is aligned.
        unsafe {
            pgrx::set_varsize_4b(place.cast(), length as i32);
            std::ptr::copy_nonoverlapping(bytes.as_ptr(), place.add(4), bytes.len());
        }
        Datum::from(place)
    }
}

impl Blocks {
    /// Room for so many bytes.
    fn take(&mut self, bytes: usize) -> *mut u8 {
        let words = bytes.div_ceil(8);
        while self
            .blocks
            .get(self.at)
            .is_some_and(|block| block.len() - self.taken < words)
        {
            (self.at, self.taken) = (self.at + 1, 0);
        }
        if self.at == self.blocks.len() {
            let before = self.blocks.last().map_or(FIRST / 2, Vec::len);
            self.blocks.push(vec![0; words.max((2 * before).min(LAST))]);
        }
        let place = &mut self.blocks[self.at][self.taken..self.taken + words];
        self.taken += words;
        place.as_mut_ptr().cast()
    }
}
