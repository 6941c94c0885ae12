//! Along the stream: which bytes are headers, which are data, which are neither.
//!
//! A push parser: pieces of any size go in, and each entry comes out as soon as its last byte has
//! passed. Bodies are hashed where they lie; only what crosses a piece's end is copied, and that
//! is at most a block or an extension. An entry costs no allocation but its own vectors.
//!
//! ```text
//!          .-> Extension (x g L K) -------.
//! Header --+-> Skip (V M N) --------------+--> Padding --> Header ... --> Ended
//!          '-> Map (sparse) -> Body ------'                      two zero blocks
//! ```

use super::Sink;
use super::assemble::{self, Assembled, Extensions, Role, Sparse};
use super::content::ContentHasher;
use super::error::{Fault, TarError};
use super::header::{self, BLOCK, Block, Header};
use super::sparse::{MapBuilder, MapReader};
use crate::layer::{Entry, Kind, Warning, WarningKind};
use crate::limits::{Limit, Limits};

/// What the next bytes of the stream are.
#[derive(Debug)]
enum State {
    /// A header block.
    Header,
    /// An extension's data.
    Extension { typeflag: u8, left: u64 },
    /// A block of the sparse map of the file in `Walker::current`.
    Map(Box<MapReader>),
    /// The bytes of the file in `Walker::current`.
    Body { left: u64 },
    /// The data of an entry that makes nothing.
    Skip { left: u64 },
    /// The bytes up to the next block.
    Padding { left: u64 },
    /// Whatever follows the archive.
    Ended,
}

/// A push parser: give it the uncompressed stream in pieces of any size, in order.
#[derive(Debug)]
pub struct Walker {
    limits: Limits,
    state: State,
    /// Bytes of the stream taken so far.
    offset: u64,
    /// The beginning of a block that is not whole yet.
    partial: Block,
    partial_length: usize,
    /// The block before was all zeros.
    zero_block: bool,
    /// Where the last header began.
    header_at: u64,
    /// Bytes of padding after the data that is passing.
    padding: u64,
    /// The data of the extension that is passing.
    extension: Vec<u8>,
    /// The name in the header of an extension or of a skipped entry, for errors.
    name: Vec<u8>,
    extensions: Extensions,
    /// The file whose data is passing.
    current: Option<Entry>,
    hasher: ContentHasher,
    entries: u64,
    /// Bytes that followed the archive.
    trailing: u64,
    failure: Option<TarError>,
}

