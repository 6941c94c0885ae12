//! Damaged archives: thousands of them, made from the good ones in a way that never changes. Each
//! must end in an error or in entries, in no time, and never otherwise than `check` allows.

use std::time::{Duration, Instant};

use super::archive::Archive;
use super::check::{check, mend_checksums};
use super::golden;

/// Damaged archives made from each good one.
const EACH: u64 = 1000;

/// A small generator of numbers (splitmix64): the same ones in every run.
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ mixed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }

    fn below(&mut self, limit: usize) -> usize {
        usize::try_from(self.next() % limit.max(1) as u64).unwrap()
    }

    fn one_of<T: Copy>(&mut self, things: &[T]) -> T {
        things[self.below(things.len())]
    }
}

/// Bytes that mean something somewhere in a tar.
const TELLING: &[u8] = b"\0 \n=,/.0123456789-+xgLKSVMNX\x80\xff\xc0\x7f";

fn damage(bytes: &mut Vec<u8>, numbers: &mut Numbers) {
    let place = numbers.below(bytes.len());
    let block = place / 512 * 512;
    let end = (block + 512).min(bytes.len());
    match numbers.below(10) {
        0 if !bytes.is_empty() => bytes[place] ^= 1 << numbers.below(8),
        1 => bytes.truncate(place),
        2 => {
            let copy = bytes[block..end].to_vec();
            bytes.splice(block..block, copy);
        }
        3 => drop(bytes.drain(block..end)),
        4 => drop(bytes.splice(block..block, [0; 512])),
        5 if end - block == 512 => {
            // A number field filled with one byte, or made huge.
            let (start, length) = numbers.one_of(&[(124, 12), (136, 12), (108, 8), (483, 12)]);
            let field = &mut bytes[block + start..block + start + length];
            field.fill(numbers.one_of(&[0xff, 0x80, b'7', b'0', b' ', 0]));
            field[0] = numbers.one_of(&[0x80, 0xff, b'0', b'7']);
        }
        _ if !bytes.is_empty() => bytes[place] = numbers.one_of(TELLING),
        _ => {}
    }
}

#[test]
fn tar_damaged_archives_end_in_an_error_or_in_entries() {
    let mut numbers = Numbers(1);
    let (mut refused, mut taken) = (0, 0);
    for (name, good) in golden::archives() {
        for round in 0..EACH {
            let mut bytes = good.clone();
            for _ in 0..=numbers.below(3) {
                damage(&mut bytes, &mut numbers);
            }
            if round % 4 != 0 {
                mend_checksums(&mut bytes);
            }
            let start = Instant::now();
            check(&bytes);
            assert!(start.elapsed() < Duration::from_secs(1), "{name}, round {round}");
            match (Archive { bytes }).walk().result {
                Ok(()) => taken += 1,
                Err(_) => refused += 1,
            }
        }
    }
    assert!(refused > 3000 && taken > 3000, "{refused} refused and {taken} taken: damage too mild");
}

#[test]
fn tar_random_bytes_end_in_an_error() {
    let mut numbers = Numbers(2);
    for length in 0..1000 {
        let bytes: Vec<u8> = (0..length).map(|_| numbers.next() as u8).collect();
        check(&bytes);
    }
}

#[test]
fn tar_many_duplicate_xattr_records_take_no_time() {
    let record = b"26 SCHILY.xattr.user.a=bc\n";
    let archive = Archive::new().extension(b'x', &record.repeat(40_000)).file("a", b"");
    let start = Instant::now();
    assert_eq!(archive.walk().one().xattrs, [(b"user.a".to_vec(), b"bc".to_vec())]);
    assert!(start.elapsed() < Duration::from_secs(1));
}
