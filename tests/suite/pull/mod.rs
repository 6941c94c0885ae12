//! Pulls: crashes, kills, damage that heals, sources.

mod crash;
mod heals;
mod kill;
mod refused;
mod sources;
mod verify;
