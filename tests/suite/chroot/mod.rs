//! Commands in an image: isolation, identities, terminals, what stays afterwards.

mod apart;
mod image;
mod pty;
mod run;
mod user;
