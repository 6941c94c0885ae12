//! A connection as the HTTP client sees it, with what the client lacks.
//!
//! - Waiting ends at the moment that [`super::patience`] says, whatever trickles in until then.
//! - Who waits for long is told once.
//! - Interim answers (1xx) before an answer are passed over, whatever their size and headers: the
//!   client would take only small ones.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ureq::unversioned::transport::{
    Buffers, ConnectionDetails, Connector, DefaultConnector, NextTimeout, Transport, time,
};
use ureq::{Error, Timeout};

use super::error::Fault;
use super::patience;
use crate::oci::escaped;
use crate::source::Clock;

/// Makes connections.
#[derive(Debug)]
pub(super) struct Connect {
    inner: DefaultConnector,
    clock: Arc<dyn Clock>,
    notice: Duration,
}

impl Connect {
    /// `notice` is the silence after which a line is logged.
    pub(super) fn new(clock: Arc<dyn Clock>, notice: Duration) -> Self {
        Self { inner: DefaultConnector::default(), clock, notice }
    }
}

impl Connector<()> for Connect {
    type Out = Connection;

    fn connect(
        &self,
        details: &ConnectionDetails<'_>,
        chained: Option<()>,
    ) -> Result<Option<Connection>, Error> {
        let left = patience::left(self.clock.as_ref());
        let details = ConnectionDetails {
            uri: details.uri,
            addrs: details.addrs.clone(),
            config: details.config,
            request_level: details.request_level,
            resolver: details.resolver,
            now: details.now,
            timeout: NextTimeout { after: at_most(details.timeout.after, left), ..details.timeout },
            current_time: Arc::clone(&details.current_time),
            run_connector: Arc::clone(&details.run_connector),
            register_shutdown: Arc::clone(&details.register_shutdown),
        };
        let made = self.inner.connect(&details, chained)?;
        let peer = details.uri.authority().map_or("", |authority| authority.host());
        Ok(made.map(|inner| Connection {
            inner,
            clock: Arc::clone(&self.clock),
            notice: self.notice,
            peer: escaped(peer).to_string(),
            head: Head::Done,
        }))
    }
}

fn at_most(time: time::Duration, most: Option<Duration>) -> time::Duration {
    match most {
        Some(most) if most < *time => most.into(),
        _ => time,
    }
}

/// A connection.
pub(super) struct Connection {
    inner: Box<dyn Transport>,
    clock: Arc<dyn Clock>,
    notice: Duration,
    /// The host, for the log.
    peer: String,
    head: Head,
}

/// What of an answer comes next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Head {
    /// The beginning of an answer, interim or not.
    Begins,
    /// The rest of an interim answer. How many of the bytes that end it were the last to come.
    Interim(usize),
    /// An answer that is the client's to read.
    Done,
}

/// What every answer begins with up to its status.
const BEGINNING: usize = "HTTP/1.1 1".len();

impl Connection {
    /// Waits for bytes until the silence is too long or the time is over.
    fn wait(&mut self, mut timeout: NextTimeout) -> Result<bool, Error> {
        let silence = timeout.per_read.map_or(Duration::MAX, |silence| *silence);
        let mut waited = Duration::ZERO;
        loop {
            let left = patience::left(self.clock.as_ref());
            if left == Some(Duration::ZERO) {
                return Err(io::Error::new(io::ErrorKind::TimedOut, Fault::stalled()).into());
            }
            let mut slice = silence.saturating_sub(waited);
            if waited < self.notice {
                slice = slice.min(self.notice.saturating_sub(waited));
            }
            let slice = left.map_or(slice, |left| slice.min(left));
            timeout.per_read = Some(slice.into());
            match self.inner.await_input(timeout) {
                Err(Error::Timeout(Timeout::PerRead)) => waited += slice,
                result => return result,
            }
            if waited >= silence {
                return Err(Error::Timeout(Timeout::PerRead));
            }
            if waited == self.notice {
                let (peer, seconds) = (&self.peer, waited.as_secs());
                log::warn!("{peer}: nothing has come for {seconds} s, still waiting");
            }
            if !timeout.after.is_not_happening() {
                timeout.after = timeout.after.saturating_sub(slice).into();
            }
        }
    }

    /// Drops interim answers from what came; false when an answer begins or more must come to tell.
    fn skip_interim(&mut self) -> bool {
        let mut dropped = false;
        loop {
            let input = self.inner.buffers().input();
            let count = match self.head {
                Head::Done => return false,
                Head::Begins if input.len() < BEGINNING => return dropped && input.is_empty(),
                Head::Begins if is_interim(input) => {
                    self.head = Head::Interim(0);
                    continue;
                }
                Head::Begins => {
                    self.head = Head::Done;
                    return false;
                }
                Head::Interim(matched) => {
                    let (count, matched) = end_of_head(input, matched);
                    self.head = match matched {
                        None => Head::Begins,
                        Some(matched) => Head::Interim(matched),
                    };
                    count
                }
            };
            if count == 0 {
                return true;
            }
            self.inner.buffers().input_consume(count);
            dropped = true;
        }
    }
}

fn is_interim(input: &[u8]) -> bool {
    input.starts_with(b"HTTP/1.1 1") || input.starts_with(b"HTTP/1.0 1")
}

/// How many bytes belong to a head, and how far its end has come: `None` when that is all.
fn end_of_head(input: &[u8], mut matched: usize) -> (usize, Option<usize>) {
    for (at, byte) in input.iter().enumerate() {
        // An empty line ends it; a lone line feed ends a line too.
        matched = match byte {
            b'\n' if matched > 0 => return (at + 1, None),
            b'\n' => 1,
            b'\r' => matched,
            _ => 0,
        };
    }
    (input.len(), Some(matched))
}

impl Transport for Connection {
    fn buffers(&mut self) -> &mut dyn Buffers {
        self.inner.buffers()
    }

    fn transmit_output(&mut self, amount: usize, timeout: NextTimeout) -> Result<(), Error> {
        // Whatever is sent here is a request, and an answer comes next.
        self.head = Head::Begins;
        self.inner.transmit_output(amount, timeout)
    }

    fn await_input(&mut self, timeout: NextTimeout) -> Result<bool, Error> {
        let (began, whole) = (Instant::now(), timeout.after);
        let mut timeout = timeout;
        loop {
            let came = self.wait(timeout)?;
            if !came || !self.skip_interim() {
                return Ok(came);
            }
            // Interim answers cost of the time that the answer has.
            if !whole.is_not_happening() {
                timeout.after = whole.saturating_sub(began.elapsed()).into();
                if timeout.after.is_zero() {
                    return Err(Error::Timeout(timeout.reason));
                }
            }
        }
    }

    fn is_open(&mut self) -> bool {
        self.inner.is_open()
    }

    fn is_tls(&self) -> bool {
        self.inner.is_tls()
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection").field("peer", &self.peer).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads_end_at_an_empty_line_however_they_are_cut() {
        for (text, length) in [
            ("HTTP/1.1 103 x\r\nA: b\r\n\r\nHTTP", 24),
            ("HTTP/1.1 100 x\r\n\r\nHTTP", 18),
            ("HTTP/1.1 100 x\n\nHTTP", 16),
            ("\r\n\r\n", 4),
        ] {
            let text = text.as_bytes();
            assert_eq!(end_of_head(text, 0), (length, None));
            for cut in 0..length {
                let (count, matched) = end_of_head(&text[..cut], 0);
                assert_eq!(count, cut);
                let rest = end_of_head(&text[cut..], matched.expect("not the end"));
                assert_eq!(rest, (length - cut, None));
            }
        }
    }
}
