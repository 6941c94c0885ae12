//! What a live mount did so far, as named numbers, and how they leave the server.
//!
//! They are asked for with an ioctl on any directory of the mount. That needs no socket, no file
//! and no thread, works for everybody who may look into the mount, and is never cached; an
//! extended attribute would not do, because the kernel is told once that there are none.
//!
//! ```text
//! FIGURES  _IOR('s', 1, [u8; 4096])   lines of "name value\n" in ASCII, then zeros
//! ```
//!
//! A reader takes names that it does not know as they are, so programs of different versions
//! understand each other.

use std::fmt::Write as _;

use super::counters::{Counters, Request};
use crate::sys::sandbox;

/// Bytes of an answer. The kernel gives an ioctl at most 16 KiB.
pub const FIGURES_ROOM: usize = 4096;

/// The request, as the kernel hands it on.
pub const FIGURES: u32 = rustix::ioctl::opcode::read::<[u8; FIGURES_ROOM]>(b's', 1);

/// What stands before the name of a kind of request.
pub const REQUESTS: &str = "requests_";

/// Named numbers, in the order in which they are shown.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Figures(Vec<(String, u64)>);

impl Figures {
    /// Of these requests, and of what the content says of itself.
    pub(super) fn of(counters: &Counters, content: Vec<(&'static str, u64)>) -> Self {
        let requests = Request::ALL
            .iter()
            .map(|kind| (format!("{REQUESTS}{}", kind.name()), counters.of(*kind)));
        let content = content.into_iter().map(|(name, value)| (name.to_owned(), value));
        let own = [
            ("files_sent_ahead".to_owned(), counters.files_sent()),
            ("calls_refused".to_owned(), sandbox::refused().0),
        ];
        Self(requests.chain(content).chain(own).collect())
    }

    /// From an answer. Lines that are no figures are left out.
    pub fn parse(answer: &[u8]) -> Self {
        let text = answer.split(|byte| *byte == 0).next().unwrap_or_default();
        let lines = text.split(|byte| *byte == b'\n');
        Self(lines.filter_map(figure).collect())
    }

    /// As an answer.
    pub(super) fn to_answer(&self) -> Vec<u8> {
        let mut text = String::new();
        for (name, value) in &self.0 {
            let before = text.len();
            // A String takes everything.
            let _ = writeln!(text, "{name} {value}");
            if text.len() > FIGURES_ROOM {
                text.truncate(before);
                break;
            }
        }
        text.into_bytes()
    }

    /// A figure; 0 when the server knows none of that name.
    pub fn get(&self, name: &str) -> u64 {
        self.0.iter().find(|(known, _)| known == name).map_or(0, |(_, value)| *value)
    }

    /// Requests by their kind.
    pub fn requests(&self) -> impl Iterator<Item = (&str, u64)> {
        self.0.iter().filter_map(|(name, value)| Some((name.strip_prefix(REQUESTS)?, *value)))
    }

    /// The others.
    pub fn content(&self) -> impl Iterator<Item = (&str, u64)> {
        let others = self.0.iter().filter(|(name, _)| !name.starts_with(REQUESTS));
        others.map(|(name, value)| (name.as_str(), *value))
    }
}

/// `name value`, where the name has only what a metric's name may have.
fn figure(line: &[u8]) -> Option<(String, u64)> {
    let (name, value) = std::str::from_utf8(line).ok()?.split_once(' ')?;
    let fine = |byte: u8| byte.is_ascii_lowercase() || byte == b'_';
    let named = !name.is_empty() && name.bytes().all(fine);
    named.then_some((name.to_owned(), value.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_read_back() {
        let counters = Counters::default();
        counters.count(Request::Read);
        let figures = Figures::of(&counters, vec![("bytes_served", u64::MAX)]);
        let mut answer = figures.to_answer();
        answer.resize(FIGURES_ROOM, 0);
        assert_eq!(Figures::parse(&answer), figures);
        assert_eq!((figures.get("requests_read"), figures.get("bytes_served")), (1, u64::MAX));
        assert_eq!(figures.get("of a later version"), 0);
        assert_eq!(figures.requests().count(), Request::ALL.len());
        assert_eq!(
            figures.content().collect::<Vec<_>>(),
            [("bytes_served", u64::MAX), ("files_sent_ahead", 0), ("calls_refused", 0)]
        );
    }

    #[test]
    fn what_is_no_figure_is_left_out() {
        let answer =
            b"a_b 1\nx\n\x1b[31m 2\n 3\nc -1\nd 5 6\ne 18446744073709551616\n\xff 1\nf 7\n\0g 8\n";
        let figures = Figures::parse(answer);
        assert_eq!(figures.content().collect::<Vec<_>>(), [("a_b", 1), ("f", 7)]);
        assert_eq!(Figures::parse(b""), Figures::default());
    }

    #[test]
    fn an_answer_never_outgrows_its_room() {
        let many = (0..1000).map(|_| ("a_long_name_of_a_figure", u64::MAX)).collect();
        let answer = Figures::of(&Counters::default(), many).to_answer();
        assert!(answer.len() <= FIGURES_ROOM && answer.ends_with(b"\n"), "{}", answer.len());
    }
}
