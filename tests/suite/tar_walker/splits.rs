//! Pieces: however the stream is cut, the same comes out.

use proptest::collection::vec;
use proptest::prelude::{any, prop_assert_eq, proptest};
use shalefs::limits::Limits;

use super::archive::walk;
use super::golden;

#[test]
fn tar_split_at_every_byte_is_the_same() {
    for (name, bytes) in golden::archives() {
        let whole = walk(&bytes, Limits::default(), [bytes.len()]);
        for split in 1..bytes.len() {
            let pieces = walk(&bytes, Limits::default(), [split, bytes.len()]);
            assert!(pieces == whole, "{name} split at {split}");
        }
    }
}

#[test]
fn tar_pieces_of_every_small_size_are_the_same() {
    for (name, bytes) in golden::archives() {
        let whole = walk(&bytes, Limits::default(), [bytes.len()]);
        for piece in (1..40).chain([100, 511, 512, 513, 1023, 1024, 1025]) {
            assert!(walk(&bytes, Limits::default(), [piece]) == whole, "{name} in {piece}s");
        }
    }
}

#[test]
fn tar_cut_off_at_every_byte_is_the_same_in_pieces() {
    for (name, bytes) in golden::archives() {
        for end in 0..bytes.len() {
            let whole = walk(&bytes[..end], Limits::default(), [end]);
            assert!(walk(&bytes[..end], Limits::default(), [100]) == whole, "{name} up to {end}");
        }
    }
}

proptest! {
    #[test]
    fn tar_random_pieces_are_the_same(
        which in any::<proptest::sample::Index>(),
        lengths in vec(0_usize..2000, 1..60),
    ) {
        let archives = golden::archives();
        let (_, bytes) = which.get(&archives);
        let whole = walk(bytes, Limits::default(), [bytes.len()]);
        prop_assert_eq!(walk(bytes, Limits::default(), lengths), whole);
    }
}
