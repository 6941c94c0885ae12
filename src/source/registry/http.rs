//! One HTTP request and its answer: no redirect, no authentication, no second try.
//!
//! Everything of the HTTP client that must be set is set here: time-outs (it has none), roots (see
//! [`Trust`]), which addresses it may connect to (see [`Reach`]), no redirects of its own, statuses as
//! answers, no decoding of bodies, one proxy for each scheme. The bodies come as [`Body`], which also
//! notices a server that sends a byte now and then: a silence ends by the socket's time-out, a
//! trickle by being less than [`STEADY_BYTES`] in [`PROGRESS_TIME`] of waiting, whether what trickles
//! is the body or what is around it.

use std::io::{self, Read};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use ureq::http::{HeaderMap, Method, Request};
use ureq::{Agent, BodyReader, Error, Timeout};

use super::address::Reach;
use super::connection::Connect;
use super::error::Fault;
use super::patience;
use super::resolver::{Forbidden, Judge};
use super::retry::{PROGRESS_TIME, STEADY_BYTES};
use super::trust::{SystemRoots, Trust};
use super::url::Url;
use super::{RegistryError, Secret};
use crate::oci::escaped;
use crate::source::{Clock, Options};

/// More idle connections than a pull has streams, so that none is made twice.
const IDLE_CONNECTIONS: usize = 16;

/// What is sent.
#[derive(Debug, Clone, Default)]
pub(super) struct Ask {
    /// `Accept`; several are joined.
    pub(super) accept: Vec<&'static str>,
    /// The first byte wanted; 0 asks for all without a `Range`.
    pub(super) offset: u64,
    /// `Authorization`.
    pub(super) authorization: Option<Secret>,
    /// Other headers, from a hosts file.
    pub(super) headers: Vec<(String, Secret)>,
    /// A form to post; without one it is a GET.
    pub(super) form: Option<Secret>,
    /// HEAD instead of GET.
    pub(super) head: bool,
}

/// What came.
pub(super) struct Answer {
    pub(super) url: Url,
    /// The proxy that it came through.
    pub(super) proxy: Option<String>,
    pub(super) status: u16,
    headers: HeaderMap,
    pub(super) body: Body,
}

impl Answer {
    /// A header's value, when it is text.
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// All values of a header that holds URLs: what no URL may have as it is (spaces, bytes past
    /// ASCII) is percent-encoded.
    pub(super) fn locations(&self, name: &str) -> Vec<String> {
        let values = self.headers.get_all(name).iter();
        values.map(|value| percent_unsafe(value.as_bytes().trim_ascii())).collect()
    }

    /// All values of a header that are text.
    pub(super) fn headers(&self, name: &str) -> Vec<&str> {
        self.headers.get_all(name).iter().filter_map(|value| value.to_str().ok()).collect()
    }

    /// What the body's length should be, when the server says so.
    pub(super) fn length(&self) -> Option<u64> {
        self.header("content-length")?.trim().parse().ok()
    }

    /// A fault of the connection that the answer comes by.
    pub(super) fn broke(&self, fault: Fault) -> RegistryError {
        RegistryError::Transport { url: self.url.to_string(), proxy: self.proxy.clone(), fault }
    }

    /// The whole body, at most `limit` bytes.
    pub(super) fn read(&mut self, limit: u64) -> Result<Vec<u8>, RegistryError> {
        let url = self.url.to_string();
        let mut bytes = Vec::new();
        if self.length().unwrap_or(0) <= limit {
            let read = (&mut self.body).take(limit + 1).read_to_end(&mut bytes);
            read.map_err(|error| self.broke(broken(&error)))?;
        }
        if self.length().unwrap_or(0).max(bytes.len() as u64) > limit {
            let reason = format!("the answer is larger than the limit of {limit} bytes");
            return Err(RegistryError::Body { url, reason });
        }
        Ok(bytes)
    }
}

/// The clients for one [`Trust`], made when needed: plain and TLS, direct and through the proxy.
#[derive(Debug)]
pub(super) struct Http {
    trust: Trust,
    judge: Judge,
    system: Arc<SystemRoots>,
    options: Arc<Options>,
    agents: [OnceLock<Agent>; 4],
}

