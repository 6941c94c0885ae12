//! Following redirects, which the HTTP client is told not to do, because here is known who may get
//! what: `Authorization` and the headers of a hosts file go to the origin that was asked at first
//! and are gone for good once a redirect has left it (CVE-2020-15157, GHSA-vh4v-2xq2-g5cg).

use super::RegistryError;
use super::address::Reach;
use super::http::{Answer, Ask};
use super::url::{Origin, Url};
use crate::source::Options;

/// How many redirects one request may take.
pub const REDIRECTS: usize = 10;

/// Sends `ask` to `url` and to where it is redirected, as far as that is within `reach`.
pub(super) fn follow(
    first: &Origin,
    reach: Reach,
    mut url: Url,
    mut ask: Ask,
    options: &Options,
    send: &dyn Fn(&Url, &Ask) -> Result<Answer, RegistryError>,
) -> Result<Answer, RegistryError> {
    let mut from: Option<String> = None;
    for _ in 0..=REDIRECTS {
        let answer = send(&url, &ask).map_err(|error| match (error, &from) {
            (RegistryError::Address { url: to, reason }, Some(from)) => {
                RegistryError::Redirect { from: from.clone(), to, reason }
            }
            (error, _) => error,
        })?;
        if !matches!(answer.status, 301 | 302 | 303 | 307 | 308) {
            return Ok(answer);
        }
        let here = url.to_string();
        let location = answer.locations("location").into_iter().next().unwrap_or_default();
        let next = url
            .join(&location)
            .map_err(|error| RegistryError::bad_location(&here, &location, error))?;
        if let Some(reason) = redirect_refusal(first, reach, url.origin(), next.origin(), options) {
            return Err(RegistryError::Redirect { from: here, to: next.to_string(), reason });
        }
        from = Some(here);
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

/// Why a redirect is not followed, if that can be told before its name is looked up. `first` is who
/// was asked at first, `reach` where it may send us.
fn redirect_refusal(
    first: &Origin,
    reach: Reach,
    from: &Origin,
    to: &Origin,
    options: &Options,
) -> Option<String> {
    if to == from || to == first {
        return None;
    }
    if from.secure && !to.secure && !options.plain_http {
        return Some("it leaves https".to_owned());
    }
    to.refusal(reach)
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
            ("https://r.example", "https://r.example", "https://[2002:a00:1::1]", false),
            ("https://r.example", "https://r.example", "https://169.254.169.254", false),
            ("http://r.example", "http://r.example", "http://s.example", true),
            ("https://10.0.0.1", "https://10.0.0.1", "https://10.0.0.2:9000", true),
            ("https://10.0.0.1", "https://10.0.0.1", "https://127.0.0.1", false),
            ("https://10.0.0.1", "https://10.0.0.1", "https://localhost", false),
            ("https://10.0.0.1", "https://10.0.0.1", "https://169.254.169.254", false),
            ("https://10.0.0.1", "https://10.0.0.1", "https://0xa9fea9fe", false),
            ("https://10.0.0.1", "https://10.0.0.1", "https://[::ffff:169.254.169.254]", false),
            ("http://127.0.0.1:5000", "http://127.0.0.1:5000", "http://127.0.0.1:9000", true),
            ("http://127.0.0.1:5000", "http://127.0.0.1:5000", "http://10.0.0.1", true),
            ("http://127.0.0.1:5000", "http://127.0.0.1:5000", "http://169.254.169.254", false),
            ("http://127.0.0.1:5000", "http://127.0.0.1:5000", "https://s.example", true),
            ("http://127.0.0.1:5000", "https://s.example", "http://127.0.0.1:5000", true),
        ] {
            let (first, from, to) = (origin(first), origin(from), origin(to));
            let refusal = redirect_refusal(&first, first.reach(false), &from, &to, &options);
            assert_eq!(refusal.is_none(), followed, "{first} {from} -> {to}: {refusal:?}");
        }
    }
}
