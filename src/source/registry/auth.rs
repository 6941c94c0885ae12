//! Getting in: Basic, or Bearer tokens from the registry's token server.
//!
//! Nothing is sent before a registry asks for it. What it then gets depends on where it sends us
//! (CVE-2019-10214, CVE-2026-33540, CVE-2026-48978): a token server must be reached over https and
//! be at a public address, unless it is the registry itself, host and port. No credential leaves this
//! machine without TLS unless the user says so. Tokens are kept for as long as they are valid and
//! renewed before; a registry that forgets one earlier is asked again once. Credentials are looked up
//! anew for each token, so a long pull may outlive them.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::Value;

use super::address::Reach;
use super::challenge::{Challenge, parse_challenges};
use super::credentials::{self, Credential};
use super::error::beginning;
use super::http::{Answer, Ask};
use super::url::{Origin, Url, percent};
use super::verdict::{instead, status};
use super::{RegistryError, Secret};
use crate::oci::{escaped, parse_object};
use crate::source::{Clock, Options};

/// The largest answer of a token server.
pub(super) const TOKEN_BODY_LIMIT: u64 = 1024 * 1024;
/// The longest token; more would not fit into a request.
const TOKEN_LIMIT: usize = 64 * 1024;
/// Of a token that does not say.
const DEFAULT_LIFE: u64 = 60;
/// A token is not used in its last seconds, for a request may take a while to arrive.
const MARGIN: Duration = Duration::from_secs(5);

/// How one origin is authenticated to, as far as it has said.
#[derive(Debug, Default)]
pub(super) struct Auth {
    state: Mutex<State>,
    /// Held while a token is fetched, so that many streams make one request. Taken before `state`.
    renewing: Mutex<()>,
}

#[derive(Debug, Default)]
struct State {
    way: Way,
    /// Which scope it wants for which of ours; they differ behind a path of its own.
    scopes: HashMap<String, String>,
    /// By our scope.
    tokens: HashMap<String, Token>,
}

#[derive(Debug, Default, Clone)]
enum Way {
    /// It has not asked for anything.
    #[default]
    Open,
    Basic,
    Bearer(Bearer),
}

/// A Bearer challenge that was checked.
#[derive(Debug, Clone)]
struct Bearer {
    realm: Url,
    service: Option<String>,
}

#[derive(Debug, Clone)]
struct Token {
    value: Secret,
    /// By the clock.
    expires: Duration,
}

/// Who asks for what: everything a token depends on.
pub(super) struct Party<'a> {
    pub(super) origin: &'a Origin,
    /// The registry's host as credentials know it.
    pub(super) host: &'a str,
    /// The repository, or empty.
    pub(super) repository: &'a str,
    /// `repository:NAME:pull`, ...
    pub(super) scope: &'a str,
    /// Credentials may be sent over http.
    pub(super) plain_credentials: bool,
    /// Where its token servers may be.
    pub(super) reach: Reach,
    pub(super) options: &'a Options,
    /// Sends to a token server.
    pub(super) send: &'a dyn Fn(&Url, &Ask) -> Result<Answer, RegistryError>,
}

impl Auth {
    fn state(&self) -> MutexGuard<'_, State> {
        // A panic elsewhere leaves at worst an old token behind.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The `Authorization` to send, as far as is known: from a token in stock, or by renewing one.
    pub(super) fn header(&self, party: &Party<'_>) -> Result<Option<Secret>, RegistryError> {
        let way = self.state().way.clone();
        match way {
            Way::Open => Ok(None),
            Way::Basic => basic(party),
            Way::Bearer(bearer) => self.token(party, &bearer, None).map(Some),
        }
    }

    /// Answers the challenges of a 401. `tried` is what was sent and refused.
    pub(super) fn challenge(
        &self,
        party: &Party<'_>,
        challenges: &[&str],
        tried: Option<&Secret>,
    ) -> Result<Option<Secret>, RegistryError> {
        let challenges: Vec<Challenge> =
            challenges.iter().flat_map(|value| parse_challenges(value)).collect();
        let (way, scope) = choose(party, &challenges)?;
        {
            let mut state = self.state();
            state.way = way.clone();
            if let Some(scope) = scope {
                state.scopes.insert(party.scope.to_owned(), scope);
            }
        }
        let header = match way {
            Way::Open => None,
            Way::Basic => basic(party)?,
            Way::Bearer(bearer) => Some(self.token(party, &bearer, tried)?),
        };
        // Sending the same again would only be refused again.
        Ok(header.filter(|header| Some(header) != tried))
    }

