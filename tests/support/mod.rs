//! What the tests of sources share: small images, a registry that misbehaves, time that obeys.

#![allow(dead_code, reason = "each test binary uses its own part")]

pub mod certificates;
pub mod fake_clock;
pub mod fake_names;
pub mod fault_registry;
pub mod image;
pub mod log_lines;
pub mod net_namespace;
pub mod real_registry;
pub mod resolve;
