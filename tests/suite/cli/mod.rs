//! The program from outside: output, errors, formats, registries, archives.

mod archives;
mod credentials;
mod docker;
mod lists;
mod registry;
mod search;
mod shell;
mod template;
mod terminal;
mod writers;
