//! Asking a registry: which host, with what authority, how often.
//!
//! [`Client::once`] asks each host that may be asked until one has an answer; [`Client::ask`] does
//! that again after failures that may pass. An endpoint that was only assumed to be http (it is on
//! loopback) turns out to be one or the other with its first answer.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use super::address::Reach;
use super::auth::{Auth, Party};
use super::error::Fault;
use super::hosts::{HUB, Host, hosts};
use super::http::{Answer, Ask, Http};
use super::redirect::follow;
use super::retry::insist;
use super::trust::SystemRoots;
use super::url::{Origin, Url};
use super::verdict::{judge, judge_storage, message};
use super::{RegistryError, Secret};
use crate::source::Options;

/// How often one request answers a 401: once for want of a token, once because it was old.
const CHALLENGES: usize = 2;

/// A question to a registry.
#[derive(Debug, Clone)]
pub(super) struct Question {
    /// After the prefix: `/library/debian/manifests/12`.
    pub(super) path: String,
    /// The repository, or empty.
    pub(super) repository: String,
    /// The scope of the token: `repository:NAME:pull`.
    pub(super) scope: String,
    /// How messages name what is asked for.
    pub(super) what: String,
    /// Only hosts that may say what a tag is.
    pub(super) resolve: bool,
    /// Accept, offset and method.
    pub(super) ask: Ask,
}

/// A registry, with the hosts that answer for it.
#[derive(Debug)]
pub(super) struct Client {
    registry: String,
    endpoints: Vec<Endpoint>,
    /// For foreign layers: no trust but the system's.
    strangers: Http,
    pub(super) options: Arc<Options>,
}

#[derive(Debug)]
struct Endpoint {
    host: Host,
    /// Whether it is https; unset while only assumed.
    secure: OnceLock<bool>,
    /// For the endpoint's own origin.
    own: Http,
    /// Where it may redirect us to.
    reach: Reach,
    /// For there.
    others: Http,
    /// Where its token servers may be.
    token_reach: Reach,
    /// For them.
    tokens: Http,
    auth: Auth,
    /// A mirror that could not be reached is not tried again.
    dead: AtomicBool,
}

impl Client {
    pub(super) fn new(registry: &str, options: &Options) -> Result<Self, RegistryError> {
        let options = Arc::new(options.clone());
        let system = Arc::new(SystemRoots::default());
        let http =
            |trust, reach| Http::new(trust, reach, Arc::clone(&system), Arc::clone(&options));
        let endpoints = hosts(registry, &options)?.into_iter().map(|host| {
            let secure = OnceLock::new();
            if !host.assumed {
                let _ = secure.set(host.origin.secure);
            }
            let here = if host.origin.is_loopback() { Reach::Here } else { Reach::Named };
            let own = http(host.trust.clone(), here);
            let reach = host.origin.reach(host.private);
            let others = http(host.trust.for_others(), reach);
            // Token servers get credentials: only the user can say that a private one is meant.
            let token_reach = if host.private { Reach::Neighbours } else { Reach::Public };
            let tokens = http(host.trust.for_others(), token_reach);
            let (auth, dead) = (Auth::default(), AtomicBool::new(false));
            Endpoint { host, secure, own, reach, others, token_reach, tokens, auth, dead }
        });
        let endpoints = endpoints.collect();
        let strangers = http(super::trust::Trust::default(), Reach::Public);
        Ok(Self { registry: registry.to_owned(), endpoints, strangers, options })
    }

    /// The registry's name, as references have it.
    pub(super) fn registry(&self) -> &str {
        &self.registry
    }

    /// Asks for something of at most `limit` bytes, and asks again after failures that may pass.
    pub(super) fn ask(
        &self,
        question: &Question,
        limit: u64,
    ) -> Result<(Answer, Vec<u8>), RegistryError> {
        insist(self.options.clock.as_ref(), || {
            let (mut answer, _) = self.once(question, &[])?;
            let bytes = if question.ask.head { Vec::new() } else { answer.read(limit)? };
            Ok((answer, bytes))
        })
    }

