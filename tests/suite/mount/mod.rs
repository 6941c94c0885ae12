//! Real mounts: their life, their server, their answers, their damage.

mod answers;
#[cfg(target_arch = "x86_64")]
mod calls;
mod damage;
mod dead;
mod helper;
mod in_use;
mod life;
mod messages;
mod namespaces;
mod place;
mod race;
mod refuses;
mod sandbox;
mod stats;
mod supervise;
mod umount;
mod union;
mod user;
