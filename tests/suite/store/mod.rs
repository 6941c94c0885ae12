//! The store on disk: names, views, crashes, verification.

mod access;
mod crash;
mod images;
mod ingest;
mod same_image;
mod verify;
mod views;
