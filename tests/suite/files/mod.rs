//! `files`, `cat`, `cp` and `export`: an image read without a mount.

mod real;
mod small;
mod tar;