    /// Asks each host that may be asked, until one has an answer; says which. Those of `broken` are
    /// asked after the others, in that order.
    pub(super) fn once(
        &self,
        question: &Question,
        broken: &[usize],
    ) -> Result<(Answer, usize), RegistryError> {
        let able = |(_, endpoint): &(usize, &Endpoint)| {
            let host = &endpoint.host;
            (if question.resolve { host.resolve } else { host.pull })
                && !endpoint.dead.load(Ordering::Relaxed)
        };
        let mut last = None;
        let mut able: Vec<_> = self.endpoints.iter().enumerate().filter(able).collect();
        able.sort_by_key(|(number, _)| broken.iter().position(|b| b == number).map(|at| at + 1));
        for (number, endpoint) in able {
            if let Some(error) = last.take() {
                log::warn!("{error}; asking {}", endpoint.origin());
            }
            match endpoint.ask(question, self) {
                Ok(answer) => return Ok((answer, number)),
                Err(error) => {
                    let unreachable = matches!(error, RegistryError::Transport { .. });
                    endpoint.dead.store(unreachable && endpoint.host.mirror, Ordering::Relaxed);
                    last = Some(error);
                }
            }
        }
        Err(last.unwrap_or_else(|| RegistryError::NoHost {
            registry: self.registry.clone(),
            capability: if question.resolve { "resolve" } else { "pull" },
        }))
    }

    /// Asks somebody who is no registry for a foreign layer: https only, nothing private, and no
    /// credentials.
    pub(super) fn stranger(&self, url: &Url, ask: &Ask) -> Result<Answer, RegistryError> {
        let refuse = |reason: &str| RegistryError::Redirect {
            from: "the manifest".to_owned(),
            to: url.to_string(),
            reason: reason.to_owned(),
        };
        if !url.origin().secure {
            return Err(refuse("foreign layers are fetched over https only"));
        }
        if let Some(reason) = url.origin().refusal(Reach::Public) {
            return Err(refuse(&reason));
        }
        let send = |url: &Url, ask: &Ask| self.strangers.send(url, ask);
        plain(&send, Reach::Public, url, ask, &self.options).map_err(|error| match error {
            RegistryError::Address { reason, .. } => refuse(&reason),
            error => error,
        })
    }
}

impl Endpoint {
    fn origin(&self) -> Origin {
        let secure = self.secure.get().copied().unwrap_or(self.host.origin.secure);
        self.host.origin.with_secure(secure)
    }

