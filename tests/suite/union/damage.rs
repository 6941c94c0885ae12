//! Tables whose bytes were changed. With checks: an error, or exactly the right answer. With checks
//! made right again by whoever changed them: any answer, but no panic and an end.

use std::ops::{ControlFlow, Range};
use std::panic::AssertUnwindSafe;

use shalefs::tree::{ImageTree, RowNo, TableError};

use super::compare::{build, open};
use super::format::{HEADER, body_length, seal};
use crate::support::model::Item;
use crate::support::model::item::{item, prune};

/// A small random number generator, the same everywhere (xorshift64*).
struct Random(u64);

impl Random {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as usize % end
    }
}

/// Layers with every kind of row, and enough names to fill three chunks.
pub fn layers() -> Vec<Vec<Item>> {
    let mut random = Random(42);
    let mut layers: Vec<Vec<Item>> = (0..3)
        .map(|_| (0..60).map(|_| item(std::array::from_fn(|_| random.below(256) as u8))).collect())
        .collect();
    layers[0].extend(
        (0..1500).map(|at| crate::support::model::item::file(&format!("many/name{at:04}"))),
    );
    prune(&mut layers);
    layers
}

/// Everything that a reader can ask of one row, in words.
fn ask(tree: &ImageTree, row: RowNo) -> Result<String, TableError> {
    let mut answer = format!("{:?} {:?}", tree.attributes(row)?, tree.file(row)?);
    answer += &format!("{:?} {:?}", tree.link_text(row)?, tree.xattrs(row)?);
    answer += &format!("{:?} {:?}", tree.layer(row)?, tree.is_implied(row)?);
    answer += &format!("{:?} {:?}", tree.parent(row)?, tree.path(row)?);
    for position in [0, 1, 500] {
        answer += &format!("{:?}", tree.child(row, position)?);
    }
    for name in [&b"a"[..], b"many", b"name0700"] {
        answer += &format!("{:?}", tree.lookup(row, name)?);
    }
    Ok(answer)
}

/// Every answer, row by row, then those about the whole.
fn ask_all(tree: &ImageTree) -> Vec<Result<String, TableError>> {
    let rows = tree.rows().min(200);
    let mut answers: Vec<_> = (0..rows).map(|row| ask(tree, RowNo(row))).collect();
    let mut names = String::new();
    let walked = tree.walk(ImageTree::ROOT, |path, child| {
        names += &format!("{} {child:?}", path.escape_ascii());
        ControlFlow::<()>::Continue(())
    });
    answers.push(walked.map(|_| names));
    answers.push(tree.warnings().map(|warnings| format!("{warnings:?}")));
    for row in [0, rows / 2, rows.saturating_sub(1)] {
        // Forged, this may go in circles: whoever uses it sets a bound.
        let mut names = tree.following(RowNo(row));
        let names = std::iter::from_fn(|| names.step().transpose()).take(300);
        answers.push(names.collect::<Result<Vec<_>, _>>().map(|names| format!("{names:?}")));
    }
    answers.push(tree.resolve(b"a/b/../c/../../many/name0003", true).map(|at| format!("{at:?}")));
    answers
}

/// Changes one to four places: a bit, a byte, or eight bytes to a number that hurts.
fn mutate(bytes: &mut [u8], end: usize, random: &mut Random) {
    for _ in 0..=random.below(4) {
        let at = random.below(end);
        match random.below(4) {
            0 => bytes[at] ^= 1 << random.below(8),
            1 => bytes[at] = random.below(256) as u8,
            2 => bytes[at..(at + 4).min(end)].fill([0, 0xff, 0x7f][random.below(3)]),
            _ => {
                let from = random.below(end - 8);
                bytes.copy_within(from..from + 8, at.min(end - 8));
            }
        }
    }
}

/// Asks everything of a table that was made from `original` by somebody who knows the format.
pub fn ask_forged(changed: &mut [u8], original: &[u8]) -> Vec<Result<String, TableError>> {
    // Where the counts were changed, there is nothing to be sealed.
    if COUNTS.iter().all(|counts| changed[counts.clone()] == original[counts.clone()]) {
        seal(changed);
    }
    open(changed).map_or(Vec::new(), |tree| ask_all(&tree))
}

#[test]
fn damaged_table_gives_errors_and_never_other_data() {
    let bytes = build(&layers()).unwrap();
    let sound = ask_all(&open(&bytes).unwrap());
    assert!(sound.iter().all(Result::is_ok));
    let mut random = Random(7);
    let (mut refused, mut noticed) = (0, 0);
    for round in 0..1000 {
        let mut changed = bytes.clone();
        mutate(&mut changed, bytes.len(), &mut random);
        let Ok(tree) = open(&changed) else {
            refused += 1;
            continue;
        };
        for (found, sound) in ask_all(&tree).iter().zip(&sound) {
            assert!(found.is_err() || found == sound, "round {round}: {found:?} is not {sound:?}");
            noticed += usize::from(found.is_err());
        }
    }
    assert!(refused > 5 && noticed > 1000, "{refused} refused, {noticed} errors");
}

/// Where the header's counts are.
const COUNTS: [Range<usize>; 3] = [20..24, 88..136, 140..144];

#[test]
fn forged_table_cannot_panic_or_go_on_for_ever() {
    let bytes = build(&layers()).unwrap();
    let body = HEADER + body_length(&bytes);
    let mut random = Random(11);
    let mut errors = 0;
    for round in 0..1000 {
        let mut changed = bytes.clone();
        mutate(&mut changed, body, &mut random);
        let answers =
            std::panic::catch_unwind(AssertUnwindSafe(|| ask_forged(&mut changed, &bytes)));
        let answers = answers.unwrap_or_else(|_| panic!("round {round} panics"));
        errors += answers.iter().filter(|answer| answer.is_err()).count();
    }
    assert!(errors > 100, "{errors} errors: the changes do not reach what is read");
}

#[test]
fn forged_directories_cannot_go_in_circles() {
    let layer = ["a", "a/b", "a/b/c", "a/b/c/d"].map(crate::support::model::item::dir).to_vec();
    let bytes = build(&[layer]).unwrap();
    // Every directory with every other row as its first child and its parent.
    for directory in 0..5 {
        for target in 0..6_u32 {
            for children in [1_u32, 2, 4, u32::MAX] {
                let mut changed = bytes.clone();
                let row = HEADER + directory * super::format::ROW;
                changed[row + 32..row + 36].copy_from_slice(&children.to_le_bytes());
                changed[row + 36..row + 40].copy_from_slice(&target.to_le_bytes());
                changed[row + 40..row + 44].copy_from_slice(&target.to_le_bytes());
                seal(&mut changed);
                let tree = open(&changed).unwrap();
                assert!(ask_all(&tree).len() > 3);
            }
        }
    }
}
