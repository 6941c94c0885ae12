//! What tests share: small images, stores and registries that misbehave, real tools, time that obeys.

pub mod certificates;
pub mod cli;
pub mod elf;
pub mod fake_clock;
pub mod fake_source;
pub mod fault_registry;
pub mod faulty;
pub mod figures;
pub mod image;
pub mod images;
#[cfg(target_arch = "x86_64")]
pub mod inject;
pub mod item_image;
pub mod layout_registry;
pub mod model;
pub mod podman;
pub mod program;
pub mod real_parts;
pub mod real_registry;
pub mod replay;
pub mod require;
pub mod resolve;
pub mod sample;
pub mod streams;
pub mod tar_account;
pub mod tree_compare;
