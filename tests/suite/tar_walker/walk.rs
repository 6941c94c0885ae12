//! Walking whole archives and keeping what comes out.

use shalefs::layer::tar::{Fault, Sink, TarError, Walker};
use shalefs::layer::{Entry, Warning, WarningKind};
use shalefs::limits::Limits;

/// Everything that a walk gave out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Walk {
    pub entries: Vec<Entry>,
    pub warnings: Vec<Warning>,
    pub result: Result<(), TarError>,
}

impl Walk {
    /// The entries of a walk that went well.
    #[track_caller]
    pub fn ok(self) -> Vec<Entry> {
        assert_eq!(self.result, Ok(()));
        self.entries
    }

    /// The only entry.
    #[track_caller]
    pub fn one(self) -> Entry {
        let [entry] = <[Entry; 1]>::try_from(self.ok()).expect("exactly one entry");
        entry
    }

    /// What was wrong.
    #[track_caller]
    pub fn fault(self) -> Fault {
        self.result.expect_err("an archive that is refused").fault
    }

    /// The paths, as text.
    #[track_caller]
    pub fn paths(self) -> Vec<String> {
        let paths = self.ok().into_iter().map(|entry| entry.path);
        paths.map(|path| String::from_utf8(path).expect("UTF-8")).collect()
    }

    /// The kinds of the warnings.
    pub fn kinds(&self) -> Vec<WarningKind> {
        self.warnings.iter().map(|warning| warning.kind).collect()
    }
}

#[derive(Default)]
struct Keep {
    entries: Vec<Entry>,
    warnings: Vec<Warning>,
}

impl Sink for Keep {
    fn entry(&mut self, entry: Entry) {
        self.entries.push(entry);
    }

    fn warning(&mut self, warning: Warning) {
        self.warnings.push(warning);
    }
}

/// Walks an archive fed in pieces of these lengths, the last one again and again.
pub fn walk(bytes: &[u8], limits: Limits, lengths: impl IntoIterator<Item = usize>) -> Walk {
    let mut keep = Keep::default();
    let mut walker = Walker::new(limits);
    let mut lengths = lengths.into_iter();
    let mut length = lengths.next().unwrap_or(bytes.len());
    let mut rest = bytes;
    let mut fed = Ok(());
    while !rest.is_empty() && fed.is_ok() {
        let (piece, later) = rest.split_at(length.clamp(1, rest.len()));
        fed = walker.feed(piece, &mut keep);
        rest = later;
        length = lengths.next().unwrap_or(length);
    }
    let finished = walker.finish();
    assert!(fed.is_ok() || fed == finished, "an error must last");
    Walk { entries: keep.entries, warnings: keep.warnings, result: finished }
}
