//! Images and layers that no tool writes on purpose.

mod images;
mod layers;
