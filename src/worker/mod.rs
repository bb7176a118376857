//! Background workers: the launcher, one or more workers a database, and how they are woken.

pub mod wake;
