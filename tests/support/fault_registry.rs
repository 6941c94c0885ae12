//! A registry in this process that can misbehave in any way.
//!
//! [`FaultRegistry`] serves images properly (manifests by tag and digest, blobs with ranges) until a
//! fault says otherwise: a closure that sees each request and may answer it itself with a [`Reply`],
//! which may also stop short, dawdle, reset or be no HTTP at all. All requests are kept, to count
//! them and to look for credentials. Also answers as an http proxy (CONNECT), so that tests can have
//! hosts with public names.

mod send;

use std::collections::HashMap;
use std::io::{BufRead as _, BufReader, Read as _, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use crate::support::fake_clock::FakeClock;
use crate::support::image::{Blob, Image};
use send::send;

/// A request that came.
#[derive(Debug, Clone)]
pub struct Request {
    pub method: String,
    /// Path and query.
    pub target: String,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    pub body: String,
    /// The host of a CONNECT that it came through.
    pub through: Option<String>,
    /// How many requests with the same method and path came before.
    pub earlier: usize,
}

impl Request {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    pub fn path(&self) -> &str {
        self.target.split('?').next().unwrap_or_default()
    }

    pub fn is_manifest(&self) -> bool {
        self.target.contains("/manifests/")
    }

    pub fn is_blob(&self, blob: &Blob) -> bool {
        self.path().ends_with(&format!("/blobs/{}", blob.digest()))
    }

    /// The first byte of the range that is asked for.
    pub fn offset(&self) -> Option<usize> {
        self.header("range")?.strip_prefix("bytes=")?.strip_suffix('-')?.parse().ok()
    }
}

/// How a reply ends.
#[derive(Clone)]
pub enum Ending {
    /// As it should.
    Whole,
    /// With a closed connection after so many bytes of the body.
    Close(usize),
    /// With a reset after so many bytes of the body.
    Reset(usize),
    /// With silence after so many bytes of the body.
    Stall(usize),
    /// One byte for each second of the clock.
    Trickle(Arc<FakeClock>),
    /// Instead of the body so many bytes, and then the others again and again, each after a second of
    /// the clock, until the client has enough of it.
    Drip(Vec<u8>, Vec<u8>, Arc<FakeClock>),
}

/// An answer.
#[derive(Clone)]
pub struct Reply {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
    /// `Content-Length`, when it is not the body's; `None` inside for chunks.
    pub length: Option<Option<usize>>,
    pub ending: Ending,
    /// Sent instead of everything else.
    pub raw: Option<Vec<u8>>,
    /// Sent before everything else.
    pub interim: Vec<u8>,
}

impl Reply {
    pub fn new(status: u16, body: impl Into<Vec<u8>>) -> Self {
        let (headers, body) = (Vec::new(), body.into());
        let (length, ending, raw, interim) = (None, Ending::Whole, None, Vec::new());
        Self { status, headers, body, length, ending, raw, interim }
    }

    /// Bytes that need not be HTTP; then the connection is closed.
    pub fn raw(bytes: impl Into<Vec<u8>>) -> Self {
        Self { raw: Some(bytes.into()), ..Self::new(0, "") }
    }

    /// An error body as registries write it.
    pub fn error(status: u16, code: &str, message: &str) -> Self {
        let body = serde_json::json!({"errors": [{"code": code, "message": message}]});
        Self::new(status, body.to_string()).with("Content-Type", "application/json")
    }

    pub fn redirect(status: u16, location: &str) -> Self {
        Self::new(status, "").with("Location", location)
    }

    #[must_use]
    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.headers.retain(|(key, _)| !key.eq_ignore_ascii_case(name));
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// After interim answers, as they are sent.
    #[must_use]
    pub fn after(self, interim: impl Into<Vec<u8>>) -> Self {
        Self { interim: interim.into(), ..self }
    }

    #[must_use]
    pub fn ending(self, ending: Ending) -> Self {
        Self { ending, ..self }
    }

    #[must_use]
    pub fn length(self, length: Option<usize>) -> Self {
        Self { length: Some(length), ..self }
    }
}

type Fault = dyn Fn(&Request) -> Option<Reply> + Send + Sync;

struct Shared {
    fault: Box<Fault>,
    image: Image,
    requests: Mutex<Vec<Request>>,
    /// How many of them there were, by method and path.
    counts: Mutex<HashMap<String, usize>>,
    /// How many requests there were when the faults ended.
    healed: Mutex<Option<usize>>,
    closing: AtomicBool,
}

/// A running registry; it stops when dropped.
pub struct FaultRegistry {
    address: SocketAddr,
    shared: Arc<Shared>,
    pub image: Image,
}

impl FaultRegistry {
    /// Serves `image` as `test/image:latest`, unless `fault` answers a request.
    pub fn start(
        image: &Image,
        fault: impl Fn(&Request) -> Option<Reply> + Send + Sync + 'static,
    ) -> Self {
        Self::start_at("127.0.0.1:0", image, fault)
    }

    /// The same at an address of this machine.
    pub fn start_at(
        address: &str,
        image: &Image,
        fault: impl Fn(&Request) -> Option<Reply> + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind(address).expect("a free port");
        let address = listener.local_addr().expect("bound");
        let shared = Arc::new(Shared {
            fault: Box::new(fault),
            image: image.clone(),
            requests: Mutex::default(),
            counts: Mutex::default(),
            healed: Mutex::default(),
            closing: AtomicBool::new(false),
        });
        let theirs = Arc::clone(&shared);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                if theirs.closing.load(Ordering::Relaxed) {
                    return;
                }
                let Ok(stream) = stream else { return };
                // A small answer does not wait for anybody.
                let _ = stream.set_nodelay(true);
                let shared = Arc::clone(&theirs);
                std::thread::spawn(move || serve(&stream, &shared));
            }
        });
        Self { address, shared, image: image.clone() }
    }

    /// From now on there is no fault.
    pub fn heal(&self) {
        let before = self.all_requests().len();
        *self.shared.healed.lock().expect("no test panics here") = Some(before);
    }

    /// `127.0.0.1:PORT`.
    pub fn host(&self) -> String {
        self.address.to_string()
    }

    /// The requests so far, up to when the faults ended.
    pub fn requests(&self) -> Vec<Request> {
        let healed = *self.shared.healed.lock().expect("no test panics here");
        let mut requests = self.all_requests();
        requests.truncate(healed.unwrap_or(usize::MAX));
        requests
    }

    /// All requests so far.
    pub fn all_requests(&self) -> Vec<Request> {
        self.shared.requests.lock().expect("no test panics here").clone()
    }

    /// The requests of [`FaultRegistry::requests`] whose path has `part` in it.
    pub fn requests_for(&self, part: &str) -> usize {
        self.requests().iter().filter(|request| request.target.contains(part)).count()
    }
}

