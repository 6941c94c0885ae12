//! Following redirects, which the HTTP client is told not to do, because here is known who may get
//! what: `Authorization` and the headers of a hosts file go to the origin that was asked at first
//! and are gone for good once a redirect has left it (CVE-2020-15157, GHSA-vh4v-2xq2-g5cg).

use super::RegistryError;
use super::http::{Answer, Ask};
use super::url::{Origin, Url};
use crate::source::Options;

/// How many redirects one request may take.
pub const REDIRECTS: usize = 10;

/// Sends `ask` to `url` and to where it is redirected.
pub(super) fn follow(
    first: &Origin,
    mut url: Url,
    mut ask: Ask,
    options: &Options,
    send: &dyn Fn(&Url, &Ask) -> Result<Answer, RegistryError>,
) -> Result<Answer, RegistryError> {
    for _ in 0..=REDIRECTS {
        let answer = send(&url, &ask)?;
        if !matches!(answer.status, 301 | 302 | 303 | 307 | 308) {
            return Ok(answer);
        }
        let from = url.to_string();
        let location = answer.header("location").unwrap_or_default();
        let next = url
            .join(location)
            .map_err(|error| RegistryError::bad_location(&from, location, error))?;
        if let Some(reason) = redirect_refusal(first, url.origin(), next.origin(), options) {
            let to = next.to_string();
            return Err(RegistryError::Redirect { from, to, reason: reason.to_owned() });
        }
        if next.origin() != url.origin() {
            ask.authorization = None;
            ask.headers.clear();
        }
        url = next;
    }
    Err(RegistryError::Redirect {
        from: first.to_string(),
        to: url.to_string(),
        reason: format!("it is one more than {REDIRECTS}"),
    })
}

/// Why a redirect is not followed, if it is not. `first` is who was asked at first.
fn redirect_refusal(
    first: &Origin,
    from: &Origin,
    to: &Origin,
    options: &Options,
) -> Option<&'static str> {
    if to == from || to == first {
        return None;
    }
    if from.secure && !to.secure && !options.plain_http {
        return Some("it leaves https");
    }
    // A registry in a private network keeps its blobs there too; one outside has no business in
    // ours. Link-local addresses are the cloud's own and are nobody's storage.
    let same_host = to.host == first.host;
    if to.is_link_local() && !same_host {
        return Some("it is a link-local address");
    }
    if to.is_private() && !first.is_private() {
        return Some("it is a private address");
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn which_redirects_are_followed() {
        let origin = |text: &str| Url::parse(text).expect(text).origin().clone();
        let options = Options::default();
        for (first, from, to, followed) in [
            ("https://r.example", "https://r.example", "https://s.example", true),
            ("https://r.example", "https://r.example", "http://s.example", false),
            ("https://r.example", "https://r.example", "http://r.example", false),
            ("https://r.example", "https://r.example", "https://10.0.0.1", false),
            ("https://r.example", "https://r.example", "https://127.0.0.1", false),
            ("https://r.example", "https://r.example", "https://localhost", false),
            ("https://r.example", "https://r.example", "https://2130706433", false),
            ("https://r.example", "https://r.example", "https://169.254.169.254", false),
            ("http://r.example", "http://r.example", "http://s.example", true),
            ("https://10.0.0.1", "https://10.0.0.1", "https://10.0.0.2:9000", true),
            ("https://10.0.0.1", "https://10.0.0.1", "https://169.254.169.254", false),
            ("http://127.0.0.1:5000", "http://127.0.0.1:5000", "http://127.0.0.1:9000", true),
            ("http://127.0.0.1:5000", "http://127.0.0.1:5000", "https://s.example", true),
            ("http://127.0.0.1:5000", "https://s.example", "http://127.0.0.1:5000", true),
        ] {
            let refusal = redirect_refusal(&origin(first), &origin(from), &origin(to), &options);
            assert_eq!(refusal.is_none(), followed, "{first} {from} -> {to}: {refusal:?}");
        }
    }
}
