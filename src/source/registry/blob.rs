//! A blob as one stream, however often its connection breaks.
//!
//! The reader knows how many bytes it has handed out and asks for the rest. It hands out exactly
//! `descriptor.size` bytes or an error; whether they are the right ones is for the store to check.
//! A registry that ignores the range is read from its beginning and the known part thrown away; one
//! that gives less than the range at a time is asked for the next part, which is no failure. After a
//! break the next host of the registry is asked before the one that broke.

use std::io::{self, Read};
use std::sync::Arc;

use super::RegistryError;
use super::client::{Client, Question};
use super::error::Fault;
use super::http::{Answer, Ask, Body, broken};
use super::range::ContentRange;
use super::retry::Retry;
use super::url::Url;
use super::verdict::instead;
use crate::oci::Digest;
use crate::source::{Mismatch, SourceError};

/// So many parts a blob may come in, and one more for each KiB of it.
const PARTS: u64 = 1000;

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
    /// Where the body ends.
    body_end: u64,
    /// How many bodies came to their end before the blob's.
    parts: u64,
    /// Which host or URL the body comes from, and those that broke, the latest last.
    from: usize,
    broken: Vec<usize>,
    retry: Retry,
    /// A registry that refuses ranges is not asked for one again.
    whole: bool,
    /// Anything came at all, so that a refused connection is an interruption.
    started: bool,
    url: String,
    proxy: Option<String>,
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
            body_end: 0,
            parts: 0,
            from: 0,
            broken: Vec::new(),
            retry,
            whole: false,
            started: false,
            url: String::new(),
            proxy: None,
        };
        if reader.position < size {
            reader.connect()?;
        }
        Ok(reader)
    }

    /// Gets a body that begins at `position`, trying again as often as is allowed.
    fn connect(&mut self) -> Result<(), RegistryError> {
        loop {
            let clock = Arc::clone(&self.client.options.clock);
            let mut retry = self.retry;
            let made = retry.within(clock.as_ref(), || self.connect_once());
            self.retry = retry;
            match made {
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
        let (mut answer, from) = self.ask(offset)?;
        self.from = from;
        self.url = answer.url.to_string();
        self.proxy.clone_from(&answer.proxy);
        let (begins_at, end) = match answer.status {
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
                (self.body, self.body_end) = (Some(answer.body), end);
                Ok(())
            }
            Ok(count) => Err(self.broke(Fault::CutOff { have: count, size: self.size })),
            Err(error) => Err(self.broke(broken(&error))),
        }
    }

    fn ask(&self, offset: u64) -> Result<(Answer, usize), RegistryError> {
        match &self.route {
            Route::Registry(question) => {
                let ask = Ask { offset, ..question.ask.clone() };
                self.client.once(&Question { ask, ..question.clone() }, &self.broken)
            }
            Route::Foreign(urls) => {
                let ask = Ask { offset, ..Ask::default() };
                let mut last = None;
                let mut urls: Vec<_> = urls.iter().enumerate().collect();
                urls.sort_by_key(|(number, _)| self.broken.iter().position(|b| b == number));
                for (number, url) in urls {
                    match self.client.stranger(url, &ask) {
                        Ok(answer) => return Ok((answer, number)),
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

    /// Where the bytes of a whole blob begin and end.
    fn check_whole(&self, answer: &Answer) -> Result<(u64, u64), RegistryError> {
        match answer.length() {
            Some(found) if found != self.size => Err(match instead(answer, b"") {
                Some(reason) => RegistryError::Body { url: self.url.clone(), reason },
                None => self.length(found),
            }),
            _ => Ok((0, self.size)),
        }
    }

    /// The same of a part.
    fn check_part(&self, answer: &Answer) -> Result<(u64, u64), RegistryError> {
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
                Ok((first, last + 1))
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

    fn broke(&self, fault: Fault) -> RegistryError {
        RegistryError::Transport { url: self.url.clone(), proxy: self.proxy.clone(), fault }
    }

    fn next(&mut self, buffer: &mut [u8]) -> Result<usize, RegistryError> {
        let clock = Arc::clone(&self.client.options.clock);
        loop {
            let Some(body) = &mut self.body else {
                if self.position == self.size {
                    return Ok(0);
                }
                self.connect()?;
                continue;
            };
            let left = self.body_end - self.position;
            if left == 0 {
                self.end_body()?;
                continue;
            }
            let most = buffer.len().min(usize::try_from(left).unwrap_or(usize::MAX));
            let read = self.retry.within(clock.as_ref(), || body.read(&mut buffer[..most]));
            let fault = match read {
                Ok(count) if count > 0 => {
                    self.position += count as u64;
                    self.retry.progress(clock.as_ref(), self.position);
                    return Ok(count);
                }
                Ok(_) => Fault::CutOff { have: self.position, size: self.size },
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => broken(&error),
            };
            self.body = None;
            self.broken.retain(|number| *number != self.from);
            self.broken.push(self.from);
            self.failed(self.broke(fault))?;
        }
    }

    /// All of a body is here: looks whether it ends too, which also gives the connection back.
    fn end_body(&mut self) -> Result<(), RegistryError> {
        let clock = Arc::clone(&self.client.options.clock);
        let body = self.body.take();
        let more = body.map(|mut body| self.retry.within(clock.as_ref(), || body.read(&mut [0])));
        // All bytes came; how the connection ends does not matter, as long as nothing follows.
        if let Some(Ok(1..)) = more {
            return Err(self.length(self.body_end + 1));
        }
        if self.position < self.size {
            self.parts += 1;
            if self.parts > PARTS + self.size / 1024 {
                let reason = format!("it comes in more than {} parts", self.parts - 1);
                return Err(RegistryError::Body { url: self.url.clone(), reason });
            }
        }
        Ok(())
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