impl Http {
    pub(super) fn new(
        trust: Trust,
        reach: Reach,
        system: Arc<SystemRoots>,
        options: Arc<Options>,
    ) -> Self {
        let trust = Trust { unchecked: trust.unchecked || options.insecure, ..trust };
        let judge = Judge::new(reach, Arc::clone(&options.lookup), Arc::clone(&options.clock));
        Self { trust, judge, system, options, agents: [const { OnceLock::new() }; 4] }
    }

    /// Sends one request.
    pub(super) fn send(&self, url: &Url, ask: &Ask) -> Result<Answer, RegistryError> {
        let broken = |error: Error| {
            if let Some(forbidden) = forbidden(&error) {
                let (url, reason) = (url.to_string(), forbidden.to_string());
                return RegistryError::Address { url, reason };
            }
            let fault = fault(error);
            log::debug!("{url}: {fault}");
            let proxy = self.options.proxies.of(url.origin()).map(proxy_name);
            RegistryError::Transport { url: url.to_string(), proxy, fault }
        };
        let agent = self.agent(url)?;
        let request = Request::builder().uri(url.exact());
        let mut request = request.header("Accept-Encoding", "identity");
        if !ask.accept.is_empty() {
            request = request.header("Accept", ask.accept.join(", "));
        }
        if ask.offset > 0 {
            request = request.header("Range", format!("bytes={}-", ask.offset));
        }
        if let Some(value) = &ask.authorization {
            request = request.header("Authorization", value.expose());
        }
        for (name, value) in &ask.headers {
            request = request.header(name, value.expose());
        }
        let method = if ask.head { Method::HEAD } else { Method::GET };
        let sent = match &ask.form {
            None => request.method(method).body(()).map_err(Error::from).and_then(|r| agent.run(r)),
            Some(form) => request
                .method(Method::POST)
                .header("Content-Type", "application/x-www-form-urlencoded")
                .body(form.expose())
                .map_err(Error::from)
                .and_then(|request| agent.run(request)),
        };
        let (parts, body) = sent.map_err(broken)?.into_parts();
        log::debug!("{url}: {}", parts.status.as_u16());
        Ok(Answer {
            url: url.clone(),
            proxy: self.options.proxies.of(url.origin()).map(proxy_name),
            status: parts.status.as_u16(),
            headers: parts.headers,
            body: Body::new(body.into_reader(), Arc::clone(&self.options.clock)),
        })
    }

    fn agent(&self, url: &Url) -> Result<&Agent, RegistryError> {
        let secure = url.origin().secure;
        let proxy = self.options.proxies.of(url.origin());
        let slot = &self.agents[usize::from(secure) * 2 + usize::from(proxy.is_some())];
        if let Some(agent) = slot.get() {
            return Ok(agent);
        }
        let made = self.make_agent(secure, proxy)?;
        Ok(slot.get_or_init(|| made))
    }

    fn make_agent(&self, secure: bool, proxy: Option<&str>) -> Result<Agent, RegistryError> {
        let scheme = if secure { "https" } else { "http" };
        let proxy = proxy.map(ureq::Proxy::new).transpose().map_err(|error| {
            RegistryError::Proxy { scheme, reason: escaped(&error.to_string()).to_string() }
        })?;
        // A proxy may be reached over TLS even when what is behind it is not.
        let tls = if secure || proxy.is_some() {
            self.trust.config(&self.system)?
        } else {
            ureq::tls::TlsConfig::default()
        };
        let times = self.options.timeouts;
        let config = Agent::config_builder()
            .user_agent(concat!("shale/", env!("CARGO_PKG_VERSION")))
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .proxy(proxy)
            .tls_config(tls)
            .max_idle_connections(IDLE_CONNECTIONS)
            .max_idle_connections_per_host(IDLE_CONNECTIONS)
            .timeout_resolve(Some(times.connect))
            .timeout_connect(Some(times.connect))
            .timeout_send_request(Some(times.silence))
            .timeout_send_body(Some(times.silence))
            .timeout_recv_response(Some(times.silence))
            .timeout_per_read(Some(times.silence))
            .timeout_per_write(Some(times.silence))
            .build();
        let connect = Connect::new(Arc::clone(&self.options.clock), times.silence / 2);
        Ok(Agent::with_parts(config, connect, self.judge.clone()))
    }
}

/// A proxy's host and port; its address may have a password in it.
fn proxy_name(proxy: &str) -> String {
    let name = proxy.rsplit('@').next().unwrap_or_default();
    let name = name.rsplit("://").next().unwrap_or_default();
    escaped(name.trim_end_matches('/')).to_string()
}

