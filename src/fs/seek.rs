//! Where data and holes are in a sparse file (lseek(2), SEEK_DATA and SEEK_HOLE).
//!
//! Pure functions over the stored runs. Relies on the runs being ascending and disjoint, as the
//! table guarantees; an empty run holds no data and is passed over.

use crate::layer::Extent;

/// What to look for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Seek {
    /// The first stored byte at or after the offset.
    Data,
    /// The first byte of a hole at or after the offset; the end of the file counts as one.
    Hole,
}

/// The answer for a file of `size` bytes, `None` when there is none: the offset is at or past the
/// end, or data was wanted and only a hole follows. `runs` is `None` for a file without holes.
pub fn seek(runs: Option<&[Extent]>, size: u64, offset: u64, want: Seek) -> Option<u64> {
    if offset >= size {
        return None;
    }
    match (runs, want) {
        (None, Seek::Data) => Some(offset),
        (None, Seek::Hole) => Some(size),
        (Some(runs), Seek::Data) => next_data(runs, offset).filter(|found| *found < size),
        (Some(runs), Seek::Hole) => Some(next_hole(runs, offset).min(size)),
    }
}

fn end(run: &Extent) -> u64 {
    run.offset.saturating_add(run.length)
}

fn next_data(runs: &[Extent], offset: u64) -> Option<u64> {
    let first = runs.partition_point(|run| end(run) <= offset);
    let run = runs.iter().skip(first).find(|run| run.length > 0)?;
    Some(run.offset.max(offset))
}

fn next_hole(runs: &[Extent], offset: u64) -> u64 {
    let first = runs.partition_point(|run| end(run) <= offset);
    let mut hole = offset;
    // Runs may touch: the hole begins where a run ends and the next does not begin.
    for run in runs.iter().skip(first).take_while(|run| run.length > 0) {
        if run.offset > hole {
            break;
        }
        hole = end(run);
    }
    hole
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(offset: u64, length: u64) -> Extent {
        Extent { offset, length }
    }

    /// Byte by byte, the slow way.
    fn expected(runs: &[Extent], size: u64, offset: u64, want: Seek) -> Option<u64> {
        let stored = |at: u64| runs.iter().any(|run| run.offset <= at && at < end(run));
        if offset >= size {
            return None;
        }
        match want {
            Seek::Data => (offset..size).find(|at| stored(*at)),
            Seek::Hole => Some((offset..size).find(|at| !stored(*at)).unwrap_or(size)),
        }
    }

    #[test]
    fn a_plain_file_is_all_data() {
        assert_eq!(seek(None, 10, 3, Seek::Data), Some(3));
        assert_eq!(seek(None, 10, 3, Seek::Hole), Some(10));
        assert_eq!(seek(None, 10, 10, Seek::Data), None);
        assert_eq!(seek(None, 10, 10, Seek::Hole), None);
        assert_eq!(seek(None, 0, 0, Seek::Hole), None);
    }

    #[test]
    fn sparse_maps_agree_with_looking_at_every_byte() {
        let maps: [&[Extent]; 7] = [
            &[],
            &[run(0, 4)],
            &[run(3, 4)],
            &[run(0, 2), run(2, 3), run(8, 1)],
            &[run(5, 15)],
            &[run(0, 0), run(7, 2), run(20, 0)],
            &[run(1, 1), run(3, 1), run(5, 1), run(19, 1)],
        ];
        for runs in maps {
            for offset in 0..22 {
                for want in [Seek::Data, Seek::Hole] {
                    assert_eq!(
                        seek(Some(runs), 20, offset, want),
                        expected(runs, 20, offset, want),
                        "{want:?} from {offset} in {runs:?}"
                    );
                }
            }
        }
    }
}
