//! More than a thousand bad inputs, each to its end in an error or a right answer, within a second
//! and 256 MiB. The fuzz targets feed the same functions (`check`); archives that are damaged inside
//! their tar, with checksums put right, are in tests/tar_walker, tables in tests/union.
#![allow(clippy::unwrap_used, clippy::cast_possible_truncation, missing_docs)]

mod check;
mod cost;
mod inputs;

use crate::support::figures;
use std::time::Duration;

/// Feeds every input to `check`; the number of inputs.
#[track_caller]
fn replay(inputs: &[Vec<u8>], check: fn(&[u8])) -> usize {
    for (number, input) in inputs.iter().enumerate() {
        if let Err(cost) = cost::bounded(|| check(input)) {
            let start = input[..input.len().min(64)].escape_ascii();
            panic!("input {number}, {} bytes, {start}: {cost}", input.len());
        }
    }
    figures::count("bad inputs", inputs.len());
    inputs.len()
}

#[test]
fn bad_layers_end_in_time_and_memory() {
    let _alone = cost::alone();
    assert!(replay(&inputs::layers(), check::layer) >= 900);
}

#[test]
fn bad_documents_and_names_end_in_time_and_memory() {
    let _alone = cost::alone();
    let count = replay(&inputs::documents(), check::document)
        + replay(&inputs::references(), check::reference)
        + replay(&inputs::headers(), check::header);
    assert!(count >= 1_000, "{count} inputs");
}

#[test]
fn good_layers_of_any_layout_are_their_stream_from_everywhere() {
    let _alone = cost::alone();
    for recipe in inputs::recipes() {
        check::gzip(&recipe);
        check::zstd(&recipe);
    }
}

/// The measure is worth as much as what it sees.
#[test]
fn the_measure_sees_time_and_memory() {
    let _alone = cost::alone();
    let used = cost::bounded(|| drop(std::hint::black_box(vec![1_u8; 300 << 20])));
    assert!(used.unwrap_err().ends_with(" KiB"));
    let slept = cost::bounded(|| std::thread::sleep(Duration::from_millis(1100)));
    assert!(slept.unwrap_err().ends_with('s'));
    assert_eq!(cost::bounded(|| drop(std::hint::black_box(vec![1_u8; 1 << 20]))), Ok(()));
}
