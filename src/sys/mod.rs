//! What the operating system gives, behind safe functions: system calls, C interfaces, processes and
//! threads. The only module with `unsafe`.

pub mod bell;
pub mod exec;
pub mod ioctl;
pub mod limits;
pub mod map;
pub mod memory;
pub mod message;
pub mod mount_attributes;
pub mod mountinfo;
pub mod namespace;
pub mod process;
pub mod sandbox;
pub mod sealed;
mod seccomp;
pub mod secret;
pub mod signal;
pub mod tmpfile;
pub mod worker;
pub mod zlib;