    /// The key of this endpoint's credentials.
    fn credential_host<'a>(&'a self, client: &'a Client, authority: &'a str) -> &'a str {
        if self.host.mirror { authority } else { &client.registry }
    }

    fn ask(&self, question: &Question, client: &Client) -> Result<Answer, RegistryError> {
        let origin = self.origin();
        let authority = origin.authority();
        let send = |url: &Url, ask: &Ask| self.ask_for_token(url, ask, &client.options);
        let party = Party {
            origin: &origin,
            host: self.credential_host(client, &authority),
            repository: &question.repository,
            scope: &question.scope,
            plain_credentials: self.host.plain_credentials,
            reach: self.token_reach,
            options: &client.options,
            send: &send,
        };
        let mut authorization = self.auth.header(&party)?;
        for _ in 0..=CHALLENGES {
            let answer = self.reach(question, authorization.clone(), client)?;
            let own = *answer.url.origin() == self.origin();
            if answer.status != 401 || !own {
                let judge = if own { judge } else { judge_storage };
                return judge(answer, &question.what, &client.options);
            }
            let origin = self.origin();
            let party = Party { origin: &origin, ..party };
            let challenges = answer.headers("www-authenticate");
            match self.auth.challenge(&party, &challenges, authorization.as_ref())? {
                Some(header) => authorization = Some(header),
                None => return Err(no_access(answer, question, client)),
            }
        }
        Err(RegistryError::Unauthorized {
            what: question.what.clone(),
            message: "the registry goes on asking for authentication".to_owned(),
        })
    }

    /// Sends the question, and while http is only assumed finds out whether it should be https.
    fn reach(
        &self,
        question: &Question,
        authorization: Option<Secret>,
        client: &Client,
    ) -> Result<Answer, RegistryError> {
        if self.secure.get().is_some() {
            return self.send_question(question, authorization, client, &self.origin());
        }
        let plain = self.send_question(question, None, client, &self.host.origin);
        let may_be_tls = match &plain {
            Ok(answer) => answer.status == 400,
            Err(RegistryError::Transport { fault, .. }) => {
                matches!(fault, Fault::Protocol(_) | Fault::Broken(_))
            }
            Err(_) => false,
        };
        if may_be_tls {
            let origin = self.host.origin.with_secure(true);
            let secure = self.send_question(question, authorization, client, &origin);
            let not_tls = matches!(
                &secure,
                Err(RegistryError::Transport { fault: Fault::Protocol(_) | Fault::Broken(_), .. })
            );
            if !not_tls {
                let _ = self.secure.set(true);
                return secure;
            }
        }
        if plain.is_ok() {
            let _ = self.secure.set(false);
        }
        plain
    }

    fn send_question(
        &self,
        question: &Question,
        authorization: Option<Secret>,
        client: &Client,
        origin: &Origin,
    ) -> Result<Answer, RegistryError> {
        let path = format!("{}{}", self.host.prefix, question.path);
        let url = Url::at(origin, &path)
            .map_err(|error| RegistryError::bad_location(&origin.to_string(), &path, error))?;
        let url = if self.host.mirror { url.with_query("ns", client.registry()) } else { url };
        let headers = self.host.headers.clone();
        let ask = Ask { authorization, headers, ..question.ask.clone() };
        let send = |url: &Url, ask: &Ask| self.send(url, ask, &self.others);
        follow(origin, self.reach, url, ask, &client.options, &send)
    }

    /// Asks a token server. A form holds a refresh token, so it is sent once and nowhere else.
    fn ask_for_token(
        &self,
        url: &Url,
        ask: &Ask,
        options: &Options,
    ) -> Result<Answer, RegistryError> {
        if ask.form.is_some() {
            return self.send(url, ask, &self.tokens);
        }
        // Where it redirects to gets no credentials, and is no token server of the registry's choice.
        let send = |to: &Url, ask: &Ask| {
            let named = to.origin() == url.origin();
            self.send(to, ask, if named { &self.tokens } else { &self.others })
        };
        follow(url.origin(), self.reach, url.clone(), ask.clone(), options, &send)
    }

    /// One request, by way of the endpoint's own connections or those for others.
    fn send(&self, url: &Url, ask: &Ask, others: &Http) -> Result<Answer, RegistryError> {
        let Origin { host, port, .. } = &self.host.origin;
        let own = (&url.origin().host, url.origin().port) == (host, *port);
        if own { self.own.send(url, ask) } else { others.send(url, ask) }
    }
}

/// Asks somebody who is no registry, without credentials.
pub(super) fn plain(
    send: &dyn Fn(&Url, &Ask) -> Result<Answer, RegistryError>,
    reach: Reach,
    url: &Url,
    ask: &Ask,
    options: &Options,
) -> Result<Answer, RegistryError> {
    let answer = follow(url.origin(), reach, url.clone(), ask.clone(), options, send)?;
    judge(answer, &url.to_string(), options)
}

fn no_access(mut answer: Answer, question: &Question, client: &Client) -> RegistryError {
    let what = question.what.clone();
    if client.registry == HUB {
        return RegistryError::NotFoundOrNoAccess { what };
    }
    RegistryError::Unauthorized { what, message: message(&mut answer) }
}
