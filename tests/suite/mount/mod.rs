//! Real mounts: their life, their server, their answers, their damage.

mod answers;
mod damage;
mod dead;
mod helper;
mod life;
mod messages;
mod place;
mod refuses;
mod sandbox;
mod stats;
mod supervise;
mod umount;
mod union;
mod user;
