//! Commands in an image: isolation, identities, terminals, what stays afterwards.

mod apart;
mod attack;
mod image;
mod pty;
mod rights;
mod run;
mod user;