    /// A valid token other than `refused`, from stock or from the token server.
    fn token(
        &self,
        party: &Party<'_>,
        bearer: &Bearer,
        refused: Option<&Secret>,
    ) -> Result<Secret, RegistryError> {
        let stock = || {
            let state = self.state();
            let token = state.tokens.get(party.scope)?;
            let header = bearer_header(&token.value);
            let valid = party.options.clock.now() < token.expires && Some(&header) != refused;
            valid.then_some(header)
        };
        if let Some(header) = stock() {
            return Ok(header);
        }
        let _renewing = self.renewing.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(header) = stock() {
            return Ok(header);
        }
        let scope = self.state().scopes.get(party.scope).cloned();
        let token = bearer.fetch(party, scope.as_deref().unwrap_or(party.scope))?;
        let header = bearer_header(&token.value);
        self.state().tokens.insert(party.scope.to_owned(), token);
        Ok(header)
    }
}

fn bearer_header(token: &Secret) -> Secret {
    Secret::new(format!("Bearer {}", token.expose()))
}

impl Party<'_> {
    /// The credential for the registry, which is about to be sent to `to`.
    fn credential(&self, to: &Origin) -> Result<Option<Credential>, RegistryError> {
        let found = credentials::find(self.options, self.host, self.repository)?;
        let clear = !to.secure && !to.is_loopback();
        if found.is_some() && clear && !self.plain_credentials {
            return Err(RegistryError::PlainCredentials { to: to.to_string() });
        }
        Ok(found)
    }
}

fn basic(party: &Party<'_>) -> Result<Option<Secret>, RegistryError> {
    Ok(match party.credential(party.origin)? {
        Some(Credential::Password { user, password }) => Some(basic_header(&user, &password)),
        Some(Credential::Bearer(token)) => Some(bearer_header(&token)),
        Some(Credential::Identity(_)) | None => None,
    })
}

fn basic_header(user: &str, password: &Secret) -> Secret {
    let pair = format!("{user}:{}", password.expose());
    Secret::new(format!("Basic {}", BASE64_STANDARD.encode(pair)))
}

/// The first Bearer challenge that may be followed and the scope that it wants, or else Basic.
fn choose(
    party: &Party<'_>,
    challenges: &[Challenge],
) -> Result<(Way, Option<String>), RegistryError> {
    let origin = party.origin;
    let mut refused = None;
    for challenge in challenges.iter().filter(|challenge| challenge.scheme == "bearer") {
        match Bearer::check(party, challenge) {
            Ok(bearer) => {
                let scope = challenge.parameter("scope").filter(|scope| !scope.is_empty());
                return Ok((Way::Bearer(bearer), scope.map(str::to_owned)));
            }
            Err(error) => refused = Some(error),
        }
    }
    if challenges.iter().any(|challenge| challenge.scheme == "basic") {
        return Ok((Way::Basic, None));
    }
    let schemes: Vec<&str> =
        challenges.iter().map(|challenge| challenge.scheme.as_str()).take(10).collect();
    Err(refused.unwrap_or_else(|| RegistryError::Challenge {
        registry: origin.to_string(),
        schemes: if schemes.is_empty() {
            "no challenge".to_owned()
        } else {
            escaped(&schemes.join(", ")).to_string()
        },
    }))
}

/// Why a realm is not asked, if that can be told before its name is looked up.
fn realm_refusal(party: &Party<'_>, realm: &Origin) -> Option<String> {
    let registry = party.origin;
    if realm == registry {
        return None;
    }
    if !realm.secure {
        return Some("it is not https".to_owned());
    }
    if realm.host == registry.host && realm.port == registry.port {
        return None;
    }
    realm.refusal(party.reach)
}

impl Bearer {
    fn check(party: &Party<'_>, challenge: &Challenge) -> Result<Self, RegistryError> {
        let text = challenge.parameter("realm").unwrap_or_default();
        let refused = |realm: String, reason| RegistryError::Realm {
            registry: party.origin.to_string(),
            realm,
            reason,
        };
        let realm =
            Url::parse(text).map_err(|_| refused(beginning(text), "it is not a URL".to_owned()))?;
        if let Some(reason) = realm_refusal(party, realm.origin()) {
            return Err(refused(realm.to_string(), reason));
        }
        Ok(Self { realm, service: challenge.parameter("service").map(str::to_owned) })
    }

