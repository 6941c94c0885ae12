//! A blob as one stream, however often its connection breaks.
//!
//! The reader knows how many bytes it has handed out and asks for the rest. It hands out exactly
//! `descriptor.size` bytes or an error; whether they are the right ones is for the store to check.
//! A registry that ignores the range is read from its beginning and the known part thrown away.

use std::io::{self, Read};
use std::sync::Arc;

use super::RegistryError;
use super::client::{Client, Question};
use super::error::Fault;
use super::http::{Answer, Ask, Body, broken};
use super::range::ContentRange;
use super::retry::Retry;
use super::url::Url;
use crate::oci::Digest;
use crate::source::{Mismatch, SourceError};

/// Where the bytes are asked for.
pub(super) enum Route {
    /// At the registry.
    Registry(Question),
    /// At the URLs of a foreign layer.
    Foreign(Vec<Url>),
}

/// Reads a blob to its end.
pub(super) struct BlobReader {
    client: Arc<Client>,
    route: Route,
    digest: Digest,
    size: u64,
    position: u64,
    body: Option<Body>,
    retry: Retry,
    /// A registry that refuses ranges is not asked for one again.
    whole: bool,
    /// Anything came at all, so that a refused connection is an interruption.
    started: bool,
    url: String,
}

impl BlobReader {
    /// Opens the blob at `offset`; connects at once, so that a blob that is not there is an error
    /// here and not in the middle of something.
    pub(super) fn open(
        client: Arc<Client>,
        route: Route,
        digest: Digest,
        size: u64,
        offset: u64,
    ) -> Result<Self, RegistryError> {
        let retry = Retry::new(client.options.clock.as_ref());
        let mut reader = Self {
            client,
            route,
            digest,
            size,
            position: offset.min(size),
            body: None,
            retry,
            whole: false,
            started: false,
            url: String::new(),
        };
        if reader.position < size {
            reader.connect()?;
        }
        Ok(reader)
    }

    /// Gets a body that begins at `position`, trying again as often as is allowed.
    fn connect(&mut self) -> Result<(), RegistryError> {
        loop {
            match self.connect_once() {
                Ok(()) => {
                    self.started = true;
                    return Ok(());
                }
                Err(error) => self.failed(error)?,
            }
        }
    }

    /// After a failure: waits for the next try, or passes the error on.
    fn failed(&mut self, error: RegistryError) -> Result<(), RegistryError> {
        let interrupted = self.started && matches!(error, RegistryError::Transport { .. });
        if !error.is_passing() && !interrupted {
            return Err(error);
        }
        let clock = Arc::clone(&self.client.options.clock);
        self.retry.wait(clock.as_ref(), self.position, error)
    }

    fn connect_once(&mut self) -> Result<(), RegistryError> {
        let offset = if self.whole { 0 } else { self.position };
        let mut answer = self.ask(offset)?;
        self.url = answer.url.to_string();
        let begins_at = match answer.status {
            206 if offset > 0 => self.check_part(&answer)?,
            200 => self.check_whole(&answer)?,
            416 if offset > 0 => {
                self.check_unsatisfied(&answer)?;
                self.whole = true;
                return self.connect_once();
            }
            status => {
                let reason = format!("HTTP {status} to a request for bytes from {offset}");
                return Err(RegistryError::Body { url: self.url.clone(), reason });
            }
        };
        let skip = self.position - begins_at;
        let skipped = io::copy(&mut (&mut answer.body).take(skip), &mut io::sink());
        match skipped {
            Ok(count) if count == skip => {
                self.body = Some(answer.body);
                Ok(())
            }
            Ok(count) => Err(self.cut_off(count)),
            Err(error) => Err(self.transport(broken(&error))),
        }
    }

    fn ask(&self, offset: u64) -> Result<Answer, RegistryError> {
        match &self.route {
            Route::Registry(question) => {
                let ask = Ask { offset, ..question.ask.clone() };
                self.client.once(&Question { ask, ..question.clone() })
            }
            Route::Foreign(urls) => {
                let ask = Ask { offset, ..Ask::default() };
                let mut last = None;
                for url in urls {
                    match self.client.stranger(url, &ask) {
                        Ok(answer) => return Ok(answer),
                        Err(error) => last = Some(error),
                    }
                }
                Err(last.unwrap_or_else(|| RegistryError::NotFound {
                    what: self.digest.to_string(),
                    message: "the manifest has no URL for it".to_owned(),
                }))
            }
        }
    }

    fn check_whole(&self, answer: &Answer) -> Result<u64, RegistryError> {
        match answer.length() {
            Some(found) if found != self.size => Err(self.length(found)),
            _ => Ok(0),
        }
    }

    fn check_part(&self, answer: &Answer) -> Result<u64, RegistryError> {
        let header = answer.header("content-range").unwrap_or_default();
        let wrong = || RegistryError::Range {
            url: self.url.clone(),
            found: header.to_owned(),
            offset: self.position,
        };
        match ContentRange::parse(header) {
            Some(ContentRange::Part { total: Some(total), .. }) if total != self.size => {
                Err(self.length(total))
            }
            Some(ContentRange::Part { first, last, .. })
                if first == self.position
                    && last < self.size
                    && answer.length().is_none_or(|length| length == last - first + 1) =>
            {
                Ok(first)
            }
            _ => Err(wrong()),
        }
    }

    fn check_unsatisfied(&self, answer: &Answer) -> Result<(), RegistryError> {
        match answer.header("content-range").and_then(ContentRange::parse) {
            Some(ContentRange::Unsatisfied { total }) if total != self.size => {
                Err(self.length(total))
            }
            _ => Ok(()),
        }
    }

    fn length(&self, found: u64) -> RegistryError {
        let (place, digest, expected) = (self.url.clone(), self.digest, self.size);
        Box::new(Mismatch::Size { place, digest, expected, found }).into()
    }

    fn cut_off(&self, have: u64) -> RegistryError {
        self.transport(Fault::CutOff { have, size: self.size })
    }

    fn transport(&self, fault: Fault) -> RegistryError {
        RegistryError::Transport { url: self.url.clone(), fault }
    }

    fn next(&mut self, buffer: &mut [u8]) -> Result<usize, RegistryError> {
        loop {
            let left = self.size - self.position;
            let Some(body) = &mut self.body else {
                if left == 0 {
                    return Ok(0);
                }
                self.connect()?;
                continue;
            };
            if left == 0 {
                return self.end();
            }
            let most = buffer.len().min(usize::try_from(left).unwrap_or(usize::MAX));
            let error = match body.read(&mut buffer[..most]) {
                Ok(count) if count > 0 => {
                    self.position += count as u64;
                    return Ok(count);
                }
                Ok(_) => self.cut_off(self.position),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => self.transport(broken(&error)),
            };
            self.body = None;
            self.failed(error)?;
        }
    }

    /// All is here: looks whether the body ends too, which also gives the connection back.
    fn end(&mut self) -> Result<usize, RegistryError> {
        match self.body.take().map(|mut body| body.read(&mut [0])) {
            Some(Ok(1..)) => Err(self.length(self.size + 1)),
            // All bytes came; how the connection ends does not matter.
            _ => Ok(0),
        }
    }
}

impl Read for BlobReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        self.next(buffer).map_err(|error| io::Error::other(SourceError::Registry(error)))
    }
}
