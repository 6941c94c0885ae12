//! Commands in an image: isolation, identities, terminals, what stays afterwards.

mod apart;
mod attack;
mod attributes;
mod docker;
mod image;
mod job;
mod limits;
mod namespace;
mod pty;
mod rights;
mod run;
mod server;
mod shells;
mod stdio;
mod user;