    fn fetch(&self, party: &Party<'_>, scope: &str) -> Result<Token, RegistryError> {
        let (url, ask, with) = match party.credential(self.realm.origin())? {
            Some(Credential::Bearer(value)) => {
                let expires = party.options.clock.now() + Duration::from_secs(DEFAULT_LIFE);
                return Ok(Token { value, expires });
            }
            Some(Credential::Identity(token)) => {
                (self.realm.clone(), self.exchange(&token, scope), "the identity token")
            }
            Some(Credential::Password { user, password }) => {
                let authorization = Some(basic_header(&user, &password));
                (self.question(scope), Ask { authorization, ..Ask::default() }, "the credentials")
            }
            None => (self.question(scope), Ask::default(), "to give an anonymous token"),
        };
        let realm = self.realm.to_string();
        let mut answer = (party.send)(&url, &ask).map_err(|error| match error {
            RegistryError::Address { reason, .. } => {
                let registry = party.origin.to_string();
                RegistryError::Realm { registry, realm: realm.clone(), reason }
            }
            error => error,
        })?;
        match answer.status {
            200 => {
                let body = answer.read(TOKEN_BODY_LIMIT)?;
                Token::parse(&body, party.options.clock.as_ref()).map_err(|reason| {
                    let reason = instead(&answer, &body).unwrap_or(reason);
                    RegistryError::Token { realm, reason }
                })
            }
            400 | 401 | 403 => Err(RegistryError::Unauthorized {
                what: format!("{} {}", party.host, party.repository).trim_end().to_owned(),
                message: format!("{realm} refused {with} (HTTP {})", answer.status),
            }),
            _ => Err(status(answer, party.options)),
        }
    }

    fn question(&self, scope: &str) -> Url {
        let mut url = self.realm.clone();
        if let Some(service) = &self.service {
            url = url.with_query("service", service);
        }
        for part in scope.split(' ').filter(|part| !part.is_empty()) {
            url = url.with_query("scope", part);
        }
        url
    }

    /// The form that exchanges a refresh token.
    fn exchange(&self, token: &Secret, scope: &str) -> Ask {
        let service = self.service.as_deref().unwrap_or_default();
        let form = format!(
            "grant_type=refresh_token&service={}&client_id=shale&scope={}&refresh_token={}",
            percent(service),
            percent(scope),
            percent(token.expose())
        );
        Ask { form: Some(Secret::new(form)), ..Ask::default() }
    }
}

impl Token {
    /// Field by field, to say what is wrong without quoting from it.
    fn parse(body: &[u8], clock: &dyn Clock) -> Result<Self, String> {
        let fields: serde_json::Map<String, Value> =
            parse_object(body).map_err(|_| "the answer is not a token in JSON".to_owned())?;
        let mut value = "";
        for name in ["token", "access_token"] {
            match fields.get(name) {
                None | Some(Value::Null) => {}
                Some(Value::String(text)) if value.is_empty() => value = text,
                Some(Value::String(_)) => {}
                Some(other) => return Err(format!("its {name:?} is {} and no text", kind(other))),
            }
        }
        if value.is_empty() {
            return Err("the answer has no token in it".to_owned());
        }
        if value.len() > TOKEN_LIMIT {
            return Err("the token is too long to be sent".to_owned());
        }
        if !value.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err("the token has characters that no header may have".to_owned());
        }
        let life = match fields.get("expires_in") {
            None | Some(Value::Null) => 0.0,
            Some(Value::Number(number)) => number.as_f64().unwrap_or(0.0),
            // Docker and containerd refuse it too.
            Some(other) => {
                return Err(format!("its \"expires_in\" is {} and no number", kind(other)));
            }
        };
        let life = if life < 1.0 { Duration::from_secs(DEFAULT_LIFE) } else { whole(life) };
        let expires = clock.now() + life.saturating_sub(MARGIN.min(life / 2));
        Ok(Self { value: Secret::new(value), expires })
    }
}

/// What kind of JSON value it is.
fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

/// Seconds as a time, at most a day.
fn whole(seconds: f64) -> Duration {
    Duration::try_from_secs_f64(seconds.min(86_400.0)).unwrap_or_default()
}