impl Walker {
    /// A walker at offset 0.
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            state: State::Header,
            offset: 0,
            partial: [0; BLOCK],
            partial_length: 0,
            zero_block: false,
            header_at: 0,
            padding: 0,
            extension: Vec::new(),
            name: Vec::new(),
            extensions: Extensions::default(),
            current: None,
            hasher: ContentHasher::new(),
            entries: 0,
            trailing: 0,
            failure: None,
        }
    }

    /// Takes the next bytes of the stream. Bytes after the end of the archive are ignored.
    /// After an error every further call answers that error again.
    pub fn feed(&mut self, piece: &[u8], sink: &mut dyn Sink) -> Result<(), TarError> {
        if let Some(failure) = &self.failure {
            return Err(failure.clone());
        }
        let mut rest = piece;
        while !rest.is_empty() {
            rest = match self.step(rest, sink) {
                Ok(rest) => rest,
                Err(failure) => return Err(self.failure.insert(failure).clone()),
            };
        }
        Ok(())
    }

    /// Tells the walker that the stream has ended; an error when it ended too early.
    pub fn finish(self) -> Result<(), TarError> {
        if let Some(failure) = self.failure {
            return Err(failure);
        }
        let path = match self.state {
            State::Padding { .. } | State::Ended => return Ok(()),
            State::Header if self.partial_length == 0 => return Ok(()),
            State::Header => Vec::new(),
            State::Map(_) | State::Body { .. } => {
                self.current.map(|entry| entry.path).unwrap_or_default()
            }
            State::Extension { .. } | State::Skip { .. } => self.name,
        };
        Err(TarError { fault: Fault::Truncated, path, offset: self.offset })
    }

    /// Takes some bytes of a piece that is not empty; answers the rest.
    fn step<'a>(&mut self, piece: &'a [u8], sink: &mut dyn Sink) -> Result<&'a [u8], TarError> {
        match self.state {
            State::Header | State::Map(_) => self.gather_block(piece, sink),
            State::Extension { typeflag, left } => {
                let (data, rest) = self.take(piece, left);
                self.extension.extend_from_slice(data);
                match left - length(data) {
                    0 => self.end_extension(typeflag).map_err(|fault| {
                        let path = self.name.clone();
                        TarError { fault, path, offset: self.header_at }
                    })?,
                    left => self.state = State::Extension { typeflag, left },
                }
                Ok(rest)
            }
            State::Body { left } => {
                let (data, rest) = self.take(piece, left);
                match left - length(data) {
                    0 => self.end_body(data, sink),
                    left => {
                        self.hasher.update(data);
                        self.state = State::Body { left };
                    }
                }
                Ok(rest)
            }
            State::Skip { left } => {
                let (data, rest) = self.take(piece, left);
                match left - length(data) {
                    0 => self.pad(),
                    left => self.state = State::Skip { left },
                }
                Ok(rest)
            }
            State::Padding { left } => {
                let (data, rest) = self.take(piece, left);
                self.padding = left - length(data);
                self.pad();
                Ok(rest)
            }
            State::Ended => self.follow(piece).map(|()| [].as_slice()),
        }
    }

    /// Counts bytes that follow the archive.
    fn follow(&mut self, piece: &[u8]) -> Result<(), TarError> {
        self.offset += length(piece);
        self.trailing += length(piece);
        self.limits.hold(Limit::Trailing, self.trailing).map_err(|exceeded| TarError {
            fault: exceeded.into(),
            path: Vec::new(),
            offset: self.offset - self.trailing,
        })
    }

    /// Splits up to `wanted` bytes off a piece and counts them.
    fn take<'a>(&mut self, piece: &'a [u8], wanted: u64) -> (&'a [u8], &'a [u8]) {
        let wanted = usize::try_from(wanted).unwrap_or(usize::MAX);
        let split = piece.split_at_checked(wanted).unwrap_or((piece, &[]));
        self.offset += length(split.0);
        split
    }

    /// The data has passed: its padding comes next, if it has one.
    fn pad(&mut self) {
        self.state = match self.padding {
            0 => State::Header,
            left => State::Padding { left },
        };
    }

    /// Takes bytes until a block is whole, then reads it.
    fn gather_block<'a>(
        &mut self,
        piece: &'a [u8],
        sink: &mut dyn Sink,
    ) -> Result<&'a [u8], TarError> {
        if let Some((block, rest)) = piece.split_first_chunk::<BLOCK>()
            && self.partial_length == 0
        {
            self.offset += length(block);
            self.read_block(block, sink)?;
            return Ok(rest);
        }
        let missing = self.partial.get_mut(self.partial_length..).unwrap_or_default();
        let (data, rest) = piece.split_at_checked(missing.len()).unwrap_or((piece, &[]));
        for (place, byte) in missing.iter_mut().zip(data) {
            *place = *byte;
        }
        self.offset += length(data);
        self.partial_length += data.len();
        if self.partial_length == BLOCK {
            self.partial_length = 0;
            let block = self.partial;
            self.read_block(&block, sink)?;
        }
        Ok(rest)
    }

    fn read_block(&mut self, block: &Block, sink: &mut dyn Sink) -> Result<(), TarError> {
        let read = match std::mem::replace(&mut self.state, State::Header) {
            State::Map(reader) => self.read_map_block(reader, block, sink),
            _ => {
                self.header_at = self.offset - length(block);
                self.read_header(block, sink)
            }
        };
        read.map_err(|fault| {
            let path = match (&self.current, Header::parse(block)) {
                (Some(entry), _) => entry.path.clone(),
                (None, Ok(header)) => self.extensions.name_of(&header).to_vec(),
                (None, Err(_)) => header::text(&block[..100]).to_vec(),
            };
            TarError { fault, path, offset: self.header_at }
        })
    }

    fn read_header(&mut self, block: &Block, sink: &mut dyn Sink) -> Result<(), Fault> {
        if block.iter().all(|byte| *byte == 0) {
            if self.zero_block {
                self.state = State::Ended;
            }
            self.zero_block = true;
            return Ok(());
        }
        if self.zero_block {
            return Err(Fault::LoneZeroBlock);
        }
        let header = Header::parse(block)?;
        match header.typeflag {
            b'x' | b'g' | b'L' | b'K' => self.begin_extension(&header),
            _ => self.begin_entry(&header, sink),
        }
    }

    fn begin_extension(&mut self, header: &Header<'_>) -> Result<(), Fault> {
        let size = u64::try_from(header.size)
            .map_err(|_| Fault::Range { field: "size", value: header.size })?;
        self.limits.hold(Limit::Extension, size)?;
        self.extension.clear();
        self.name = header.name.to_vec();
        self.padding = padding(size);
        self.state = State::Extension { typeflag: header.typeflag, left: size };
        if size == 0 { self.end_extension(header.typeflag) } else { Ok(()) }
    }

    fn end_extension(&mut self, typeflag: u8) -> Result<(), Fault> {
        self.extensions.keep(typeflag, &self.extension)?;
        self.pad();
        Ok(())
    }

    fn begin_entry(&mut self, header: &Header<'_>, sink: &mut dyn Sink) -> Result<(), Fault> {
        self.limits.hold(Limit::Entries, self.entries + 1)?;
        let size = assemble::size(header, &self.extensions)?;
        let role = assemble::role(header.typeflag, self.extensions.name_of(header), size)?;
        let stored = assemble::data_size(size, role)?;
        self.padding = padding(stored);
        match role {
            Role::Node(kind) => self.begin_node(header, kind, stored, sink)?,
            Role::Nothing => {
                let path = self.extensions.name_of(header).to_vec();
                self.name.clone_from(&path);
                sink.warning(Warning { kind: WarningKind::SkippedType, path });
                match stored {
                    0 => self.pad(),
                    left => self.state = State::Skip { left },
                }
            }
        }
        self.extensions.clear();
        self.entries += 1;
        Ok(())
    }

    fn begin_node(
        &mut self,
        header: &Header<'_>,
        kind: Kind,
        stored: u64,
        sink: &mut dyn Sink,
    ) -> Result<(), Fault> {
        let sparse = assemble::sparse(header, &self.extensions, kind, stored)?;
        let is_sparse = !matches!(sparse, Sparse::No);
        let Assembled { mut entry, warnings } =
            assemble::assemble(header, &self.extensions, kind, is_sparse, &self.limits)?;
        for kind in warnings {
            sink.warning(Warning { kind, path: entry.path.clone() });
        }
        if kind != Kind::File {
            sink.entry(entry);
            return Ok(());
        }
        entry.size = stored;
        self.current = Some(entry);
        match sparse {
            Sparse::No => self.begin_body(stored, sink),
            Sparse::Complete(map) => self.begin_sparse(map, stored, sink)?,
            Sparse::Pending(reader) => self.state = State::Map(reader),
        }
        Ok(())
    }

    fn read_map_block(
        &mut self,
        mut reader: Box<MapReader>,
        block: &Block,
        sink: &mut dyn Sink,
    ) -> Result<(), Fault> {
        if reader.read_block(block, &self.limits)? {
            return self.begin_sparse(reader.map, reader.stored, sink);
        }
        self.state = State::Map(reader);
        Ok(())
    }

    fn begin_sparse(
        &mut self,
        map: MapBuilder,
        stored: u64,
        sink: &mut dyn Sink,
    ) -> Result<(), Fault> {
        let size = map.size();
        let runs = map.finish(stored)?;
        // A map without a hole is a plain file, whoever wrote it how.
        let runs = Some(runs).filter(|_| stored != size);
        if let Some(runs) = &runs {
            self.hasher.begin_sparse(size, runs);
        }
        if let Some(entry) = &mut self.current {
            entry.size = size;
            entry.sparse = runs;
        }
        self.begin_body(stored, sink);
        Ok(())
    }

    fn begin_body(&mut self, stored: u64, sink: &mut dyn Sink) {
        if let Some(entry) = &mut self.current {
            entry.data_offset = self.offset;
        }
        match stored {
            0 => self.end_body(&[], sink),
            left => self.state = State::Body { left },
        }
    }

    /// The last bytes of a file: its entry is complete.
    fn end_body(&mut self, data: &[u8], sink: &mut dyn Sink) {
        if let Some(mut entry) = self.current.take() {
            entry.content = self.hasher.finish(data);
            sink.entry(entry);
        }
        self.pad();
    }
}

fn length(bytes: &[u8]) -> u64 {
    // A usize always fits: no target has more than 64 bits.
    u64::try_from(bytes.len()).unwrap_or(u64::MAX)
}

/// How many bytes fill the last block of so much data.
fn padding(size: u64) -> u64 {
    size.wrapping_neg() % 512
}
