//! Proofs at length: crashes at random, held against the rules, and a soak. `make torture` runs their long forms.

mod acts;
mod checks;
mod clients;
mod crashes;
mod facts;
mod flows;
mod found;
mod measures;
mod replay;
mod soak;
mod trace;