/// The address that a connection was not made to.
fn forbidden(error: &Error) -> Option<Forbidden> {
    match error {
        Error::Io(error) => error.get_ref()?.downcast_ref::<Forbidden>().copied(),
        _ => None,
    }
}

/// Text with everything percent-encoded that cannot stand in a URL at all.
fn percent_unsafe(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, &byte| {
        if byte.is_ascii_graphic() {
            text.push(char::from(byte));
        } else {
            text += &format!("%{byte:02X}");
        }
        text
    })
}

/// The client's error as a fault, without anything that could hold a secret.
fn fault(error: Error) -> Fault {
    match error {
        Error::Io(error) => broken(&error),
        Error::HostNotFound => Fault::Lookup("no such host".to_owned()),
        Error::Timeout(phase) => Fault::TimedOut(waiting_for(phase).to_owned()),
        Error::Tls(reason) => Fault::Tls(reason.to_owned()),
        Error::Rustls(error) => tls(&error),
        Error::Pem(error) => Fault::Tls(error.to_string()),
        Error::ConnectProxyFailed(reason) => Fault::Broken(format!("proxy: {}", escaped(&reason))),
        Error::BodyStalled => Fault::Broken("no more data".to_owned()),
        other => Fault::Protocol(escaped(&other.to_string()).to_string()),
    }
}

fn tls(error: &rustls::Error) -> Fault {
    use rustls::{CertificateError, Error};
    match error {
        // What answers does not speak TLS at all.
        Error::InvalidMessage(_) => Fault::Protocol("not TLS".to_owned()),
        Error::InvalidCertificate(CertificateError::UnknownIssuer) => {
            Fault::Tls("the certificate is signed by nobody who is trusted here".to_owned())
        }
        other => Fault::Tls(escaped(&other.to_string()).to_string()),
    }
}

fn waiting_for(phase: Timeout) -> &'static str {
    match phase {
        Timeout::Resolve => "looking up the name",
        Timeout::Connect => "connecting",
        Timeout::SendRequest | Timeout::SendBody | Timeout::PerWrite => "sending",
        Timeout::RecvResponse => "waiting for the answer",
        _ => "waiting for data",
    }
}

/// An I/O error as a fault. TLS errors come wrapped in one.
pub(super) fn broken(error: &io::Error) -> Fault {
    if let Some(inner) = error.get_ref() {
        if let Some(fault) = inner.downcast_ref::<Fault>() {
            return fault.clone();
        }
        if let Some(Error::Timeout(phase)) = inner.downcast_ref::<Error>() {
            return Fault::TimedOut(waiting_for(*phase).to_owned());
        }
        if let Some(inner) = inner.downcast_ref::<rustls::Error>() {
            return tls(inner);
        }
    }
    // The standard library has no kind for this.
    if let Some(reason) = error.to_string().strip_prefix("failed to lookup address information: ") {
        return Fault::Lookup(escaped(reason).to_string());
    }
    match error.kind() {
        io::ErrorKind::ConnectionRefused => Fault::Refused,
        io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock => {
            Fault::TimedOut("waiting for data".to_owned())
        }
        _ => Fault::Broken(escaped(&error.to_string()).to_string()),
    }
}

/// A body. Counts only the time that it waits, not the time that its reader takes, and anew from
/// each [`STEADY_BYTES`] on.
pub(super) struct Body {
    inner: BodyReader<'static>,
    clock: Arc<dyn Clock>,
    waited: Duration,
    bytes: u64,
}

impl Body {
    fn new(inner: BodyReader<'static>, clock: Arc<dyn Clock>) -> Self {
        Self { inner, clock, waited: Duration::ZERO, bytes: 0 }
    }
}

impl Read for Body {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let before = self.clock.now();
        let end = before + PROGRESS_TIME.saturating_sub(self.waited);
        let count = patience::until(end, || self.inner.read(buffer))?;
        self.waited += self.clock.now().saturating_sub(before);
        self.bytes += count as u64;
        if self.bytes >= STEADY_BYTES {
            (self.waited, self.bytes) = (Duration::ZERO, 0);
        } else if self.waited >= PROGRESS_TIME && count > 0 {
            return Err(io::Error::new(io::ErrorKind::TimedOut, Fault::stalled()));
        }
        Ok(count)
    }
}
