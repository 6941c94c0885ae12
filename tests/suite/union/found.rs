//! What the property tests found, shrunk, one test each.

use super::compare::compare;
use crate::support::model::item::{empty, file, symlink};

/// The text of a followed symlink ended the path: there is no rest to put after it.
#[test]
fn union_path_that_ends_in_a_symlink() {
    compare(&[vec![symlink("c", "a")], vec![empty("c/a")]]);
}

/// `c` leads to the root by way of `a`, which is not there. Once it is, and is a loop, `c` is one.
#[test]
fn union_detour_over_something_missing_that_comes_to_be() {
    let items = [symlink("c", "/a/c/../.."), symlink("c/a", "../a"), file("c/b")];
    compare(&[items.to_vec()]);
}
