//! Commands for the shell that the program is used in: `completion`, `man`.
//!
//! Both are made from the definition that parses the command line, so they cannot differ from it.

pub mod completion;
pub mod man;
