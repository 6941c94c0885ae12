//! Commands in an image: isolation, identities, terminals, what stays afterwards.

mod apart;
mod attributes;
mod image;
mod pty;
mod run;
mod user;
