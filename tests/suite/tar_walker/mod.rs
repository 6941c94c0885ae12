//! The tar walker against what it promises, sentence by sentence.
//!
//! A module a group of sentences; every test's name says the sentence. `golden` holds one archive
//! of every kind, which `splits` and `hostile` cut and damage.
#![allow(clippy::unwrap_used, clippy::cast_possible_truncation)]

mod archive;
mod check;
mod codec;
mod content;
mod ends;
mod foreign;
mod formats;
mod golden;
mod hostile;
mod limits;
mod names;
mod numbers;
mod pax;
mod sparse;
mod splits;
mod types;
mod walk;
mod xattrs;