impl Drop for FaultRegistry {
    fn drop(&mut self) {
        self.shared.closing.store(true, Ordering::Relaxed);
        // Wakes the accepting thread.
        let _ = TcpStream::connect(self.address);
    }
}

fn serve(stream: &TcpStream, shared: &Shared) {
    let mut reader = BufReader::new(stream);
    let mut through = None;
    while let Some(mut request) = read_request(&mut reader) {
        if request.method == "CONNECT" {
            through = request.target.rsplit_once(':').map(|(host, _)| host.to_owned());
            let mut stream = stream;
            if stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").is_err() {
                return;
            }
            continue;
        }
        request.through.clone_from(&through);
        {
            let key = format!("{} {}", request.method, request.path());
            let mut counts = shared.counts.lock().expect("no test panics here");
            let count = counts.entry(key).or_default();
            request.earlier = *count;
            *count += 1;
            shared.requests.lock().expect("no test panics here").push(request.clone());
        }
        let healed = shared.healed.lock().expect("no test panics here").is_some();
        let fault = if healed { None } else { (shared.fault)(&request) };
        let reply = fault.unwrap_or_else(|| properly(&request, &shared.image));
        if !send(stream, &request, &reply) {
            return;
        }
    }
}

fn read_request(reader: &mut BufReader<&TcpStream>) -> Option<Request> {
    let mut line = String::new();
    reader.read_line(&mut line).ok().filter(|count| *count > 0)?;
    let mut words = line.split_ascii_whitespace();
    let (method, target) = (words.next()?.to_owned(), words.next()?.to_owned());
    let mut headers = Vec::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok().filter(|count| *count > 0)?;
        let Some((name, value)) = line.trim_end().split_once(':') else { break };
        headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
    let mut request =
        Request { method, target, headers, body: String::new(), through: None, earlier: 0 };
    let length = request.header("content-length").and_then(|text| text.parse().ok()).unwrap_or(0);
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    request.body = String::from_utf8_lossy(&body).into_owned();
    Some(request)
}

/// What a good registry answers.
fn properly(request: &Request, image: &Image) -> Reply {
    if request.path() == "/v2/" {
        return Reply::new(200, "{}");
    }
    let digest = image.manifest.digest().to_string();
    let is_ours = |key: &str| key == "latest" || key == digest;
    if request.is_manifest() && request.path().rsplit('/').next().is_some_and(is_ours) {
        return manifest(&image.manifest);
    }
    match image.blobs().into_iter().find(|blob| request.is_blob(blob)) {
        Some(blob) => part(blob, request.offset()),
        None => Reply::error(404, "NAME_UNKNOWN", "no such thing"),
    }
}

/// A manifest as it should be served.
pub fn manifest(manifest: &Blob) -> Reply {
    Reply::new(200, manifest.bytes.clone())
        .with("Content-Type", &manifest.media_type)
        .with("Docker-Content-Digest", &manifest.digest().to_string())
}

/// A blob, or the rest of it, as it should be served.
pub fn part(blob: &Blob, offset: Option<usize>) -> Reply {
    let size = blob.bytes.len();
    match offset {
        None => Reply::new(200, blob.bytes.clone()),
        Some(offset) if offset < size => Reply::new(206, &blob.bytes[offset..])
            .with("Content-Range", &format!("bytes {offset}-{}/{size}", size - 1)),
        Some(_) => Reply::new(416, "").with("Content-Range", &format!("bytes */{size}")),
    }
}
